/**
 * Many members, and every fault at random: requests and answers that are lost, commits that arrive
 * late, processes that are stopped, cut off, killed and started again.
 */
import { SeededRandom } from "@waybill/testing";
import { expect, test } from "vitest";
import { ALL, newToyGroup, sorted, type ToyGroup } from "./lib/toy-group.ts";
import { GROUP, SESSION_MS, type ToyRelay } from "./lib/toy-relay.ts";

const SEEDS = 5;
const STEPS = 30;
/** Beside others a machine is slow. */
const TIMEOUT_MS = 120_000;
const STEP_MS = 3_000;
const RELAYS_MAX = 4;

interface Counts {
  late: number;
  lostAnswers: number;
  stops: number;
  kills: number;
  cuts: number;
  brokers: number;
  renewed: number;
}

/** Brokers die, are cut off from each other, and hand groups over. */
function breakBroker({ cluster, clock }: ToyGroup, chance: SeededRandom, counts: Counts): void {
  const broker = 1 + Math.floor(chance.next() * cluster.brokers.length);
  const dice = chance.next();
  counts.brokers += 1;
  if (dice < 0.4) {
    cluster.kill(broker);
    clock.after(chance.next() * 2 * SESSION_MS, () => cluster.restart(broker));
  } else if (dice < 0.7) {
    cluster.cutOff(broker);
    clock.after(chance.next() * 2 * SESSION_MS, () => cluster.rejoin(broker));
  } else cluster.moveCoordinator(GROUP);
}

async function step(w: ToyGroup, chance: SeededRandom, counts: Counts): Promise<void> {
  const living = w.relays.filter((relay) => !relay.clock.isDead);
  const one = living[Math.floor(chance.next() * living.length)] as ToyRelay;
  const dice = chance.next();
  const forMs = chance.next() * 2 * SESSION_MS;
  if (dice < 0.15) {
    counts.stops += 1;
    one.clock.stop();
    w.clock.after(forMs, () => one.clock.go());
  } else if (dice < 0.3) {
    counts.cuts += 1;
    one.broker.isCutOff = true;
    w.clock.after(forMs, () => (one.broker.isCutOff = one.clock.isDead));
  } else if (dice < 0.4) {
    counts.kills += 1;
    one.kill();
  } else if (dice < 0.45) void one.member.close().then(() => one.kill());
  else if (dice < 0.6) breakBroker(w, chance, counts);
  else if (dice < 0.75) for (const { broker } of living) broker.rate = chance.next() < 0.5 ? 0 : 0.2 * chance.next();
  if (living.length < 2 || (living.length < RELAYS_MAX && chance.next() < 0.3)) w.add();
  await w.clock.advance(chance.next() * STEP_MS);
}

test(
  `no two owners, and no state that goes back: ${SEEDS} histories`,
  async () => {
    const counts: Counts = { late: 0, lostAnswers: 0, stops: 0, kills: 0, cuts: 0, brokers: 0, renewed: 0 };
    for (let seed = 1; seed <= SEEDS; seed++) {
      const w = await newToyGroup(seed);
      const chance = new SeededRandom(1_000 + seed);
      w.add();
      for (let at = 0; at < STEPS; at++) await step(w, chance, counts);
      // When all is well again somebody owns each partition, and goes on.
      for (const { broker, clock } of w.relays) if (!clock.isDead) broker.rate = 0;
      w.add();
      await w.clock.advance(6 * SESSION_MS);
      const living = w.relays.filter((relay) => !relay.clock.isDead);
      expect(w.owned(...living), `seed ${seed}`).toEqual(ALL);
      const { length } = w.watcher.sends;
      await w.clock.advance(5_000);
      const moving = new Set(w.watcher.sends.slice(length).map(({ partition }) => partition));
      expect(sorted(moving), `seed ${seed}`).toEqual(ALL);
      expect(w.watcher.violations, `seed ${seed}`).toEqual([]);
      for (const { broker, lostReasons } of w.relays) {
        counts.late += broker.counts.late;
        counts.lostAnswers += broker.counts.answer;
        counts.renewed += lostReasons.filter((reason) => reason.includes("last commit")).length;
      }
    }
    for (const [fault, count] of Object.entries(counts)) expect(count, fault).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);
