/** Retention of what another relay had read: it counts from a partition's first record on. */
import type { HttpResponse } from "@waybill/core";
import type { RetentionLimits } from "@waybill/log";
import { encodeValue } from "@waybill/log-kafka";
import { resolveEnvironment } from "@waybill/relay/headless";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import type { ClusterEnvironment } from "../../src/cluster/cluster-environment.ts";
import { NO_RELAYS } from "../../src/cluster/cluster-retention.ts";
import type { RelayEntry } from "../../src/cluster/relay-directory.ts";
import type { Destination } from "../../src/delivery/destination.ts";
import { laneEntry, relayEntry } from "../lib/relay-entries.ts";
import { openOn } from "./lib/environment.ts";
import { accountOf, EVENTS, OnePartition, TOPIC } from "./lib/one-partition.ts";

const AT = { topic: TOPIC, partition: 0 };
const FOREVER = { maxAgeMs: Number.POSITIVE_INFINITY, maxBytes: 1e12, hardMaxBytes: 1e12 };
const NOTHING = { maxAgeMs: 0, maxBytes: 0 };
const HOUR_MS = 3_600_000;

class Relays extends OnePartition {
  override readonly dedupe: OnePartition["dedupe"];

  constructor(dedupe: Partial<OnePartition["dedupe"]> = {}) {
    super();
    this.dedupe = { windowMs: 0, maxIds: 1_000, ...dedupe };
  }

  /** `count` times events, an hour apart, and all of them delivered by relays that stopped. */
  static async after(count: number, dedupe?: Partial<OnePartition["dedupe"]>, disk?: SimDisk): Promise<Relays> {
    const world = new Relays(dedupe);
    world.disk = disk;
    for (let from = 0; from < count * EVENTS; from += EVENTS) {
      const relay = await world.open(`relay ${from}`);
      await world.produce(from);
      await world.clock.until(() => world.sent.length === from + EVENTS);
      await world.settled(relay.sync());
      await world.close(relay);
      await world.clock.advance(HOUR_MS);
    }
    return world;
  }

  async settled<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    void work.then(() => (isDone = true));
    await this.clock.until(() => isDone);
    return work;
  }

  /** A relay that has the lane, and has read nothing of what is there. */
  async next(name: string): Promise<ClusterEnvironment> {
    const relay = await this.open(name);
    await this.clock.until(() => relay.shards[0]?.destination("segment") !== undefined);
    return relay;
  }

  retain(relay: ClusterEnvironment, limits: Partial<RetentionLimits>): Promise<number> {
    return this.settled(relay.retain({ ...FOREVER, ...limits }, this.clock.now()));
  }

  async first(): Promise<number> {
    return this.settled(this.cluster.connect("reader").offsetAt({ ...AT, at: "first", deadlineMs: 5_000 }));
  }

  async bytes(): Promise<number> {
    const first = await this.first();
    const kept = this.cluster.records(AT).filter(({ offset }) => offset >= first);
    return kept.reduce((sum, { value }) => sum + value.length, 0);
  }
}

test("what is older than maxAge goes, also what was read before the relay started", async () => {
  const world = await Relays.after(3);
  const relay = await world.next("next");
  await world.retain(relay, { maxAgeMs: 10 * HOUR_MS });
  expect(await world.first()).toBe(0);
  await world.retain(relay, { maxAgeMs: 2.5 * HOUR_MS });
  expect(await world.first()).toBe(EVENTS);
  const line = world.lines.filter((one) => one.startsWith("maintenance_failed"));
  expect(line).toEqual([]);
});

test("attempts are kept as long as their events, also those from before the relay was started", async () => {
  const world = await Relays.after(2, {}, new SimDisk());
  const relay = await world.next("next");
  await world.retain(relay, {});
  const traced = await world.settled(relay.shards[0]?.traceAt(0) ?? Promise.resolve(undefined));
  expect(traced).toMatchObject({ position: 0, event: expect.anything() });
  expect(traced?.destinations.flatMap(({ attempts }) => attempts)).not.toEqual([]);
});

test("a relay that starts after a removal goes on where the one before had stopped", async () => {
  const world = await Relays.after(3);
  await world.retain(await world.next("one"), { maxAgeMs: 2.5 * HOUR_MS });
  world.cluster.isolate("one");
  await world.clock.advance(HOUR_MS);
  let fetched = 0;
  const two = await world.open("two", (broker) => ({
    fetch: (asked) => {
      if (asked.offset < 2 * EVENTS) fetched += 1;
      return broker.fetch(asked);
    },
  }));
  await world.clock.until(() => two.shards[0]?.destination("segment") !== undefined);
  fetched = 0;
  const all = await world.bytes();
  await world.retain(two, { maxBytes: all - 1 });
  expect(await world.first()).toBe(EVENTS + 1);
  await world.retain(two, { maxBytes: Math.ceil(all / 2) });
  expect(await world.first()).toBe(2 * EVENTS);
  expect(fetched).toBe(2);
  // Nothing is read as long as nothing may go.
  await world.retain(two, {});
  expect(fetched).toBe(2);
});

