/** Dead letters of a destination over all partitions, from any relay. */
import type { DeadLetter } from "@waybill/log";
import { expect, test } from "vitest";
import { laneEntry, relayEntry } from "../../lib/relay-entries.ts";
import { AUTHORIZED, ask, startRelay, type TestRelay, type TestRelayOptions } from "./lib/test-relay.ts";

const PATH = "/v1/dead-letters/production/segment";

interface Partition {
  readonly environment: object;
  /** Reasons of those that wait; `undefined` for the others. */
  readonly reasons: (string | undefined)[];
  readonly begun: unknown[];
}

/** A partition whose dead letters are in an array. */
function partition(at: number, reasons: readonly string[], damaged = 0): Partition {
  const kept: (string | undefined)[] = [...reasons];
  const begun: unknown[] = [];
  async function* list(filter: { deadLetterIds?: number[]; reason?: string }, from = 0): AsyncGenerator<DeadLetter> {
    for (const [deadLetterId, reason] of kept.entries()) {
      const isNamed = filter.deadLetterIds?.includes(deadLetterId) ?? true;
      if (reason === undefined || deadLetterId < from || !isNamed || !reason.includes(filter.reason ?? "")) continue;
      const event = Buffer.from(`{"messageId":"m-${at}-${deadLetterId}","n":1.0,"big":12345678901234567890}`);
      const times = { receivedAtMs: 1, rejectedAtMs: 1_000 + at + deadLetterId * 10 };
      yield {
        deadLetterId,
        state: "waiting",
        position: deadLetterId * 2,
        source: "web",
        ...times,
        reason,
        metadata: "",
        event,
      };
    }
  }
  const deadLetters = {
    list,
    counts: () => ({ damaged }),
    log: { head: kept.length },
    mark: async (ids: readonly number[]) => {
      for (const id of ids) kept[id] = undefined;
    },
    stateOf: (id: number) => (kept[id] === undefined ? "discarded" : "waiting"),
  };
  const destination = { deadLetters, config: { name: "segment" }, attempts: () => Promise.resolve([]) };
  const chosen = async (choice: { deadLetters: object }): Promise<number> => {
    let count = 0;
    for await (const _ of list(choice.deadLetters)) count += 1;
    return count;
  };
  const environment = {
    name: `production/${at}`,
    destination: (name: string) => (name === "segment" ? destination : undefined),
    replays: {
      views: () => [],
      count: (_name: string, choice: { deadLetters: object }) => chosen(choice),
      begin: async (_name: string, choice: { deadLetters: object }, eventsPerSecond?: number) => {
        begun.push({ at, eventsPerSecond });
        return replayOf(at, await chosen(choice));
      },
    },
  };
  return { environment, reasons: kept, begun };
}

function replayOf(at: number, accepted: number): object {
  const account = { accepted, delivered: 0, rejected: 0, dropped: 0, droppedByReason: {}, expired: 0 };
  return {
    id: `0190163d-8694-739b-aea5-966c26f8ad9${at}`,
    environment: `production/${at}`,
    destination: "segment",
    of: "dead letters",
    createdAtMs: 1,
    state: "running",
    account: { ...account, pending: accepted, balanced: true },
  };
}

const having = (partitions: readonly Partition[]): TestRelayOptions => ({
  partitions: 4,
  environments: Object.fromEntries(
    partitions.map((one) => [(one.environment as { name: string }).name, one.environment]),
  ),
});

interface World {
  readonly one: TestRelay;
  readonly two: TestRelay;
  readonly parts: readonly [Partition, Partition, Partition, Partition];
}

/** The first relay has 0 and 2, the second 1 and 3. */
async function startTwo(): Promise<World> {
  const parts = [
    partition(0, ["400 a", "400 b", "400 a"]),
    partition(1, ["400 a", "500"], 1),
    partition(2, []),
    partition(3, ["400 b"]),
  ] as const;
  const two = await startRelay("two", having([parts[1], parts[3]]));
  const one = await startRelay("one", having([parts[0], parts[2]]));
  one.known.push(
    relayEntry("one", { isSelf: true, lanes: [laneEntry(0), laneEntry(2)] }),
    relayEntry("two", { adminUrl: two.url, lanes: [laneEntry(1), laneEntry(3)] }),
  );
  return { one, two, parts };
}

const namesIn = (json: Readonly<Record<string, unknown>>): readonly string[] =>
  (json["deadLetters"] as { partition: number; deadLetterId: number }[]).map(
    ({ partition, deadLetterId }) => `${partition}:${deadLetterId}`,
  );
const ALL = ["0:0", "0:1", "0:2", "1:0", "1:1", "3:0"];

