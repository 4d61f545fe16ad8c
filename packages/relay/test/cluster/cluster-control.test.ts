/** What relays ask of each other over two topics: who confirms, who is missing, what fails. */
import { createHash } from "node:crypto";
import { WaybillError } from "@waybill/core";
import { type Broker, BrokerError } from "@waybill/log-kafka";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import type { ReloadResult } from "../../src/admin/views.ts";
import { ClusterControl } from "../../src/cluster/cluster-control.ts";
import type { LaneEntry } from "../../src/cluster/relay-directory.ts";
import type { KeptRotation } from "../../src/credentials/kept-rotations.ts";

const SEALING_KEY = "0123456789abcdef0123456789abcdef";
const LANES = { environment: "test", destination: "crm" };
const RELOADED: ReloadResult = { ok: true, changed: ["all"], errors: [] };
const DESIRED = { topic: "waybill.desired", partition: 0 };
const RELAYS = { topic: "waybill.relays", partition: 0 };

interface Given {
  /** Gets the codes of what is logged. */
  readonly lines?: string[];
  readonly sealingKey?: string;
  readonly lanes?: () => readonly LaneEntry[];
  readonly adopt?: (rotation: KeptRotation) => Promise<void>;
  readonly reload?: () => Promise<ReloadResult>;
  /** Topics of which it gets no records until this resolves. */
  readonly unread?: { readonly topic: string; readonly until: Promise<void> };
  /** A topic that takes nothing of it. */
  readonly refuses?: () => string | undefined;
}

interface TestRelay {
  readonly control: ClusterControl;
  /** What it did, in order. */
  readonly done: readonly string[];
  readonly lines: readonly string[];
  /** Of the lines that have one. */
  readonly texts: readonly string[];
}

class World {
  readonly clock = new VirtualClock();
  readonly cluster = new SimCluster({ clock: this.clock, random: new SeededRandom(1) });

  async run<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = (): void => void (isSettled = true);
    promise.then(settled, settled);
    await this.clock.until(() => isSettled);
    return promise;
  }

  async open(name: string, given: Given = {}): Promise<TestRelay> {
    const { sealingKey, adopt = () => Promise.resolve(), reload = () => Promise.resolve(RELOADED) } = given;
    const done: string[] = [];
    const { lines = [] } = given;
    const texts: string[] = [];
    const broker = withUnread(withRefused(this.cluster.connect(name), given.refuses), given.unread);
    const control: ClusterControl = await this.run(
      ClusterControl.open({
        broker,
        clock: this.clock,
        random: new SeededRandom(name.length),
        kafka: {
          brokers: ["kafka:9092"],
          topicPrefix: "waybill",
          partitions: 2,
          replicationFactor: 3,
          minInSyncReplicas: 2,
          clientId: name,
          ...(sealingKey === undefined ? {} : { sealingKey }),
        },
        carryOut: {
          faults: () => [],
          steer: (lanes) => void done.push(`${lanes.destination}: ${control.holdOf(lanes) ?? "goes on"}`),
          replay: (environment) => void done.push(`replays of ${environment}`),
          adopt: async (rotation) => {
            await adopt(rotation);
            done.push(`adopted ${rotation.keys.at(-1)?.key}`);
          },
          reload: () => {
            done.push("reload");
            return reload();
          },
          lanes: given.lanes ?? (() => []),
          config: () => ({ configDigest: "abc" }),
        },
        report: (code, fields) => {
          lines.push(code);
          if ("text" in fields) texts.push(fields.text);
        },
        name,
        version: "1",
      }),
    );
    await this.run(control.start());
    return { control, done, lines, texts };
  }
}

function withRefused(broker: Broker, refuses: () => string | undefined = () => undefined): Broker {
  const produce = broker.produce.bind(broker);
  return Object.assign(broker, {
    produce: async (asked: Parameters<Broker["produce"]>[0]) => {
      if (asked.topic === refuses()) throw new BrokerError("not_enough_replicas", "1 of 3");
      return produce(asked);
    },
  });
}

function withUnread(broker: Broker, unread: Given["unread"]): Broker {
  const fetch = broker.fetch.bind(broker);
  return Object.assign(broker, {
    fetch: async (asked: Parameters<Broker["fetch"]>[0]) => {
      const fetched = await fetch(asked);
      if (asked.topic === unread?.topic && fetched.records.length > 0) await unread.until;
      return fetched;
    },
  });
}

