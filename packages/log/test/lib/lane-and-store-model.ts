/**
 * A lane over the log's store beside a model of a few lines: after each random command both must
 * agree on what was delivered, rejected, is pending, on the lane's mode, and on which flushes have
 * resolved and which are blocked.
 */
import {
  type Clock,
  createSender,
  DELIVERED,
  fullJitter,
  OperatedLane,
  type Outcome,
  outcomesOf,
  type Protocol,
  type Transport,
} from "@waybill/core";
import {
  DeadLetters,
  Fates,
  fatesOf,
  LaneState,
  type LaneStateValue,
  type Log,
  LogStore,
  newLaneState,
  openLog,
} from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import fc from "fast-check";
import { expect } from "vitest";

const BATCH = 4;
const PROBE_MS = 1_000;
/** Long enough for every backoff, probe and interval: what can happen has happened. */
const QUIET_MS = 10_000;
/** Code that awaits much needs several turns to come to rest. */
const QUIET_PARTS = 20;
/** The vendor refuses every fifth event for good. */
const isBad = (number: number): boolean => number % 5 === 0;

type Answer = "yes" | "later" | "unauthorized" | "silence";

interface Model {
  appended: number;
  /** Events before this one have their outcome. */
  settled: number;
  /** The most that ever were: their dead letters are kept, whatever becomes of the cursor. */
  everSettled: number;
  /** Where the cursor that a power cut leaves is at least. */
  synced: number;
  answer: Answer;
  paused: boolean;
  flushes: { blocked: boolean }[];
}

/** What a command finds after {@link QUIET_MS}. */
function settle(model: Model): void {
  if (model.answer === "yes" && !model.paused) model.settled = model.appended;
  model.everSettled = Math.max(model.everSettled, model.settled);
  const stuck =
    model.settled < model.appended && !model.paused && (model.answer === "later" || model.answer === "silence");
  if (!stuck) for (const flush of model.flushes) flush.blocked = false;
}

function modesOf({ paused, settled, appended, answer }: Model): readonly string[] {
  if (paused) return ["paused"];
  if (settled === appended) return ["idle"];
  return { yes: ["idle"], later: ["waiting"], unauthorized: ["halted"], silence: ["sending", "waiting"] }[answer];
}

class Real {
  readonly clock = new VirtualClock();
  readonly disk = new SimDisk();
  readonly random = new SeededRandom(5);
  /** Numbers of the events the vendor took, in order. */
  readonly taken: number[] = [];
  answer: Answer = "yes";
  flushes: { resolved: boolean }[] = [];
  log!: Log;
  store!: LogStore;
  lane!: OperatedLane;
  dead!: DeadLetters;
  #alive = { yes: true };
  #wake: (() => void)[] = [];

  async open(): Promise<void> {
    const alive = { yes: true };
    this.#alive = alive;
    const { disk, random } = this;
    const clock = this.#clockOf(alive);
    this.log = await openLog({ directory: "/log", segmentMaxBytes: 400 }, { disk, clock });
    const state = await LaneState.open<LaneStateValue>(disk, "/lanes", "a", (damaged) =>
      newLaneState(this.log, damaged),
    );
    this.dead = await DeadLetters.open("/dead", this.log.head, { disk, clock });
    const fates = await Fates.open({
      directory: "/fates",
      runtime: { disk, clock },
      ...fatesOf(state.initial, this.log),
    });
    this.store = new LogStore({ name: "a", log: this.log, state, fates, deadLetters: this.dead, clock: this.clock });
    this.lane = new OperatedLane({
      name: "a",
      store: this.store,
      sender: createSender({
        protocol: PROTOCOL,
        runtime: { clock, random, transport: this.#vendor(alive) },
        timeoutMs: 1_000,
        backoff: fullJitter(100, 1_000),
        maxAttempts: Number.POSITIVE_INFINITY,
      }),
      runtime: { clock, random },
      limits: { maxEvents: BATCH, maxBytes: 10_000 },
      trigger: { flushAt: BATCH, flushBytes: 10_000, flushIntervalMs: 50 },
      probeMs: PROBE_MS,
    });
    this.log.onCommit(() => this.lane.notify());
    this.lane.notify();
  }

  die(): void {
    this.#alive.yes = false;
    this.flushes = [];
  }

  say(answer: Answer): void {
    this.answer = answer;
    const wake = this.#wake;
    this.#wake = [];
    for (const one of wake) one();
  }

  #clockOf(alive: { readonly yes: boolean }): Clock {
    const { clock } = this;
    return {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (delayMs, run) => clock.after(delayMs, () => alive.yes && run()),
    };
  }