test("what Kafka has removed by itself is counted once, and limits hold after that", async () => {
  const world = await Relays.after(3);
  await world.settled(world.cluster.connect("x").removeBefore({ ...AT, offset: 3, deadlineMs: 5_000 }));
  const relay = await world.next("next");
  const all = await world.bytes();
  await world.retain(relay, { maxBytes: all / 2 });
  await world.clock.advance(1_000);
  await world.retain(relay, { maxBytes: all / 2 });
  expect(await world.bytes()).toBeLessThanOrEqual(all / 2);
  expect(await world.bytes()).toBeGreaterThan(all / 2 - all / (3 * EVENTS - 3) - 1);
});

test("a crash between what is written down and the removal removes nothing that is kept, and retention goes on", async () => {
  const world = await Relays.after(4);
  let isDying = false;
  const one = await world.open("one", (broker) => ({
    removeBefore: (asked) => (isDying ? new Promise(() => undefined) : broker.removeBefore(asked)),
  }));
  await world.clock.until(() => one.shards[0]?.destination("segment") !== undefined);
  await world.retain(one, { maxAgeMs: 3.5 * HOUR_MS });
  isDying = true;
  void one.retain({ ...FOREVER, maxAgeMs: 2.5 * HOUR_MS }, world.clock.now());
  await world.clock.advance(10_000);
  world.cluster.isolate("one");
  await world.clock.advance(HOUR_MS / 2);
  const two = await world.next("two");
  await world.retain(two, {});
  await world.clock.advance(1_000);
  expect(await world.first()).toBe(EVENTS);
  await world.retain(two, { maxAgeMs: 3 * HOUR_MS });
  expect(await world.first()).toBe(2 * EVENTS);
});

test("what a lane still needs goes above the hard limit alone, and is expired then", async () => {
  const world = await Relays.after(1);
  const one = await world.open("one");
  world.hangs = true;
  await world.produce(EVENTS);
  await world.clock.advance(5_000);
  world.cluster.isolate("one");
  await world.clock.advance(HOUR_MS);
  const two = await world.next("two");
  const limits = { maxAgeMs: 0, maxBytes: 0 };
  await world.retain(two, limits);
  await world.retain(two, limits);
  expect(await world.first()).toBe(EVENTS);
  await world.retain(two, { ...limits, hardMaxBytes: 0 });
  expect(await world.first()).toBeGreaterThan(EVENTS);
  expect(two.shards[0]?.destination("segment")?.account().expired).toBeGreaterThan(0);
  void one;
});

test("what a destination of a newer configuration needs stays below the hard limit too", async () => {
  const world = await Relays.after(3);
  let elsewhere: readonly string[] | undefined = ["added"];
  world.settings = { relays: { ...NO_RELAYS, destinationsElsewhere: () => elsewhere } };
  const relay = await world.next("old");
  // It has committed nothing: where it begins is not known.
  await world.retain(relay, NOTHING);
  expect(await world.first()).toBe(0);
  const offsets = [{ ...AT, offset: EVENTS, metadata: "" }];
  const of = { group: `${TOPIC}.added`, memberId: "", memberEpoch: -1, deadlineMs: 5_000 };
  await world.settled(world.cluster.connect("new").commit({ ...of, offsets }));
  await world.retain(relay, NOTHING);
  expect(await world.first()).toBe(EVENTS);
  elsewhere = undefined;
  await world.retain(relay, NOTHING);
  expect(await world.first()).toBe(EVENTS);
  await world.retain(relay, { ...NOTHING, hardMaxBytes: 0 });
  expect(await world.first()).toBeGreaterThan(EVENTS);
});

test("what duplicates of the next events are known by stays below the hard limit", async () => {
  const byTime = await Relays.after(3, { windowMs: 1.5 * HOUR_MS });
  const relay = await byTime.next("next");
  await byTime.retain(relay, NOTHING);
  expect(await byTime.first()).toBe(2 * EVENTS);
  await byTime.retain(relay, { ...NOTHING, hardMaxBytes: 0 });
  expect(await byTime.first()).toBe(3 * EVENTS);

  const byIds = await Relays.after(3, { windowMs: 10 * HOUR_MS, maxIds: 25 });
  await byIds.retain(await byIds.next("next"), NOTHING);
  expect(await byIds.first()).toBe(3 * EVENTS - 25);
});