function laneOf(partition: number): LaneEntry {
  const lane = { ...LANES, partition, mode: "idle" as const };
  return { ...lane, position: 0, offset: 0, pendingEvents: 0, inFlight: 0 };
}

function rotationOf(key: string): KeptRotation {
  const digest = createHash("sha256").update(key).digest("hex");
  return { keySet: "destination test/crm", atMs: 1, keys: [{ digest, key }], configured: [] };
}

const HELD = "crm: paused by an operator";

test("what several operators ask at once is carried out by all in one order", async () => {
  const world = new World();
  const one = await world.open("one");
  const two = await world.open("two");
  const startedAtMs = world.clock.monotonic();
  const asked = [one, two, one, two].map(({ control }, index) =>
    control.steer(LANES, index % 2 === 0 ? "pause" : "resume"),
  );
  const answers = await world.run(Promise.all(asked));
  // Changes are reported at once.
  expect(world.clock.monotonic() - startedAtMs).toBeLessThan(1_000);
  expect(answers.map(({ unconfirmed }) => unconfirmed)).toEqual([[], [], [], []]);
  expect(one.done).toHaveLength(4);
  expect(two.done).toEqual(one.done);
  const late = await world.open("late");
  expect(late.control.holdOf(LANES)).toBe(one.control.holdOf(LANES));
  expect(late.done).toEqual([]);
});

test("a relay that does not read is named after five seconds, and carries it out when it reads again", async () => {
  const world = new World();
  const one = await world.open("one");
  const two = await world.open("two", { lanes: () => [laneOf(0)] });
  world.cluster.isolate("two");
  const startedAtMs = world.clock.monotonic();
  const { unconfirmed } = await world.run(one.control.steer(LANES, "pause"));
  expect(world.clock.monotonic() - startedAtMs).toBeGreaterThanOrEqual(5_000);
  expect(world.clock.monotonic() - startedAtMs).toBeLessThan(6_000);
  expect(unconfirmed).toHaveLength(1);
  expect(unconfirmed[0]).toMatch(/^two \(seen \d+ s ago\)$/);
  expect(one.done).toEqual([HELD]);
  expect(two.done).toEqual([]);
  world.cluster.heal("two");
  await world.clock.advance(10_000);
  expect(two.done).toEqual([HELD]);
  expect((await world.run(one.control.steer(LANES, "resume"))).unconfirmed).toEqual([]);
});

test("a relay that came just now is waited for, although the one that is asked has not read of it yet", async () => {
  const world = new World();
  let read: () => void = () => undefined;
  const isRead = new Promise<void>((resolve) => (read = resolve));
  let hear: () => void = () => undefined;
  const isHeard = new Promise<void>((resolve) => (hear = resolve));
  const one = await world.open("one", { unread: { topic: RELAYS.topic, until: isRead } });
  const two = await world.open("two", { unread: { topic: DESIRED.topic, until: isHeard } });
  let answer: readonly string[] | undefined;
  void one.control.steer(LANES, "pause").then(({ unconfirmed }) => (answer = unconfirmed));
  await world.clock.advance(1_000);
  expect([one.done, two.done, answer]).toEqual([[HELD], [], undefined]);
  read();
  await world.clock.advance(1_000);
  expect(answer).toBeUndefined();
  hear();
  await world.clock.advance(1_000);
  expect([two.done, answer]).toEqual([[HELD], []]);
});

test("a relay begins no lane as long as others cannot know of it", async () => {
  const world = new World();
  const one = await world.open("one");
  let refused: string | undefined = RELAYS.topic;
  const lanes = (): readonly LaneEntry[] => [laneOf(0)];
  const two = await world.open("two", { refuses: () => refused, lanes });
  expect(one.control.directory.relays().map(({ name }) => name)).toEqual(["one"]);
  await expect(world.run(two.control.caughtUpWithAll())).rejects.toThrow("1 of 3");
  refused = undefined;
  await world.run(two.control.caughtUpWithAll());
  await world.run(one.control.steer(LANES, "pause"));
  expect(one.control.directory.relays().map(({ name }) => name)).toEqual(["one", "two"]);
  // What it has is known: the lanes that it gets next wait.
  refused = RELAYS.topic;
  await world.clock.advance(5_000);
  await expect(world.run(two.control.caughtUpWithAll())).rejects.toThrow("1 of 3");
});

