/** Logs over a cluster where everything goes wrong that may, against what the cluster has. */
import type { LogReader } from "@waybill/log";
import { type Broker, decodeValue, encodeValue, PartitionLog } from "@waybill/log-kafka";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { ClusterChaos, SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import { entryOf, idsOf, readAll, textsOf, within } from "./lib/world.ts";

const SEEDS = 12;
const STEPS = 60;
const TURNS = 120;
const WHERE = { topic: "events", partition: 0 };
const DUPLICATES = { windowMs: 20_000, maxIds: 50, idsOf };

interface World {
  readonly random: SeededRandom;
  readonly clock: VirtualClock;
  readonly cluster: SimCluster;
  readonly chaos: ClusterChaos;
  readonly broker: Broker;
}

async function makeWorld(seed: number): Promise<World> {
  const random = new SeededRandom(seed);
  const clock = new VirtualClock(undefined, TURNS);
  const cluster = new SimCluster({ clock, random: new SeededRandom(seed + 1_000), clockSkewMs: 5_000 });
  const broker = cluster.connect("a");
  const configs = { "min.insync.replicas": "2" };
  const topic = { topic: WHERE.topic, partitions: 1, replicationFactor: 3, configs, deadlineMs: 1_000 };
  await within(clock, broker.create(topic));
  const chaos = new ClusterChaos({ cluster, random, relays: () => ["a", "b"] });
  return { random, clock, cluster, chaos, broker };
}

/** What the cluster has in the end: texts by position. */
function truthOf(cluster: SimCluster): string[] {
  return cluster.records(WHERE).flatMap(({ value }) => {
    const record = decodeValue(value);
    return record === undefined ? [] : textsOf([record]);
  });
}

/** Reads on as far as possible; a call that fails goes on with the next step. */
class Follower {
  readonly texts: string[] = [];
  readonly #reader: LogReader;
  #isReading = false;

  constructor(reader: LogReader) {
    this.#reader = reader;
  }

  step(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    void this.#read()
      .catch(() => undefined)
      .finally(() => {
        this.#isReading = false;
      });
  }

  async #read(): Promise<void> {
    for (const record of await this.#reader.read(500)) {
      expect(record.first).toBe(this.texts.length);
      this.texts.push(...textsOf([record]));
    }
  }
}

test("whatever the cluster does, two relays count alike, and readers see all of it once", async () => {
  const injected = new Set<string>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { random, clock, cluster, chaos, broker } = await makeWorld(seed);
    const options = { ...WHERE, clock, duplicates: DUPLICATES };
    const one = await within(clock, PartitionLog.open({ ...options, broker }));
    const other = await within(clock, PartitionLog.open({ ...options, broker: cluster.connect("b") }));
    const follower = new Follower(one.reader({ position: 0 }));
    for (let step = 0; step < STEPS; step++) {
      if (random.chance(0.3)) chaos.strike();
      const texts = Array.from({ length: 1 + random.below(3) }, () => `id${random.below(40)}:${step}`);
      const values = [encodeValue(entryOf(texts)), ...(random.chance(0.1) ? [Buffer.from("not ours")] : [])];
      // Its answer, or its being there, is nobody's concern here.
      void broker.produce({ ...WHERE, values, deadlineMs: 2_000 }).catch(() => undefined);
      follower.step();
      await clock.advance(random.below(1_500));
    }
    chaos.heal();
    await clock.advance(60_000);
    const truth = truthOf(cluster);
    expect(truth.length).toBeGreaterThan(STEPS / 4);
    for (const log of [one, other]) {
      expect({ head: log.head, error: log.lastError }).toEqual({ head: truth.length, error: undefined });
      expect(textsOf(await within(clock, readAll(log))), `seed ${seed}`).toEqual(truth);
    }
    const duplicates = async (log: PartitionLog): Promise<unknown> =>
      (await within(clock, readAll(log, 0))).map((record) => record.duplicates);
    const expected = await duplicates(one);
    expect(await duplicates(other)).toEqual(expected);
    const late = await within(clock, PartitionLog.open({ ...options, broker, checkpoint: one.checkpoint }));
    expect(await duplicates(late)).toEqual(expected);
    for (let step = 0; step < STEPS && follower.texts.length < truth.length; step++) {
      follower.step();
      await clock.advance(100);
    }
    expect(follower.texts).toEqual(truth);
    for (const log of [one, other, late]) await log.close();
    for (const kind of cluster.injected.keys()) injected.add(kind);
  }
  expect(injected.size).toBeGreaterThan(5);
});

test("whatever the cluster does, what an append resolved with is where it is, once; so for each next owner", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { random, clock, chaos, broker } = await makeWorld(seed);
    const options = { ...WHERE, clock, broker, positions: "written", giveUpAfterMs: 20_000 } as const;
    let log = await within(clock, PartitionLog.open(options));
    const places = new Map<string, number>();
    let refused = 0;
    for (let step = 0; step < STEPS; step++) {
      if (random.chance(0.3)) chaos.strike();
      const text = `e${step}`;
      void log.append(entryOf([text, `${text}!`].slice(random.below(2)))).then(
        (position) => places.set(text, position),
        () => {
          refused += 1;
        },
      );
      await clock.advance(random.below(2_000));
      if (!random.chance(0.05)) continue;
      // The next owner; what the one before has on its way may still come.
      await log.close();
      chaos.heal();
      log = await within(clock, PartitionLog.open({ ...options, from: random.chance(0.5) ? "end" : "first" }));
    }
    chaos.heal();
    await clock.advance(90_000);
    const records = await within(clock, readAll(log, 0));
    const texts = textsOf(records);
    // Dense, whatever came late.
    expect(log.head).toBe((records[0]?.first ?? 0) + texts.length);
    expect(places.size + refused, `seed ${seed}`).toBe(STEPS);
    expect(places.size).toBeGreaterThan(STEPS / 4);
    expect(new Set(texts).size).toBe(texts.length);
    for (const [text, position] of places) expect(texts[position]?.replace("!", ""), `seed ${seed}`).toBe(text);
    await log.close();
  }
});
