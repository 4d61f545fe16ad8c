/** What of a replay is in a lane's state, what its records are, and in which order they come. */
import type { DurableState } from "@waybill/log";
import { BrokerError, type BrokerErrorCode } from "@waybill/log-kafka";
import { VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { type AskedReplay, AskedReplays, cancelKey, partKey, replayKey } from "../../src/cluster/asked-replays.ts";
import { LaneReplays } from "../../src/cluster/lane-replays.ts";
import {
  LaneWithReplays,
  type LaneWithReplaysValue,
  parseLaneWithReplays,
} from "../../src/cluster/lane-with-replays.ts";

const NAME = { environment: "test", id: "0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa" };
const LANE = { base: 0, position: 7, byte: 0, delivered: 7, rejected: 0, expired: 0, dropped: {}, leased: 0 };
const PROGRESS = {
  id: NAME.id,
  total: 9,
  cursor: 4,
  leased: 2,
  delivered: 4,
  rejected: 0,
  expired: 0,
  dropped: {},
  done: false,
};
const LEDGER = { total: 9, delivered: 4, rejected: 0, expired: 0, dropped: {} };
const REQUEST = { destination: "crm", choice: { log: { event: "E" } }, createdAtMs: 1, parts: [[3, 0, 20, 9]] };
const PART = { partition: 3, from: 0, to: 20, total: 9 };
const ASKED = { ...NAME, ...REQUEST, parts: [PART], ended: new Map() };
/** Of the lane's replays, where nothing else matters. */
const OPTIONS = { environment: "test", destination: "crm", partition: 3, log: { head: 20 }, deadLetters: { head: 0 } };
const RECORDS = {
  forgottenKeys: () => [],
  isForgotten: () => true,
  caughtUp: () => Promise.resolve(),
  reportedLane: () => undefined,
};

type GivenReplays = ConstructorParameters<typeof LaneReplays>[0]["replays"];

/** Notes which replays are begun. */
function joining(joined: string[]): GivenReplays {
  return {
    join: async ({ initial }) => void joined.push(initial.id),
    stop: () => Promise.resolve(),
    leave: () => Promise.resolve(),
  };
}

interface FakeState extends DurableState<LaneWithReplaysValue> {
  readonly written: LaneWithReplaysValue[];
}

function stateOf(initial: LaneWithReplaysValue, write?: () => Promise<void>): FakeState {
  const written: LaneWithReplaysValue[] = [];
  return {
    written,
    initial,
    fits: () => true,
    write: async (value) => {
      await write?.();
      written.push(value);
    },
    sync: () => Promise.resolve(),
    close: () => Promise.resolve(),
    isOurs: () => true,
  };
}

test("a lane's write has its replays, and a replay's has the lane as it was written last", async () => {
  const state = stateOf({ ...LANE, replays: [PROGRESS] });
  const both = new LaneWithReplays(state);
  expect(both.lane.initial).toEqual(LANE);
  await both.lane.write({ ...LANE, position: 8 });
  const choice = { log: { from: 0, to: 20 } };
  const stored = { ...PROGRESS, destination: "crm", choice, createdAtMs: 1, cancelled: false };
  await both.replay(stored).write({ ...stored, cursor: 6, leased: 0, delivered: 6 });
  both.drop(NAME.id);
  await both.replay({ ...stored, id: "other" }).write(stored);
  await both.lane.write({ ...LANE, position: 9 });
  expect(state.written).toMatchObject([
    { position: 8, replays: [PROGRESS] },
    { position: 8, replays: [{ ...PROGRESS, cursor: 6, leased: 0, delivered: 6 }] },
    // What was dropped is not written again by whoever still has it.
    { position: 9, replays: [{ id: "other" }] },
  ]);
});

test("a commit whose replays are none is not a lane's", () => {
  expect(parseLaneWithReplays({ ...LANE, replays: [PROGRESS] })).toEqual({ ...LANE, replays: [PROGRESS] });
  expect(parseLaneWithReplays(LANE)).toEqual(LANE);
  for (const replays of [7, [7], [{ ...PROGRESS, cursor: -1 }], [{ ...PROGRESS, done: 1 }]])
    expect(parseLaneWithReplays({ ...LANE, replays })).toBeUndefined();
});

test("records of a replay make one, in whichever order a compacted topic has them", () => {
  const asked = new AskedReplays();
  expect(asked.note(partKey(NAME, 3), JSON.stringify(LEDGER))).toEqual(NAME);
  expect(asked.of("test")).toEqual([]);
  asked.note(replayKey(NAME), JSON.stringify(REQUEST));
  asked.note(cancelKey(NAME), "{}");
  expect(asked.of("test")).toMatchObject([{ ...NAME, destination: "crm", isCancelled: true, parts: [PART] }]);
  expect(asked.of("test")[0]?.ended).toEqual(new Map([[3, LEDGER]]));
  // What cannot be read changes nothing, and is not a replay of its own.
  asked.note(replayKey(NAME), "{}");
  asked.note(partKey(NAME, 3), "[]");
  asked.note(replayKey({ ...NAME, id: NAME.id.replace("0", "1") }), JSON.stringify({ ...REQUEST, parts: [[3]] }));
  expect(asked.note("replay/test/none", JSON.stringify(REQUEST))).toBeUndefined();
  expect(asked.of("test")).toHaveLength(1);
  expect(asked.of("test")[0]?.ended).toEqual(new Map([[3, LEDGER]]));
  for (const key of [partKey(NAME, 3), cancelKey(NAME)]) asked.note(key, "");
  expect(asked.of("test")).toMatchObject([{ isCancelled: false, ended: new Map() }]);
  asked.note(cancelKey(NAME), "{}");
  asked.note(replayKey(NAME), "");
  expect(asked.of("test")).toEqual([]);
  expect(asked.forgottenKeys("test")).toEqual([cancelKey(NAME)]);
  expect(asked.forgottenKeys("other")).toEqual([]);
});

test("a replay that a relay of another version has asked for is not taken for forgotten", () => {
  const asked = new AskedReplays();
  asked.note(replayKey(NAME), JSON.stringify({ ...REQUEST, choice: { newer: {} } }));
  for (const key of [partKey(NAME, 3), cancelKey(NAME)]) asked.note(key, JSON.stringify(LEDGER));
  expect(asked.of("test")).toEqual([]);
  expect(asked.forgottenKeys("test")).toEqual([]);
  asked.note(replayKey(NAME), "");
  expect(asked.forgottenKeys("test")).toEqual([partKey(NAME, 3), cancelKey(NAME)]);
});

test.each([{ log: { event: "E", country: "CH" } }, { deadLetters: { reason: "x", country: "CH" } }])(
  "a replay that a newer relay has asked for with a filter of its own is not run without that: %j",
  (choice) => {
    const asked = new AskedReplays();
    asked.note(replayKey(NAME), JSON.stringify({ ...REQUEST, choice }));
    expect(asked.of("test")).toEqual([]);
    expect(asked.isForgotten(NAME)).toBe(false);
  },
);

test.each([true, false])("how a replay ended is written after a commit, and only then: ours is %s", async (isOurs) => {
  const steps: string[] = [];
  const state = stateOf({ ...LANE, replays: [PROGRESS] }, async () => {
    steps.push("commit");
    if (!isOurs) throw new Error("fenced");
  });
  const replay: AskedReplay = {
    ...ASKED,
    isCancelled: true,
  };
  const clock = new VirtualClock();
  const replays = new LaneReplays({
    ...OPTIONS,
    replays: {
      join: async () => void steps.push("join"),
      stop: async () => void steps.push("stop"),
      leave: async () => void steps.push("leave"),
    },
    state: new LaneWithReplays(state),
    records: {
      replaysOf: () => [replay],
      writeReplay: async (key, value) => void steps.push(`${key} ${value}`),
      ...RECORDS,
    },
    clock,
    report: () => undefined,
  });
  replays.look();
  await clock.advance(1);
  await replays.close(0);
  const record = `${partKey(NAME, 3)} ${JSON.stringify(LEDGER)}`;
  expect(steps).toEqual(isOurs ? ["stop", "commit", record] : ["stop", "commit"]);
});

test("a replay that cannot begin, or whose end cannot be written, is logged once for each kind of error", async () => {
  const lines: string[] = [];
  const clock = new VirtualClock();
  let fault: BrokerError | undefined;
  const fail = async (): Promise<void> => {
    if (fault !== undefined) throw fault;
  };
  let isCancelled = false;
  const replays = new LaneReplays({
    ...OPTIONS,
    replays: { join: fail, stop: async () => undefined, leave: async () => undefined },
    state: new LaneWithReplays(stateOf({ ...LANE, replays: [PROGRESS] })),
    records: {
      replaysOf: () => [{ ...ASKED, isCancelled }],
      writeReplay: fail,
      ...RECORDS,
    },
    clock,
    report: (code, fields) => lines.push(`${code} ${"error" in fields ? fields.error : ""}`),
  });
  const failWith = async (code?: BrokerErrorCode): Promise<void> => {
    fault = code === undefined ? undefined : new BrokerError(code, code);
    replays.look();
    await clock.advance(10_000);
  };
  await failWith("unreachable");
  expect(lines).toEqual(["replay_not_run unreachable"]);
  await failWith("fenced");
  await failWith("unreachable");
  expect(lines.slice(1)).toEqual(["replay_not_run fenced"]);
  await failWith();
  isCancelled = true;
  await failWith("unreachable");
  expect(lines.slice(2)).toEqual(["replay_not_run unreachable"]);
  await replays.close(0);
});

test("however many records come while it looks, it looks once more", async () => {
  const clock = new VirtualClock();
  let looks = 0;
  let stopped: () => void = () => undefined;
  const stop = (): Promise<void> => new Promise((resolve) => (stopped = resolve));
  const replays = new LaneReplays({
    ...OPTIONS,
    replays: { join: async () => undefined, stop, leave: async () => undefined },
    state: new LaneWithReplays(stateOf({ ...LANE, replays: [PROGRESS] })),
    records: {
      replaysOf: () => {
        looks += 1;
        return looks === 1 ? [{ ...ASKED, isCancelled: true }] : [];
      },
      writeReplay: async () => undefined,
      ...RECORDS,
    },
    clock,
    report: () => undefined,
  });
  replays.look();
  await clock.advance(1);
  for (let record = 0; record < 100; record++) replays.look();
  stopped();
  await clock.advance(1);
  expect(looks).toBe(2);
  await replays.close(0);
});

test("a replay that is asked for, though not to be read here, is not dropped from the lane's state", async () => {
  const other = NAME.id.replace("0", "1");
  const third = NAME.id.replace("0", "2");
  const requests = [NAME.id, third].map((id) => ({ ...ASKED, id, isCancelled: false }));
  const joined: string[] = [];
  const clock = new VirtualClock();
  const state = new LaneWithReplays(stateOf({ ...LANE, replays: [PROGRESS, { ...PROGRESS, id: other }] }));
  let isForgotten = false;
  const replays = new LaneReplays({
    ...OPTIONS,
    replays: joining(joined),
    state,
    records: {
      ...RECORDS,
      replaysOf: () => requests,
      isForgotten: () => isForgotten,
      writeReplay: async () => undefined,
    },
    clock,
    report: () => undefined,
  });
  replays.look();
  await clock.advance(1);
  expect(state.replays.map(({ id }) => id)).toEqual([NAME.id, other]);
  // It has its place beside the one that runs.
  expect(joined).toEqual([NAME.id]);
  isForgotten = true;
  replays.look();
  await clock.advance(1);
  expect(state.replays.map(({ id }) => id)).toEqual([NAME.id, third]);
  expect(joined).toEqual([NAME.id, third]);
  await replays.close(0);
});

test("a replay that may have sent a batch begins before those that have none", async () => {
  const joined: string[] = [];
  const clock = new VirtualClock();
  const replays = new LaneReplays({
    ...OPTIONS,
    replays: joining(joined),
    state: new LaneWithReplays(
      stateOf({
        ...LANE,
        replays: [
          { ...PROGRESS, id: "one", leased: 0 },
          { ...PROGRESS, id: "two" },
        ],
      }),
    ),
    records: {
      ...RECORDS,
      replaysOf: () => ["one", "two"].map((id) => ({ ...ASKED, id, isCancelled: false })),
      writeReplay: () => Promise.resolve(),
    },
    clock,
    report: () => undefined,
  });
  replays.look();
  await clock.advance(1);
  await replays.close(0);
  expect(joined).toEqual(["two", "one"]);
});

test("two replays run at once, also where a third is asked for by a relay whose clock is behind", async () => {
  const joined: string[] = [];
  const clock = new VirtualClock();
  let ids = ["b", "c"];
  const replays = new LaneReplays({
    ...OPTIONS,
    replays: joining(joined),
    state: new LaneWithReplays(stateOf(LANE)),
    records: {
      ...RECORDS,
      replaysOf: () => ids.map((id) => ({ ...ASKED, id, isCancelled: false })),
      writeReplay: () => Promise.resolve(),
    },
    clock,
    report: () => undefined,
  });
  replays.look();
  await clock.advance(1);
  // The time is in an id, and ids are what they are sorted by.
  ids = ["a", ...ids];
  replays.look();
  await clock.advance(1);
  await replays.close(0);
  expect(joined).toEqual(["b", "c"]);
});

test("the end of what is done as of the last commit is written even when nothing can be committed", async () => {
  const ended: string[] = [];
  const clock = new VirtualClock();
  const done = { ...PROGRESS, delivered: 9, leased: 0, done: true };
  const state = stateOf({ ...LANE, replays: [done, { ...PROGRESS, id: "going" }] }, () =>
    Promise.reject(new BrokerError("metadata_too_large", "a state of 4,097 characters")),
  );
  const replays = new LaneReplays({
    ...OPTIONS,
    replays: { join: async () => undefined, stop: async () => undefined, leave: async () => undefined },
    state: new LaneWithReplays(state),
    records: {
      ...RECORDS,
      replaysOf: () => [done.id, "going"].map((id) => ({ ...ASKED, id, isCancelled: true })),
      writeReplay: async (key, value) => void ended.push(`${key} ${value}`),
    },
    clock,
    report: () => undefined,
  });
  replays.look();
  await clock.advance(1);
  await replays.close(0);
  // How far the other one is says only who can commit it.
  expect(ended).toEqual([`${partKey(NAME, 3)} ${JSON.stringify({ ...LEDGER, delivered: 9 })}`]);
});