test("a relay that died is missing after 15 s, is waited for until another has its lanes, however long", async () => {
  const world = new World();
  let lanes: readonly LaneEntry[] = [];
  const one = await world.open("one", { lanes: () => lanes });
  await world.open("two", { lanes: () => [laneOf(0)] });
  world.cluster.isolate("two");
  const two = (): unknown => one.control.directory.relays().find(({ name }) => name === "two");
  await world.clock.advance(14_000);
  expect(two()).toMatchObject({ isMissing: false });
  await world.clock.advance(4_000);
  expect(two()).toMatchObject({ isMissing: true, lanes: [laneOf(0)] });
  // It may be alive, and send what it had.
  expect((await world.run(one.control.steer(LANES, "pause"))).unconfirmed).toHaveLength(1);
  expect((await world.run(one.control.steer({ ...LANES, destination: "other" }, "pause"))).unconfirmed).toEqual([]);
  await world.clock.advance(3_600_000);
  expect((await world.run(one.control.steer(LANES, "pause"))).unconfirmed).toHaveLength(1);
  lanes = [laneOf(0)];
  one.control.lanesChanged();
  await world.clock.advance(100);
  expect((await world.run(one.control.steer(LANES, "resume"))).unconfirmed).toEqual([]);
});

test("who died more than an hour ago is taken out of the topic by who comes", async () => {
  const world = new World();
  const { control } = await world.open("one");
  world.cluster.isolate("one");
  await world.run(control.stop());
  const [dead] = world.cluster.records(RELAYS).map(({ key }) => key);
  await world.clock.advance(3_600_000);
  const late = await world.open("late");
  await world.clock.advance(3_000);
  expect(late.control.directory.relays().map(({ name }) => name)).toEqual(["late"]);
  const last = world.cluster.records(RELAYS).findLast(({ key }) => key === dead);
  expect(last?.value.length ?? 0).toBe(0);
});

test("a relay that starts later sees who died while it was not there, and not who stopped", async () => {
  const world = new World();
  const one = await world.open("one");
  const two = await world.open("two");
  world.cluster.isolate("one");
  await world.run(two.control.stop());
  await world.clock.advance(60_000);
  const late = await world.open("late");
  await world.clock.advance(1_000);
  const [listed] = late.control.directory.relays().filter(({ name }) => name !== "late");
  expect(listed).toMatchObject({ name: "one", isMissing: true, isSelf: false });
  expect(listed?.seenMs).toBeGreaterThan(59_000);
  expect(late.control.directory.relays()).toHaveLength(2);
  expect(one.control.directory.readMs).toBeGreaterThan(59_000);
});

test("a start without a broker says after three seconds whom it tries, once, and is refused after thirty", async () => {
  const world = new World();
  world.cluster.isolate("one");
  const lines: string[] = [];
  const opening = world.open("one", { lines });
  await world.clock.advance(2_500);
  expect(lines).toEqual([]);
  await expect(opening).rejects.toMatchObject({ code: "WAYBILL_LOG_UNAVAILABLE" });
  expect(lines).toEqual(["brokers_not_reached"]);
});

test("topics that cannot be used stop nothing, and are reported when it begins and when it ends", async () => {
  const world = new World();
  const { control, lines } = await world.open("one");
  world.cluster.isolate("one");
  await world.clock.advance(120_000);
  const steering = control.steer(LANES, "pause");
  await expect(world.run(steering)).rejects.toMatchObject({ code: "WAYBILL_LOG_UNAVAILABLE", retryable: true });
  await expect(world.run(control.caughtUp())).rejects.toMatchObject({ code: "WAYBILL_LOG_UNAVAILABLE" });
  await world.clock.advance(120_000);
  // Two topics are read, one of them is written as well.
  expect(lines).toEqual(["cluster_topic_failing", "cluster_topic_failing"]);
  world.cluster.heal("one");
  await world.clock.advance(10_000);
  expect(lines.slice(2)).toEqual(["cluster_topic_works", "cluster_topic_works"]);
  expect(control.directory.relays()).toMatchObject([{ name: "one", isSelf: true, isMissing: false }]);
});