test("a list has the dead letters of all partitions, each with its own and its bytes", async () => {
  const { one } = await startTwo();
  const { json, text, headers } = await ask(one, "GET", PATH);
  expect(namesIn(json)).toEqual(ALL);
  expect(json).toMatchObject({ damaged: 1 });
  expect(json["next"]).toBeUndefined();
  expect(text.split('"n":1.0,"big":12345678901234567890').length - 1).toBe(ALL.length);
  expect(headers["waybill-unanswered"]).toBeUndefined();
  expect(namesIn((await ask(one, "GET", `${PATH}?reason=400%20b`)).json)).toEqual(["0:1", "3:0"]);
  expect(namesIn((await ask(one, "GET", `${PATH}?id=3:0,0:2`)).json)).toEqual(["0:2", "3:0"]);
});

test.each([1, 2, 3, 4, 5, 6])("pages of %i have each dead letter once, and the last one says so", async (limit) => {
  const { one } = await startTwo();
  const seen: string[] = [];
  let after = "";
  for (;;) {
    const { json } = await ask(one, "GET", `${PATH}?limit=${limit}${after}`);
    seen.push(...namesIn(json));
    if (json["next"] === undefined) break;
    expect(namesIn(json)).toHaveLength(limit);
    after = `&after=${String(json["next"])}`;
  }
  expect(seen).toEqual(ALL);
});

test("who comes or goes between two pages moves no other one", async () => {
  const { one, parts } = await startTwo();
  const { json } = await ask(one, "GET", `${PATH}?limit=2`);
  expect(json["next"]).toBe("0:1");
  parts[0].reasons[1] = undefined;
  parts[0].reasons.push("400 new");
  parts[3].reasons[0] = undefined;
  expect(namesIn((await ask(one, "GET", `${PATH}?limit=9&after=0:1`)).json)).toEqual(["0:2", "0:3", "1:0", "1:1"]);
});

test("reasons are summed over partitions, with the newest one's partition beside its id", async () => {
  const { one } = await startTwo();
  const { json } = await ask(one, "GET", `${PATH}/reasons`);
  expect(json).toEqual({
    groups: [
      { reason: "400 a", waiting: 3, first: 1_000, last: 1_020, example: 2, partition: 0 },
      { reason: "400 b", waiting: 2, first: 1_003, last: 1_010, example: 1, partition: 0 },
      { reason: "500", waiting: 1, first: 1_011, last: 1_011, example: 1, partition: 1 },
    ],
    others: 0,
  });
});

test("a retry is counted, and begins a replay where there are some, with its share of the rate", async () => {
  const { one, parts } = await startTwo();
  expect((await ask(one, "POST", `${PATH}/retry?dryRun=true`)).json).toEqual({ events: 6 });
  expect(parts.flatMap(({ begun }) => begun)).toEqual([]);
  const { status, json } = await ask(one, "POST", `${PATH}/retry?eventsPerSecond=3`);
  expect(status).toBe(202);
  expect(json["events"]).toBe(6);
  expect((json["replays"] as { id: string }[]).map(({ id }) => id.at(-1))).toEqual(["0", "1", "3"]);
  expect(parts.flatMap(({ begun }) => begun)).toEqual([
    { at: 0, eventsPerSecond: 1.5 },
    { at: 1, eventsPerSecond: 1 },
    { at: 3, eventsPerSecond: 0.5 },
  ]);
  // 476 * 0.001 is 0.47600000000000003.
  const { headers } = await ask(one, "POST", `${PATH}/retry?eventsPerSecond=1.428`);
  expect(headers["waybill-unanswered"]).toBeUndefined();
  expect(parts[1].begun.at(-1)).toEqual({ at: 1, eventsPerSecond: 0.476 });
});

test("a discard concerns those that were named, each in its partition", async () => {
  const { one, parts } = await startTwo();
  expect((await ask(one, "POST", `${PATH}/discard?id=0:0,1:0`)).json).toEqual({ events: 2, discarded: 2 });
  expect(parts.map(({ reasons }) => reasons.filter((reason) => reason !== undefined).length)).toEqual([2, 1, 0, 1]);
  expect((await ask(one, "POST", `${PATH}/discard`)).json).toEqual({ events: 4, discarded: 4 });
  expect((await ask(one, "POST", `${PATH}/discard`)).json).toEqual({ events: 0, discarded: 0 });
});

test.each(["id=0", "id=0:0,1", "id=4:0", "after=1", "after=9:1", "id=0:", "id=a:1", "id=0:1:2", "after=:1"])(
  "%s is refused, and nothing is done: it does not say which partition's is meant",
  async (query) => {
    const { one, two, parts } = await startTwo();
    const [method, path] = query.startsWith("after") ? ["GET", PATH] : ["POST", `${PATH}/discard`];
    expect((await ask(one, method as string, `${path}?${query}`)).json).toMatchObject({ code: "invalid_request" });
    expect(parts.flatMap(({ reasons }) => reasons)).not.toContain(undefined);
    expect([...one.asked, ...two.asked]).toEqual([]);
  },
);

