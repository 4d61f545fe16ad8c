/** How the events are found because of which a batch fails, and that an outage is none of them. */
import {
  type Batch,
  DELIVERED,
  fullJitter,
  isolating,
  type Outcome,
  persist,
  type SendContext,
  TextBatch,
} from "@waybill/core";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const BACKOFF = fullJitter(1_000, 60_000);
const ROUND_TRIP_MS = 50;
const HASH = 1;
const ALL = "abcdefghijklmnopqrstuvwxyz";

/** Events are the names of their users; a name in capitals is poisonous. */
class UserBatch extends TextBatch {
  readonly #names: readonly string[];

  constructor(key: string, names: readonly string[]) {
    super({ key, metadata: "", oldestAtMs: 0, texts: names, sizes: names.map(({ length }) => length) });
    this.#names = names;
  }

  get names(): string {
    return this.#names.join("");
  }

  orderHash(index: number): number {
    return HASH + ((this.#names[index] as string).toLowerCase().codePointAt(0) as number);
  }

  override slice(start: number, end: number): UserBatch {
    return new UserBatch(`${this.key}.${start}-${end}`, this.#names.slice(start, end));
  }
}

interface Sent {
  readonly names: string;
  readonly key: string;
  readonly atMs: number;
}

class World {
  readonly clock = new VirtualClock();
  readonly soon = new AbortController();
  readonly sent: Sent[] = [];
  /** What the vendor answers to what is not poisonous. */
  status: number | undefined = 200;
  retryAfterMs: number | undefined;
  #deliveredAt = Number.NEGATIVE_INFINITY;
  readonly #waiting = new Set<() => void>();

  send(names: string, { byEvent = true }: { readonly byEvent?: boolean } = {}): Promise<readonly Outcome[]> {
    const runtime = { clock: this.clock, random: new SeededRandom(1) };
    const next = { send: (batch: Batch, context: SendContext) => this.#answer(batch as UserBatch, context) };
    const options = { backoff: BACKOFF, maxAttempts: Number.POSITIVE_INFINITY };
    const sender = persist(isolating({ byEvent }))(options, runtime, next);
    const context: SendContext = {
      soon: this.soon.signal,
      now: new AbortController().signal,
      watch: { attempted: () => undefined, waiting: () => undefined, resumed: () => undefined },
      deliveredAt: () => this.#deliveredAt,
      onceDelivered: (call) => {
        this.#waiting.add(call);
        return () => void this.#waiting.delete(call);
      },
      parked: new Set(),
    };
    return sender.send(new UserBatch("k", [...names]), context);
  }

  /** Another batch has something delivered. */
  delivered(): void {
    this.#deliveredAt = this.clock.monotonic();
    for (const call of this.#waiting) call();
    this.#waiting.clear();
  }

  get requests(): readonly string[] {
    return this.sent.map(({ names }) => names);
  }

  async #answer(batch: UserBatch, context: SendContext): Promise<readonly Outcome[]> {
    const { names, key, count } = batch;
    this.sent.push({ names, key, atMs: this.clock.monotonic() });
    await new Promise<void>((resolve) => this.clock.after(ROUND_TRIP_MS, resolve));
    const isFine = this.status === 200 && names === names.toLowerCase();
    const status = this.status === 200 && !isFine ? 500 : this.status;
    const counts = { delivered: isFine ? count : 0, retryable: isFine ? 0 : count, rejected: 0, halted: 0 };
    const sizes = { events: count, bytes: 1, durationMs: ROUND_TRIP_MS };
    context.watch.attempted({ ...counts, ...sizes, atMs: 0, status, reason: undefined }, batch);
    if (isFine) this.delivered();
    const outcome: Outcome = isFine
      ? DELIVERED
      : { status: "retryable", reason: String(status), retryAfterMs: this.retryAfterMs };
    return new Array<Outcome>(count).fill(outcome);
  }
}

/** One letter for each event's outcome. */
const text = (outcomes: readonly Outcome[]): string => outcomes.map(({ status }) => status[0]).join("");

test("where nothing else is on its way, an event that is sent alone shows that the vendor works", async () => {
  const world = new World();
  const sending = world.send("abcdefgHijklmnop");
  await world.clock.advance(5_000);
  expect(text(await sending)).toBe("dddddddpdddddddd");
  // Twice as it is, then one event, then halves without a wait.
  expect(world.requests).toEqual([
    "abcdefgHijklmnop",
    "abcdefgHijklmnop",
    "a",
    "bcdefgHijklmnop",
    "bcdefgH",
    "bcd",
    "efgH",
    "ef",
    "gH",
    "g",
    "H",
    "i",
    "H",
    "jklmnop",
  ]);
  const [first, ...others] = world.sent.map(({ atMs }) => atMs);
  expect((others.at(-1) as number) - (first as number)).toBeLessThan(2_000 + 13 * ROUND_TRIP_MS);
});

test("a poisonous event in front is found as soon as one anywhere else", async () => {
  const world = new World();
  const sending = world.send("Abcaade");
  await world.clock.advance(3_500);
  expect(text(await sending)).toBe("pddppdd");
  expect(world.requests.slice(0, 5)).toEqual(["Abcaade", "Abcaade", "A", "b", "A"]);
});

test("in an outage a batch stays as it is, and its key too; single events are sent beside it", async () => {
  const world = new World();
  world.status = 500;
  const sending = world.send(ALL);
  await world.clock.advance(600_000);
  const whole = world.sent.filter(({ names }) => names === ALL);
  expect(new Set(whole.map(({ key }) => key))).toEqual(new Set(["k"]));
  expect(world.sent.length - whole.length).toBeLessThanOrEqual(whole.length);
  expect(world.sent.every(({ names }) => names.length === 1 || names === ALL)).toBe(true);
  world.status = 200;
  await world.clock.advance(60_000);
  expect(world.sent.at(-1)).toMatchObject({ names: ALL, key: "k" });
  expect(new Set(await sending)).toEqual(new Set([DELIVERED]));
});

test("where the batch's key tells duplicates, an event is sent alone only after three answers", async () => {
  const world = new World();
  const sending = world.send("abcD", { byEvent: false });
  await world.clock.advance(8_000);
  expect(text(await sending)).toBe("dddp");
  expect(world.requests.slice(0, 5)).toEqual(["abcD", "abcD", "abcD", "a", "bcD"]);
  const unanswered = new World();
  unanswered.status = undefined;
  void unanswered.send("abcD", { byEvent: false });
  await unanswered.clock.advance(600_000);
  expect(new Set(unanswered.requests)).toEqual(new Set(["abcD"]));
});

test("a batch of nothing but poison is set aside, event by event", async () => {
  const world = new World();
  const sending = world.send("ABC");
  await world.clock.advance(120_000);
  expect(text(await sending)).toBe("ppp");
});

test("429 and a wish to wait say nothing of any event", async () => {
  const world = new World();
  world.status = 429;
  void world.send("ab");
  const patient = new World();
  patient.status = 503;
  patient.retryAfterMs = 2_000;
  void patient.send("ab");
  for (const one of [world, patient]) {
    await one.clock.advance(600_000);
    expect(new Set(one.requests)).toEqual(new Set(["ab"]));
  }
});

test("a long wait ends soon after something else was delivered, but not one that the vendor wants", async () => {
  const world = new World();
  const patient = new World();
  world.status = 500;
  patient.status = 503;
  patient.retryAfterMs = 400_000;
  const sent: number[] = [];
  for (const one of [world, patient]) {
    void one.send(ALL);
    await one.clock.advance(300_000);
    one.status = 200;
    const before = one.sent.length;
    one.delivered();
    await one.clock.advance(1_000);
    sent.push(one.sent.length - before);
  }
  expect(sent).toEqual([1, 0]);
});

test("an interrupted wait leaves what it waits for as it was", async () => {
  const world = new World();
  world.status = 500;
  const sending = world.send(ALL);
  await world.clock.advance(100_000);
  world.soon.abort();
  await world.clock.advance(ROUND_TRIP_MS);
  expect(text(await sending)).toBe("r".repeat(ALL.length));
});
