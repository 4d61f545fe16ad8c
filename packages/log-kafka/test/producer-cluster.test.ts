/** What becomes of requests, and of what `/ready` shows, when a cluster has faults. */
import type { Place } from "@waybill/log-kafka";
import { expect, test } from "vitest";
import { type Producing, startProducing, TOPIC } from "./lib/producing.ts";
import { runUntil } from "./lib/run-until.ts";

const PARTITION = { topic: TOPIC, partition: 0 };
const SAFE = { partitions: 1 };

/** What came of one event each 100 ms for so long: its place, or the reason of its refusal. */
async function outcomesFor({ clock, append }: Producing, ms: number): Promise<readonly string[]> {
  const outcomes: Promise<string>[] = [];
  for (let at = 0; at < ms; at += 100) {
    outcomes.push(
      append({ 0: [`${at}`] }).then(
        ([place]) => `${(place as Place).offset}`,
        (error: unknown) => {
          expect(error).toMatchObject({ code: "WAYBILL_LOG_UNAVAILABLE", retryable: true, retryAfterMs: 1_000 });
          return (error as { readonly reason: string }).reason;
        },
      ),
    );
    await clock.advance(100);
  }
  return runUntil(clock, Promise.all(outcomes));
}

test("while leaders move on purpose no request is refused, and none is out of order", async () => {
  const started = await startProducing(SAFE);
  const { clock, cluster, producer, records } = started;
  const moves = [300, 700, 1_100, 1_500].map((ms) => clock.after(ms, () => void cluster.moveLeader(PARTITION)));
  const outcomes = await outcomesFor(started, 2_000);
  expect(moves).toHaveLength(4);
  expect(outcomes.filter((one) => !/^\d+$/.test(one))).toEqual([]);
  expect(records(0).map(Number)).toEqual(
    records(0)
      .map(Number)
      .sort((a, b) => a - b),
  );
  expect(producer.lastError).toBeUndefined();
});

test("a leader that dies is reported until there is another one, then writing goes on by itself", async () => {
  const started = await startProducing(SAFE);
  const { clock, cluster, producer, records, append } = started;
  await runUntil(clock, append({ 0: ["first"] }));
  cluster.kill(cluster.leaderOf(PARTITION) ?? 0);
  const outcomes = await outcomesFor(started, 2_000);
  expect(outcomes).toContain("unreachable");
  expect(producer.lastError).toContain("Kafka does not take records for partition 0 of waybill.production: ");
  // The others notice after three seconds.
  await clock.advance(4_000);
  expect(producer.lastError).toBeUndefined();
  const later = await outcomesFor(started, 1_000);
  expect(later.every((one) => /^\d+$/.test(one))).toBe(true);
  expect(records(0)[0]).toBe("first");
});

test("too few replicas in sync: refused, reported, and well again by itself and without a request", async () => {
  const started = await startProducing(SAFE);
  const { clock, cluster, producer, append } = started;
  const leader = cluster.leaderOf(PARTITION);
  for (const broker of cluster.brokers.filter((one) => one !== leader)) cluster.kill(broker);
  await clock.advance(4_000);
  expect(await outcomesFor(started, 300)).toEqual([
    "not_enough_replicas",
    "not_enough_replicas",
    "not_enough_replicas",
  ]);
  await clock.advance(10_000);
  expect(producer.lastError).toMatch(/partition 0 of waybill\.production: 1 of its replicas in sync, 2 are needed/);
  for (const broker of cluster.brokers) cluster.restart(broker);
  await clock.advance(3_000);
  expect(producer.lastError).toBeUndefined();
  expect(await runUntil(clock, append({ 0: ["after"] }))).toHaveLength(1);
});

test("a cluster that cannot be reached is seen at the start, and again when it is there", async () => {
  const { clock, cluster, producer, append } = await startProducing(SAFE);
  cluster.isolate("relay");
  await runUntil(clock, producer.tryCluster());
  expect(producer.lastError).toMatch(/no answer/);
  const beganMs = clock.monotonic();
  await expect(runUntil(clock, append({ 0: ["a"] }))).rejects.toMatchObject({ reason: "timeout" });
  expect(clock.monotonic() - beganMs).toBeLessThan(6_000);
  cluster.heal("relay");
  await clock.advance(10_000);
  expect(producer.lastError).toBeUndefined();
});

test("a replica that is slow makes the cluster slow: refused when the time is over, then it is left out", async () => {
  const started = await startProducing(SAFE);
  const { clock, cluster, producer, append } = started;
  const slow = cluster.brokers.find((one) => one !== cluster.leaderOf(PARTITION)) ?? 0;
  cluster.lag(slow);
  await expect(runUntil(clock, append({ 0: ["a"] }))).rejects.toMatchObject({ reason: "timeout" });
  expect(producer.lastError).toBeDefined();
  await clock.advance(40_000);
  expect(await runUntil(clock, append({ 0: ["b"] }))).toHaveLength(1);
  expect(producer.lastError).toBeUndefined();
});

test("a cluster without room refuses for as long, and is reported although it answers", async () => {
  const started = await startProducing(SAFE);
  const { clock, cluster, producer } = started;
  cluster.fill();
  expect(new Set(await outcomesFor(started, 5_000))).toEqual(new Set(["not_enough_replicas"]));
  expect(producer.lastError).toContain("no broker has room");
  await clock.advance(1_500);
  expect(producer.lastError).toContain("no broker has room");
  cluster.fill(false);
  const [first] = await outcomesFor(started, 100);
  expect(first).toBe("0");
  expect(producer.lastError).toBeUndefined();
});
