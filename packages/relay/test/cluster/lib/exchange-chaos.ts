/** Callers of relays before a cluster in which everything goes wrong that may. */
import { SeededRandom } from "@waybill/testing";
import { ClusterChaos } from "@waybill/testing/kafka";
import { expect } from "vitest";
import type { ClusterEnvironment } from "../../../src/cluster/cluster-environment.ts";
import type { ExchangeAnswer } from "../../../src/delivery/exchanges.ts";
import { DEADLINE_MS, ExchangeWorld } from "./exchange-world.ts";

const STEPS = 40;
const STEP_MAX_MS = 1_500;
const USERS = 6;
/** Until all is delivered that was stored. */
const HEAL_MS = 180_000;
/** Of an answer, after the caller's deadline: what a step of the clock may add. */
const LATE_MS = 50;

interface Caller {
  readonly number: number;
  readonly storedAtMs: number;
  answer?: ExchangeAnswer;
  answeredAtMs?: number;
}

export interface ChaosResult {
  readonly stored: number;
  /** Callers that got an answer of the vendor's. */
  readonly answered: number;
  /** That no answer came in time. */
  readonly silent: number;
  /** Only that their event is stored. */
  readonly nobody: number;
}

/** A run from a seed; what must hold is checked on the way and at the end. */
export async function runExchanges(seed: number): Promise<ChaosResult> {
  const random = new SeededRandom(seed);
  let isCalm = false;
  const world: ExchangeWorld = new ExchangeWorld({
    seed,
    partitions: 3,
    status: () => (isCalm || random.chance(0.7) ? 201 : random.pick([undefined, 422, 503, 500])),
    hop: (answer) => troubledHop(world, random, answer),
  });
  const { clock, cluster } = world;
  let names = 0;
  for (; names < 2; names++) await world.open(`relay-${names}`);
  const chaos = new ClusterChaos({ cluster, random, relays: () => [`relay-${names - 1}`, `relay-${names - 2}`] });
  const callers: Caller[] = [];
  for (let step = 0; step < STEPS; step++) {
    if (random.chance(0.2)) chaos.strike();
    if (random.chance(0.05)) {
      chaos.heal();
      await world.close(world.relays[0] as ClusterEnvironment);
      await world.open(`relay-${names++}`);
    }
    for (let count = random.below(4); count > 0; count--) void call(world, random, step * 10 + count, callers);
    await clock.advance(random.below(STEP_MAX_MS));
  }
  chaos.heal();
  isCalm = true;
  await clock.advance(HEAL_MS);
  check(world, callers);
  const count = (is: (answer: ExchangeAnswer) => boolean): number => callers.filter(({ answer }) => is(answer)).length;
  return {
    stored: callers.length,
    answered: count((answer) => typeof answer === "object"),
    silent: count((answer) => answer === undefined),
    nobody: count((answer) => answer === "nobody"),
  };
}

/** Who could not store it hears of that, and is none of our concern here. */
async function call(world: ExchangeWorld, random: SeededRandom, number: number, callers: Caller[]): Promise<void> {
  const { clock, relays } = world;
  const relay = random.pick(relays);
  const event = { user: { id: `user-${random.below(USERS)}` }, value: number };
  const stored = await world.store(relay, "/metrics/words/event", event).catch(() => undefined);
  if (stored === undefined) return;
  const caller: Caller = { number, storedAtMs: clock.monotonic() };
  callers.push(caller);
  caller.answer = await world.answerOf(relay, stored);
  caller.answeredAtMs = clock.monotonic();
}

/** Slow, lost, or to a relay that hangs: then who asked gives up by the deadline. */
async function troubledHop(
  { clock }: ExchangeWorld,
  random: SeededRandom,
  answer: () => Promise<ExchangeAnswer>,
): Promise<ExchangeAnswer> {
  const after = (ms: number): Promise<"nobody"> => new Promise((resume) => clock.after(ms, () => resume("nobody")));
  if (random.chance(0.1)) return "nobody";
  const wayMs = random.chance(0.3) ? random.below(DEADLINE_MS) : random.below(100);
  const asked = after(wayMs).then(answer);
  return Promise.race([random.chance(0.1) ? after(DEADLINE_MS) : asked, after(DEADLINE_MS)]);
}

function check({ acted }: ExchangeWorld, callers: readonly Caller[]): void {
  const statuses = new Map<number, number[]>();
  for (const { status, event } of acted) {
    const { value } = JSON.parse(event) as { readonly value: number };
    statuses.set(value, [...(statuses.get(value) ?? []), status]);
  }
  for (const { number, answer, storedAtMs, answeredAtMs } of callers) {
    const known = statuses.get(number) ?? [];
    const final = known.filter((status) => status === 201 || status === 422);
    expect(final.length, `event ${number} was sent and answered`).toBeGreaterThan(0);
    expect(answeredAtMs, `the caller of event ${number} has an answer`).toBeDefined();
    expect((answeredAtMs ?? 0) - storedAtMs, `of event ${number}`).toBeLessThanOrEqual(DEADLINE_MS + LATE_MS);
    if (typeof answer !== "object") continue;
    const { event } = JSON.parse(answer.body) as { readonly event: string };
    expect((JSON.parse(event) as { readonly value: number }).value, "its own answer").toBe(number);
    expect(final, `of event ${number}`).toContain(answer.status);
  }
}