test("compaction takes nothing that a relay that comes later needs", async () => {
  const world = new World();
  const { control } = await world.open("one", { sealingKey: SEALING_KEY });
  for (const action of ["pause", "resume", "pause"] as const) await world.run(control.steer(LANES, action));
  for (const key of ["first", "second"]) await world.run(control.rotate(rotationOf(key)));
  await world.run(control.reload());
  await world.clock.advance(10_000);
  expect(world.cluster.retain()).toBeGreaterThan(3);
  expect(world.cluster.records(DESIRED).map(({ key }) => key)).toEqual([
    "pause/test/crm",
    "rotation/destination test/crm",
    "reload",
  ]);
  // As far as clocks may differ.
  await world.clock.advance(300_000);
  const late = await world.open("late", { sealingKey: SEALING_KEY });
  expect(late.control.holdOf(LANES)).toBe("paused by an operator");
  expect(late.control.takeRotations()).toEqual([rotationOf("second")]);
  // The reload was before its time.
  expect(late.done).toEqual([]);
  expect((await world.run(late.control.steer(LANES, "resume"))).unconfirmed).toEqual([]);
  expect(control.holdOf(LANES)).toBeUndefined();
});

test("a reload that is asked for while a relay starts is carried out by it, and confirmed after that", async () => {
  const world = new World();
  const one = await world.open("one");
  let read: () => void = () => undefined;
  const until = new Promise<void>((resolve) => (read = resolve));
  let reloaded: () => void = () => undefined;
  const reload = (): Promise<ReloadResult> => new Promise((resolve) => (reloaded = () => resolve(RELOADED)));
  // It has read its file.
  const opening = world.open("two", { unread: { topic: RELAYS.topic, until }, reload });
  await world.clock.advance(1_000);
  await world.run(one.control.reload());
  read();
  const two = await opening;
  await world.clock.advance(3_000);
  expect(two.done).toEqual(["reload"]);
  const { offset = 0 } = world.cluster.records(DESIRED).findLast(({ key }) => key === "reload") ?? {};
  const confirmed = (): number | undefined =>
    one.control.directory.relays().find(({ name }) => name === "two")?.appliedOffset;
  expect(confirmed()).toBe(offset);
  reloaded();
  await world.clock.advance(100);
  expect(confirmed()).toBe(offset + 1);
});

test("lanes that come while a rotated key is being taken over wait for it", async () => {
  const world = new World();
  let taken: () => void = () => undefined;
  const adopt = (): Promise<void> => new Promise((resolve) => (taken = resolve));
  const one = await world.open("one", { sealingKey: SEALING_KEY });
  const two = await world.open("two", { sealingKey: SEALING_KEY, adopt });
  const rotating = one.control.rotate(rotationOf("new"));
  await world.clock.advance(1_000);
  expect(one.control.holdOf(LANES)).toBeUndefined();
  expect(two.control.holdOf(LANES)).toContain("about to be used");
  taken();
  expect((await world.run(rotating)).unconfirmed).toEqual([]);
  expect(two.control.holdOf(LANES)).toBeUndefined();
  expect(two.done).toEqual(["adopted new", "crm: goes on"]);
});

test("a rotation that cannot be opened is logged for its own keys, in few characters", async () => {
  const world = new World();
  const one = await world.open("one", { sealingKey: SEALING_KEY });
  const stranger = world.cluster.connect("stranger");
  const keys = ["destination test/a", "destination test/b", "destination test/a", "x".repeat(500_000)];
  for (const key of keys) {
    const values = [Buffer.from('{"sealed":"AAAA"}')];
    const record = { topic: "waybill.desired", partition: 0, keys: [`rotation/${key}`], values };
    await world.run(stranger.produce({ ...record, deadlineMs: 5_000 }));
  }
  await world.clock.until(() => one.texts.length === keys.length);
  expect(one.texts.slice(0, 3).map((text) => text.slice(0, 18))).toEqual(keys.slice(0, 3));
  expect(one.texts[3]?.length).toBe(500);
});