test("so it is where one relay has read all of it, a part at a time", async () => {
  const world = new Relays({ windowMs: 0.1 * HOUR_MS });
  const relay = await world.next("one");
  for (const from of [0, EVENTS, 2 * EVENTS]) {
    await world.produce(from);
    await world.clock.until(() => world.sent.length === from + EVENTS);
    await world.clock.advance(0.15 * HOUR_MS);
  }
  await world.retain(relay, NOTHING);
  const first = await world.first();
  expect(first).toBeGreaterThan(EVENTS);
  expect(first).toBeLessThanOrEqual(2 * EVENTS);
});

test("copies that a lane has not come to are known by who opens the partition after a removal", async () => {
  const world = await Relays.after(1, { windowMs: 1.5 * HOUR_MS });
  const sent = [...world.sent];
  world.hangs = true;
  const one = await world.open("one");
  await world.store([EVENTS, 3, 4, 5]);
  await world.clock.advance(0.75 * HOUR_MS);
  await world.retain(one, NOTHING);
  world.cluster.isolate("one");
  await world.clock.advance(100_000);
  world.hangs = false;
  const two = await world.next("two");
  await world.clock.until(() => accountOf(two)?.pending === 0);
  expect(world.sent).toEqual([...sent, `m-${EVENTS}`]);
});

test("old dead letters go with old events, of whichever destination", async () => {
  const world = new Relays();
  const relay = await world.next("one");
  world.status = 400;
  const values = Array.from({ length: EVENTS }, (_, number) => {
    const body = Buffer.from(JSON.stringify({ type: "track", event: "E".repeat(100_000), messageId: `m-${number}` }));
    const ends = Uint32Array.of(body.length);
    return encodeValue({ source: "web", receivedAtMs: 1, metadata: "", body: [body], ends });
  });
  await world.settled(world.cluster.connect("writer").produce({ ...AT, values, deadlineMs: 5_000 }));
  const deadLetters = relay.shards[0]?.destination("segment")?.deadLetters;
  await world.clock.until(() => deadLetters?.counts().waiting === EVENTS);
  await world.retain(relay, {});
  expect(deadLetters?.counts().waiting).toBe(EVENTS);
  await world.retain(relay, NOTHING);
  expect(deadLetters?.counts().waiting).toBeLessThan(EVENTS);
  const dead = { topic: `${TOPIC}.segment.dead`, partition: 0 };
  const reader = world.cluster.connect("reader");
  expect(await world.settled(reader.offsetAt({ ...dead, at: "first", deadlineMs: 5_000 }))).toBeGreaterThan(0);
});

test("attempts stay as long as their events, also where these were counted before the partition was opened again", async () => {
  const world = new Relays();
  const relay = await world.next("one");
  const destination = (): Destination | undefined => relay.shards[0]?.destination("segment");
  await world.produce(0);
  await world.clock.until(() => world.sent.length === EVENTS);
  await world.settled(relay.sync());
  world.cluster.isolate("one");
  await world.clock.until(() => destination() === undefined);
  world.cluster.heal("one");
  await world.clock.until(() => destination() !== undefined);
  expect(relay.shards[0]?.log.first).toBe(EVENTS);
  await world.produce(EVENTS);
  await world.clock.until(() => world.sent.length === 2 * EVENTS);
  const attempts = async (): Promise<number | undefined> => (await destination()?.trace(0))?.attempts.length;
  expect(await world.settled(attempts())).toBe(1);
  await world.retain(relay, {});
  expect(await world.settled(attempts())).toBe(1);
});