  #vendor(alive: { readonly yes: boolean }): Transport {
    return async ({ body }, signal) => {
      while (this.answer === "silence") {
        await new Promise<void>((resolve) => {
          this.#wake.push(resolve);
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
        if (signal.aborted) throw new Error("aborted");
      }
      if (!alive.yes) return new Promise(() => undefined);
      if (this.answer === "yes") for (const number of numbersOf(body)) if (!isBad(number)) this.taken.push(number);
      return { status: STATUS[this.answer], headers: {}, body: "" };
    };
  }
}

const STATUS: Readonly<Record<Answer, number>> = { yes: 200, later: 503, unauthorized: 401, silence: 0 };

function numbersOf(body: readonly (string | Uint8Array)[]): number[] {
  return JSON.parse(`[${body.map((chunk) => Buffer.from(chunk as string).toString()).join("")}]`) as number[];
}

const PROTOCOL: Protocol = {
  limits: { maxEvents: BATCH, maxBytes: 10_000 },
  maxEventBytes: 10_000,
  request: ({ body }) => ({ method: "POST", url: "http://vendor.test", headers: {}, body }),
  classify: ({ status }, batch) => {
    if (status === 401) return outcomesOf(batch.count, { status: "halted", reason: "401" });
    if (status !== 200) return outcomesOf(batch.count, { status: "retryable", reason: String(status) });
    return numbersOf(batch.body).map(
      (number): Outcome => (isBad(number) ? { status: "rejected", reason: "bad" } : DELIVERED),
    );
  },
};

type Command = fc.AsyncCommand<Model, Real>;

/** A command, then time until nothing more can happen, then the comparison. */
function command(name: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return {
    check: () => true,
    toString: () => name,
    run: async (model, real) => {
      await run(model, real);
      for (let part = 0; part < QUIET_PARTS; part++) await real.clock.advance(QUIET_MS / QUIET_PARTS);
      settle(model);
      await compare(model, real);
    },
  };
}

async function compare(model: Model, real: Real): Promise<void> {
  const { appended, settled, flushes } = model;
  const account = real.store.account();
  const bad = Math.ceil(settled / 5);
  expect(account).toMatchObject({
    accepted: appended,
    delivered: settled - bad,
    rejected: bad,
    pending: appended - settled,
    balanced: true,
  });
  for (let position = 0; position < appended; position++) {
    const status = position >= settled ? "pending" : isBad(position) ? "rejected" : "delivered";
    expect(await real.store.fateAt(position)).toEqual({ status });
  }
  expect(modesOf(model)).toContain(real.lane.snapshot().mode);
  expect(real.flushes.map(({ resolved }) => !resolved)).toEqual(flushes.map(({ blocked }) => blocked));
  expect(real.dead.log.head).toBe(Math.ceil(model.everSettled / 5));
  // At least once, in order: after a cursor was lost, delivery begins again at an older one, and
  // skips nothing.
  const good = Array.from({ length: appended }, (_, number) => number).filter((number) => !isBad(number));
  const distinct = [...new Set(real.taken)];
  expect(distinct).toEqual(good.slice(0, distinct.length));
  expect(distinct.length).toBeGreaterThanOrEqual(settled - bad);
}

const append = (count: number): Command =>
  command(`append ${count}`, async (model, real) => {
    const texts = Array.from({ length: count }, () => String(model.appended++));
    let end = -1;
    const ends = Uint32Array.from(texts, (text) => (end += 1 + text.length));
    // Two kinds of metadata: batches end where it changes.
    const metadata = count % 2 === 0 ? "" : "m";
    await real.log.append({ source: "s", receivedAtMs: 1, metadata, body: [Buffer.from(texts.join(","))], ends });
  });

const say = (answer: Answer): Command =>
  command(`the vendor says ${answer}`, async (model, real) => {
    model.answer = answer;
    real.say(answer);
  });

const pause = command("pause", async (model, real) => {
  model.paused = true;
  real.lane.pause("maintenance");
});
const resume = command("resume", async (model, real) => {
  model.paused = false;
  real.lane.resume();
});
const flush = command("flush", async (model, real) => {
  const made = { resolved: false };
  real.flushes.push(made);
  model.flushes.push({ blocked: true });
  void real.lane.flush().then(() => (made.resolved = true));
});
const sync = command("sync", async (model, real) => {
  await real.store.sync();
  model.synced = model.settled;
});
const kill = command("kill", async (model, real) => {
  real.die();
  real.disk.killProcess();
  await real.open();
  model.paused = false;
  model.flushes = [];
});
const powerCut = command("power cut", async (model, real) => {
  real.die();
  real.disk.crash(real.random.fork());
  await real.open();
  // Anything from the synced cursor to the last one may have survived.
  const { accepted, pending } = real.store.account();
  expect(accepted).toBe(model.appended);
  expect(accepted - pending).toBeGreaterThanOrEqual(model.synced);
  expect(accepted - pending).toBeLessThanOrEqual(model.settled);
  model.settled = accepted - pending;
  model.synced = model.settled;
  model.paused = false;
  model.flushes = [];
});

const commands = fc.commands(
  [
    fc.integer({ min: 1, max: 9 }).map(append),
    fc.constantFrom<Answer>("yes", "later", "unauthorized", "silence").map(say),
    fc.constant(say("yes")),
    fc.constant(pause),
    fc.constant(resume),
    fc.constant(flush),
    fc.constant(sync),
    fc.constant(kill),
    fc.constant(powerCut),
  ],
  { maxCommands: 25 },
);

export async function runLaneAndStore(numRuns: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(commands, async (chosen) => {
      await fc.asyncModelRun(async () => {
        const real = new Real();
        await real.open();
        const model: Model = {
          appended: 0,
          settled: 0,
          everSettled: 0,
          synced: 0,
          answer: "yes",
          paused: false,
          flushes: [],
        };
        return { model, real };
      }, chosen);
    }),
    { numRuns, seed: 1 },
  );
}
