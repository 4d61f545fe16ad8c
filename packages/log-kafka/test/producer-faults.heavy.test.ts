/** What users over two relays can rely on, whatever becomes of calls and of the cluster. */
import { type Broker, BrokerError } from "@waybill/log-kafka";
import { SeededRandom, type VirtualClock } from "@waybill/testing";
import { ClusterChaos } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import { withProduce } from "./lib/faulty-broker.ts";
import { startProducing } from "./lib/producing.ts";
import { Users } from "./lib/users.ts";

const SEEDS = 12;
const CLUSTER_SEEDS = 40;
const PARTITIONS = 3;
const PARTITION_LIST = Array.from({ length: PARTITIONS }, (_, partition) => partition);
/** Small, so that requests are split. */
const CONFIGS = { "max.message.bytes": "400" };
/** What is late has come by then. */
const LATE_MS = 60_000;
const STRIKE_MS = 3_000;
const FAULTS = ["moved", "unanswered", "refused", "late", "hung", "slow"] as const;
type Fault = (typeof FAULTS)[number];

function faulty(broker: Broker, clock: VirtualClock, random: SeededRandom, seen: Map<Fault, number>): Broker {
  const after = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve));
  return withProduce(broker, async ({ deadlineMs }, produce) => {
    const fault = random.next() < 0.5 ? FAULTS[Math.floor(random.next() * FAULTS.length)] : undefined;
    if (fault === undefined) return produce();
    seen.set(fault, (seen.get(fault) ?? 0) + 1);
    switch (fault) {
      case "moved": {
        // It may be kept, then the answer comes after it.
        if (random.next() < 0.5) await produce();
        throw new BrokerError("not_leader", "moved");
      }
      case "unanswered": {
        await produce();
        throw new BrokerError("unreachable", "the connection broke");
      }
      case "refused":
        throw new BrokerError("not_enough_replicas", "1 of 2");
      case "slow": {
        await after(random.next() * deadlineMs);
        return produce();
      }
      case "late":
      case "hung": {
        const lateMs = deadlineMs * (1 + random.next());
        if (fault === "late") clock.after(lateMs, () => void produce().catch(() => undefined));
        await after(deadlineMs);
        if (fault === "late") throw new BrokerError("timeout", "no answer");
        return new Promise(() => undefined);
      }
    }
  });
}

test("whatever becomes of calls, nothing acknowledged is lost, and order per user holds without copies", async () => {
  const seen = new Map<Fault, number>();
  let refused = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = new SeededRandom(seed);
    const { clock, producer, another, records } = await startProducing({
      partitions: PARTITIONS,
      seed,
      configs: CONFIGS,
      faulty: (broker, time) => faulty(broker, time, random, seen),
    });
    const users = new Users({ clock, random, producers: [producer, another("relay-2")], partitions: PARTITIONS });
    await users.run();
    await clock.advance(LATE_MS);
    expect(users.violations(PARTITION_LIST.map(records)), `seed ${seed}`).toEqual([]);
    refused += users.refused;
  }
  expect(refused).toBeGreaterThan(SEEDS);
  for (const fault of FAULTS) expect(seen.get(fault), fault).toBeGreaterThan(SEEDS);
});

/** The first violations, and what was done to the cluster. */
async function underChaos(
  seed: number,
  acks: "all" | 1,
): Promise<{ readonly violations: readonly string[]; readonly injected: ReadonlyMap<string, number> }> {
  const random = new SeededRandom(seed);
  const { clock, cluster, producer, another, records } = await startProducing({
    partitions: PARTITIONS,
    seed,
    configs: CONFIGS,
    connection: { acks },
  });
  const relays = ["relay", "relay-2"];
  const chaos = new ClusterChaos({ cluster, random, relays: () => relays });
  let isDone = false;
  const strike = (): void => {
    if (isDone) return;
    chaos.strike();
    clock.after(STRIKE_MS * random.next(), strike);
  };
  strike();
  const users = new Users({ clock, random, producers: [producer, another("relay-2")], partitions: PARTITIONS });
  await users.run();
  isDone = true;
  chaos.heal();
  await clock.advance(LATE_MS);
  return { violations: users.violations(PARTITION_LIST.map(records)), injected: cluster.injected };
}

test("whatever becomes of the cluster, nothing acknowledged is lost, and order per user holds without copies", async () => {
  const injected = new Map<string, number>();
  for (let seed = 1; seed <= CLUSTER_SEEDS; seed++) {
    const run = await underChaos(seed, "all");
    expect(run.violations, `seed ${seed}`).toEqual([]);
    for (const [kind, count] of run.injected) injected.set(kind, (injected.get(kind) ?? 0) + count);
  }
  for (const kind of [
    "broker killed",
    "power cut",
    "leader moved",
    "broker cut off",
    "late",
    "loseAnswer",
    "duplicate",
  ])
    expect(injected.get(kind), kind).toBeGreaterThan(0);
});

test("records that the leader alone had acknowledged are missed", async () => {
  for (let seed = 1; seed <= CLUSTER_SEEDS; seed++) {
    const { violations } = await underChaos(seed, 1);
    if (violations.some((violation) => violation.startsWith("lost"))) return;
  }
  expect.fail("no seed found it");
});