test("a key that one relay cannot use, or cannot open, holds its lanes there until the next one", async () => {
  const world = new World();
  let isRefused = true;
  const adopt = (): Promise<void> =>
    isRefused ? Promise.reject(new WaybillError("WAYBILL_CONFIG", "bad key")) : Promise.resolve();
  const one = await world.open("one", { sealingKey: SEALING_KEY });
  const two = await world.open("two", { sealingKey: SEALING_KEY, adopt });
  const other = await world.open("other", { sealingKey: SEALING_KEY.toUpperCase() });
  await world.run(one.control.rotate(rotationOf("new")));
  expect(one.control.holdOf(LANES)).toBeUndefined();
  expect(two.control.holdOf(LANES)).toContain("bad key");
  expect(other.control.holdOf(LANES)).toContain("another kafka.sealingKey");
  expect(two.lines).toEqual(["rotation_not_used"]);
  expect(other.lines).toEqual(["rotation_not_used"]);
  await world.clock.advance(100);
  const faults = one.control.directory.relays().flatMap(({ faults: found }) => found);
  expect(faults).toHaveLength(2);
  isRefused = false;
  await world.run(one.control.rotate(rotationOf("newer")));
  expect(two.control.holdOf(LANES)).toBeUndefined();
  expect(other.control.holdOf(LANES)).toBeDefined();
});

test("of a flood of what was asked as much is kept as there is room for, and more is refused", async () => {
  const world = new World();
  const one = await world.open("one");
  await world.run(one.control.steer(LANES, "pause"));
  const stranger = world.cluster.connect("stranger");
  const values = [Buffer.alloc(7 * 1024 * 1024, "x")];
  const flood = [1, 2, 3, 4, 5].map((id) => `replay/test/${id}198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa`);
  for (const key of flood) await world.run(stranger.produce({ ...DESIRED, keys: [key], values, deadlineMs: 5_000 }));
  await world.clock.until(() => one.lines.length > 0);
  // They are written at once, and not all of them find room when they are read.
  const others = Array.from({ length: 20 }, (_, index) => ({
    ...LANES,
    destination: `crm-${index}-${"x".repeat(250_000)}`,
  }));
  const asked = await Promise.allSettled(others.map((lanes) => world.run(one.control.steer(lanes, "pause"))));
  const refused = asked.flatMap((one) => (one.status === "rejected" ? [one.reason as Error] : []));
  expect(refused.length).toBeGreaterThan(0);
  for (const error of refused)
    expect([error, error.message]).toMatchObject([
      { code: "WAYBILL_INPUT" },
      expect.stringMatching(/^waybill\.desired has more keys/),
    ]);
  const held = others.filter((lanes) => one.control.holdOf(lanes) !== undefined);
  expect(held).toHaveLength(others.length - refused.length);
  await world.run(one.control.reload());
  expect(one.control.holdOf(LANES)).toBe("paused by an operator");
  expect(one.lines).toEqual(["desired_topic_full"]);
  const late = await world.open("late");
  expect(late.control.holdOf(LANES)).toBe("paused by an operator");
  expect(late.lines).toEqual(["desired_topic_full"]);
  await world.clock.advance(3_000);
  const faults = one.control.directory.relays().map((relay) => relay.faults);
  expect(faults).toEqual([[expect.stringContaining("waybill.desired")], [expect.stringContaining("waybill.desired")]]);
  // A replay may have been left out, and what says how it ended not: it would run again without.
  const ended = "replay/test/0298c0de-7a11-7c3e-9f00-5d3c6ad2b1aa";
  const ledger = { total: 9, delivered: 9, rejected: 0, expired: 0, dropped: {} };
  await world.run(late.control.writeReplay(`${ended}/0`, JSON.stringify(ledger)));
  await world.clock.advance(1_000);
  expect(one.control.forgottenKeys("test")).toEqual([]);
  expect(one.control.isForgotten({ environment: "test", id: ended.slice(-36) })).toBe(false);
  // What takes something back always has room.
  await world.run(late.control.steer(LANES, "resume"));
  expect(one.control.holdOf(LANES)).toBeUndefined();
});

test("a reload tells what other relays found wrong, and a slow one holds up no pause", async () => {
  const world = new World();
  const one = await world.open("one");
  let loaded: (result: ReloadResult) => void = () => undefined;
  const reload = (): Promise<ReloadResult> => new Promise((resolve) => (loaded = resolve));
  const two = await world.open("two", { reload });
  const reloading = one.control.reload();
  await world.clock.advance(500);
  const pausing = one.control.steer(LANES, "pause");
  await world.clock.advance(500);
  expect(two.done).toEqual(["reload", HELD]);
  loaded({ ok: false, changed: [], errors: ["line 7 is wrong"] });
  expect(await world.run(reloading)).toEqual({ ok: false, changed: ["all"], errors: ["two: line 7 is wrong"] });
  expect((await world.run(pausing)).unconfirmed).toEqual([]);
});
