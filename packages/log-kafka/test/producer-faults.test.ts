/**
 * Users who send one request after the other, each again until it is acknowledged, over two relays
 * and a cluster whose calls fail in every way: nothing that was acknowledged is missing, and what
 * is left without copies is in order.
 */
import { type Broker, BrokerError, type Place, partitionOf } from "@waybill/log-kafka";
import { SeededRandom, type VirtualClock } from "@waybill/testing";
import { orderHash } from "@waybill/vendors/registry";
import { expect, test } from "vitest";
import { withProduce } from "./lib/faulty-broker.ts";
import { startProducing } from "./lib/producing.ts";
import { runUntil } from "./lib/run-until.ts";

const SEEDS = 12;
const USERS = 6;
const REQUESTS = 12;
const PARTITIONS = 3;
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

test("nothing acknowledged is lost, and order per user holds once copies are dropped", async () => {
  const seen = new Map<Fault, number>();
  let refused = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = new SeededRandom(seed);
    const options = {
      partitions: PARTITIONS,
      seed,
      configs: { "max.message.bytes": "400" },
      faulty: (broker: Broker, clock: VirtualClock) => faulty(broker, clock, random, seen),
    };
    const { clock, append, records } = await startProducing(options);
    const acknowledged: (Place & { readonly text: string })[] = [];
    const user = async (name: string): Promise<void> => {
      const partition = partitionOf(orderHash(name), PARTITIONS);
      for (let request = 0; request < REQUESTS; request++) {
        const count = 1 + Math.floor(random.next() * 8);
        const events = Array.from({ length: count }, (_, index) => `${name}:${request}.${index}`.padEnd(60, "-"));
        for (let places: readonly Place[] | undefined; places === undefined; ) {
          places = await append({ [partition]: events }).catch((error: unknown) => {
            expect(error).toMatchObject({ code: "WAYBILL_LOG_UNAVAILABLE", retryable: true });
            refused += 1;
            return undefined;
          });
          if (places === undefined) await new Promise<void>((resolve) => clock.after(random.next() * 1_000, resolve));
          let at = 0;
          for (const place of places ?? []) {
            acknowledged.push({ ...place, text: events.slice(at, at + place.count).join(",") });
            at += place.count;
          }
        }
      }
    };
    const names = Array.from({ length: USERS }, (_, index) => `user-${index}`);
    await runUntil(clock, Promise.all(names.map(user)));
    await clock.advance(60_000);
    const logs: (readonly string[])[] = [];
    for (let partition = 0; partition < PARTITIONS; partition++) logs.push(await records(partition));
    for (const { partition, offset, text } of acknowledged)
      expect(logs[partition]?.[offset], `seed ${seed}`).toBe(text);
    for (const name of names) {
      const all = logs
        .flat()
        .flatMap((record) => record.split(","))
        .filter((event) => event.startsWith(`${name}:`));
      const once = [...new Set(all)];
      expect(once, `seed ${seed}`).toEqual(inOrder(once));
    }
  }
  expect(refused).toBeGreaterThan(SEEDS);
  for (const fault of FAULTS) expect(seen.get(fault), fault).toBeGreaterThan(SEEDS);
});

function inOrder(events: readonly string[]): readonly string[] {
  const numbers = (event: string): readonly number[] => (/:(\d+)\.(\d+)/.exec(event) ?? []).slice(1).map(Number);
  return [...events].sort((a, b) => {
    const [one = 0, first = 0] = numbers(a);
    const [other = 0, second = 0] = numbers(b);
    return one - other || first - second;
  });
}