test("each partition has its retention, also beside relays that got their destinations by a reload", async () => {
  const PARTITIONS = 4;
  const clock = new VirtualClock();
  const cluster = new SimCluster({ clock, random: new SeededRandom(1), heartbeatIntervalMs: 200 });
  const config = (...names: readonly string[]): ReturnType<typeof resolveEnvironment> =>
    resolveEnvironment("test", {
      sources: { web: { protocol: "segment", writeKeys: ["in"] } },
      destinations: Object.fromEntries(
        names.map((name) => [name, { vendor: "segment", url: `http://${name}.test`, writeKey: "k" }]),
      ),
    });
  const open = async (name: string, ...destinations: readonly string[]): Promise<ClusterEnvironment> => {
    const broker = cluster.connect(name);
    const dedupe = { windowMs: 0, maxIds: 0 };
    const transport = async (): Promise<HttpResponse> => ({ status: 200, headers: {}, body: "{}" });
    const own = { clock, broker, partitions: PARTITIONS, dedupe, transport, config: config(...destinations) };
    const relay = await openOn(own);
    relay.start();
    await clock.advance(10_000);
    return relay;
  };
  const run = async <T>(work: Promise<T>): Promise<T> => {
    let isDone = false;
    void work.then(() => (isDone = true));
    await clock.until(() => isDone);
    return work;
  };
  const old = await open("old", "b");
  const other = await open("other", "a", "b");
  const { commit } = await run(old.prepare(config("a", "b")));
  await run(commit(1_000));
  await clock.advance(10_000);
  const lanesOf = (relay: ClusterEnvironment): readonly string[] =>
    relay.laneEntries().map(({ destination, partition }) => `${destination} ${partition}`);
  expect(lanesOf(old).toSorted()).toEqual(["a 2", "a 3", "b 0", "b 1"]);
  const body = Buffer.from('{"type":"track","event":"E","messageId":"m"}');
  const value = encodeValue({ source: "web", receivedAtMs: 1, metadata: "", body: [body], ends: Uint32Array.of(44) });
  const writer = cluster.connect("writer");
  for (let partition = 0; partition < PARTITIONS; partition++)
    await run(writer.produce({ topic: TOPIC, partition, values: new Array(EVENTS).fill(value), deadlineMs: 1_000 }));
  await clock.advance(2_000);
  for (const relay of [old, other]) await run(relay.retain({ ...FOREVER, hardMaxBytes: 0 }, clock.now()));
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const first = await run(writer.offsetAt({ topic: TOPIC, partition, at: "first", deadlineMs: 1_000 }));
    expect(first, `partition ${partition}`).toBeGreaterThan(0);
  }
});

test("who delivers a partition to the first destination by name looks after it, of those that have a relay", async () => {
  const world = await Relays.after(3);
  const other = (destination: string, changes: Partial<RelayEntry> = {}): RelayEntry =>
    relayEntry("other", { lanes: [laneEntry(0, { environment: "test", destination })], ...changes });
  let relays: readonly RelayEntry[] = [other("crm")];
  world.settings = { relays: { ...NO_RELAYS, relays: () => relays } };
  const relay = await world.next("one");
  await world.retain(relay, { maxAgeMs: 2.5 * HOUR_MS });
  expect(await world.first()).toBe(0);
  // Of another partition or environment, after ours, or of a relay that has gone.
  const lanes = [laneEntry(1, { environment: "test", destination: "crm" }), laneEntry(0, { destination: "crm" })];
  relays = [other("tracker"), relayEntry("two", { lanes }), other("crm", { isMissing: true })];
  await world.retain(relay, { maxAgeMs: 2.5 * HOUR_MS });
  expect(await world.first()).toBe(EVENTS);
});

test("the first relay looks after partitions that nobody delivers, a minute after the last one did", async () => {
  const world = new Relays();
  const config = resolveEnvironment("test", {
    sources: { web: { protocol: "segment", writeKeys: ["in"] } },
    destinations: {},
  });
  const self = relayEntry("b", { isSelf: true });
  let relays: readonly RelayEntry[] = [self, relayEntry("a")];
  world.settings = { config, relays: { ...NO_RELAYS, selfId: self.id, relays: () => relays } };
  const relay = await world.open("one");
  await world.produce(0);
  await world.retain(relay, NOTHING);
  await world.clock.advance(60_000);
  await world.retain(relay, NOTHING);
  expect(await world.first()).toBe(0);
  relays = [self, relayEntry("a", { isMissing: true }), relayEntry("c")];
  await world.retain(relay, { ...NOTHING, maxAgeMs: HOUR_MS, maxBytes: 1e9 });
  expect(await world.first()).toBe(0);
  await world.retain(relay, NOTHING);
  expect(await world.first()).toBe(EVENTS);
  // Who counts next begins there.
  await world.produce(EVENTS);
  await world.retain(relay, { ...NOTHING, maxBytes: (await world.bytes()) / 2 });
  expect(await world.first()).toBeGreaterThan(EVENTS);
  expect(world.lines.filter((line) => line.startsWith("records_not_removed"))).toEqual([]);
  relays = [self, relayEntry("c", { lanes: [laneEntry(0, { environment: "test", destination: "x" })] })];
  await world.retain(relay, NOTHING);
  relays = [self];
  await world.retain(relay, NOTHING);
  expect(await world.first()).toBeLessThan(2 * EVENTS);
});