test("an id with a partition is refused where a single partition is meant", async () => {
  const { one } = await startTwo();
  const { json } = await ask(one, "POST", "/v1/dead-letters/production%2F0/segment/discard?id=0:1");
  expect(json).toMatchObject({ code: "invalid_request" });
});

test("partitions whose relay does not answer are named, and the others are answered for", async () => {
  const { one, two } = await startTwo();
  one.known[1] = relayEntry("two", { adminUrl: "http://127.0.0.1:9", lanes: [laneEntry(1)] });
  const { json, headers } = await ask(one, "GET", PATH);
  expect(namesIn(json)).toEqual(["0:0", "0:1", "0:2"]);
  expect(headers["waybill-unanswered"]).toMatch(
    /^partition 1: two has not answered at http:.*refused; partition 3: no relay is known to have it now$/,
  );
  const discarded = await ask(one, "POST", `${PATH}/discard`);
  expect(discarded.json).toEqual({ events: 3, discarded: 3 });
  expect(String(discarded.headers["waybill-unanswered"])).toContain("partition 3");
  expect(two.asked).toEqual([]);
});

test("when nobody answers the answer is a refusal", async () => {
  const none = await startRelay("none", having([]));
  const { status, json } = await ask(none, "GET", PATH);
  expect([status, json["code"]]).toEqual([502, "relay_unanswered"]);
  expect(json["detail"]).toBe("partitions 0, 1, 2, 3: no relay is known to have it now.");
});

test("a relay that was silent once is not asked for its other partitions", async () => {
  const { one } = await startTwo();
  one.known[1] = relayEntry("two", { adminUrl: "http://127.0.0.1:9", lanes: [laneEntry(1), laneEntry(3)] });
  expect((await ask(one, "GET", `${PATH}/reasons`)).headers["waybill-unanswered"]).toMatch(/^partitions 1, 3: two /);
  expect(one.asked).toHaveLength(1);
});

test("a relay that has given a lane up, one of another version and a refusal are named as they are", async () => {
  const { one } = await startTwo();
  const two = await startRelay("two", having([]));
  const strange = partition(3, ["x"]);
  const three = await startRelay("three", { partitions: 4, environments: { "production/3": strange.environment } });
  (strange.environment as { name: string }).name = "production/7";
  one.known.splice(
    1,
    1,
    relayEntry("two", { adminUrl: two.url, lanes: [laneEntry(1)] }),
    relayEntry("three", { adminUrl: three.url, lanes: [laneEntry(3)] }),
  );
  expect((await ask(one, "GET", PATH)).headers["waybill-unanswered"]).toBe(
    "partition 1: no relay is known to have it now; partition 3: its relay answers with what is not known here",
  );
});

test("a relay that is asked by a relay answers for itself alone", async () => {
  const { one, two } = await startTwo();
  two.known.push(relayEntry("one", { adminUrl: one.url, lanes: [laneEntry(0), laneEntry(2)] }));
  const { status } = await ask(two, "GET", PATH, "", { "waybill-relay": "id-two" });
  expect(status).toBe(400);
  expect(two.asked).toEqual([]);
});

/** The lines of an export; `undefined` when it broke off. */
async function exported(relay: TestRelay, query = ""): Promise<readonly string[] | undefined> {
  const response = await fetch(`${relay.url}${PATH}/export${query}`, { headers: AUTHORIZED });
  expect(response.status).toBe(200);
  const text = await response.text().catch(() => undefined);
  return text?.split("\n").filter((line) => line !== "");
}

test("an export has the dead letters of all partitions, byte for byte", async () => {
  const { one, two } = await startTwo();
  const lines = await exported(one);
  expect(lines?.map((line) => JSON.parse(line) as { partition: number; deadLetterId: number })).toMatchObject(
    ALL.map((name) => ({ partition: Number(name[0]), deadLetterId: Number(name[2]) })),
  );
  for (const line of lines ?? []) expect(line).toContain('"n":1.0,"big":12345678901234567890}');
  expect(await exported(one, "?id=3:0,0:1")).toHaveLength(2);
  expect(await exported(one, "?reason=500")).toHaveLength(1);
  expect(two.asked).toEqual([]);
});

test("an export that cannot have all partitions is refused, or breaks off", async () => {
  const { one } = await startTwo();
  one.known[1] = relayEntry("two", { adminUrl: "http://127.0.0.1:9", lanes: [laneEntry(1), laneEntry(3)] });
  expect(await exported(one)).toBeUndefined();
  expect(await exported(one, "?id=0:1")).toHaveLength(1);
  one.known.pop();
  const { json, headers } = await ask(one, "GET", `${PATH}/export`);
  expect(json).toMatchObject({ status: 503, code: "lane_without_relay" });
  expect(json["detail"]).toMatch(/^partitions 1, 3: no relay is known to have it now\. /);
  expect(headers["retry-after"]).toBe("5");
});
