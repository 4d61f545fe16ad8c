/**
 * A lane's store with many strands against a model that knows what became of each event: whatever
 * is leased, settled, parked, removed or dies when, each event has one outcome, those of a user go
 * in order, and ledger and fates agree.
 */
import { type BatchLimits, DELIVERED, type Outcome, WaybillError } from "@waybill/core";
import {
  DeadLetters,
  type DurableState,
  Fates,
  fatesOf,
  LaneState,
  type LaneStateValue,
  type Log,
  type LogBatch,
  type LogOptions,
  type LogRecord,
  LogStore,
  newLaneState,
  type OrderHashes,
  openLog,
  parseLaneState,
} from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { expect } from "vitest";

const LATER: Outcome = { status: "retryable", reason: "later" };
const PARKED: Outcome = { status: "parked", reason: "500" };
const NEVER: Outcome = { status: "rejected", reason: "never" };
const DROPPED: Outcome = { status: "dropped", reason: "filtered" };
const STEPS = 70;
const USERS = 12;
/** Steps after which a disk may fail or recover. */
const FATES_TURN = 5;

interface Event {
  readonly user: number;
  readonly tie: number;
  outcome: "open" | "delivered" | "rejected" | "dropped" | "expired";
}

interface Held {
  readonly batch: LogBatch;
  readonly positions: readonly number[];
}

/** Where the logs are, when not on the simulated disk. */
export interface OtherLogs {
  /** Opens the log of events, after a death too; the lane's own logs by their directories. */
  open(clock: VirtualClock): Promise<{
    readonly log: Log;
    readonly openLog: (options: LogOptions) => Promise<Log>;
    /** Default: a state on the simulated disk. */
    readonly openState?: () => Promise<DurableState<LaneStateValue>>;
  }>;
  /** Resolves once the log has the events. */
  append(texts: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

const hashOf = (user: number): number => (user === 0 ? 0 : Math.imul(user, 0x9e3779b1) >>> 0);

function orderOf({ body, ends }: LogRecord): OrderHashes {
  const events = Array.from(
    ends,
    (end, at) =>
      JSON.parse(Buffer.from(body.subarray(at === 0 ? 0 : (ends[at - 1] as number) + 1, end)).toString()) as {
        readonly u: number;
        readonly t: number;
      },
  );
  const ties = Uint32Array.from(events, ({ t }) => hashOf(t));
  return {
    hashes: Uint32Array.from(events, ({ u }) => hashOf(u)),
    ties: ties.some((tie) => tie !== 0) ? ties : undefined,
  };
}

class World {
  readonly disk = new SimDisk();
  readonly clock = new VirtualClock();
  readonly events: Event[] = [];
  readonly random: SeededRandom;
  readonly durableLease: boolean;
  log!: Log;
  store!: LogStore;
  held: Held[] = [];
  /** The most strands there were, and users parked. */
  strands = 0;
  parked = 0;
  /** Whether outcomes out of order cannot be written down now, and whether that ever was so. */
  #fatesFail = false;
  #fatesHaveFailed = false;

  readonly #mayFatesFail: boolean;
  readonly #logs: OtherLogs | undefined;

  /** What has to be durable before it is sent waits for a disk that fails. */
  constructor(seed: number, mayFatesFail: boolean, logs?: OtherLogs) {
    this.#logs = logs;
    this.random = new SeededRandom(seed);
    this.durableLease = this.random.chance(0.3) && !mayFatesFail;
    this.#mayFatesFail = mayFatesFail;
    this.disk.onOperation = (operation, path) => {
      if (this.#fatesFail && operation === "write" && path.startsWith("/fates"))
        throw new WaybillError("WAYBILL_DISK", "no room", { reason: "ENOSPC" });
    };
  }

  failFates(isFailing: boolean): void {
    this.#fatesFail = isFailing;
    this.#fatesHaveFailed ||= isFailing;
  }

  async open(): Promise<void> {
    const { disk, clock } = this;
    const other = await this.#logs?.open(clock);
    const runtime = other === undefined ? { disk, clock } : { openLog: other.openLog, clock };
    this.log = other?.log ?? (await openLog({ directory: "/log", segmentMaxBytes: 400 }, { disk, clock }));
    const onDisk = (): Promise<DurableState<LaneStateValue>> =>
      LaneState.open(disk, "/lanes", "a", (damaged) => newLaneState(this.log, damaged), parseLaneState);
    const state = await (other?.openState ?? onDisk)();
    expect(state.initial.base).toBeLessThanOrEqual(0);
    const deadLetters = await DeadLetters.open("/dead", this.log.head, runtime, state.initial.dead);
    const fates = await Fates.open({
      directory: "/fates",
      runtime,
      ...fatesOf(state.initial, this.log),
      tailMaxRuns: 5,
    });
    this.store = new LogStore({
      name: "a",
      log: this.log,
      state,
      fates,
      deadLetters,
      clock,
      delivery: {
        durableLease: this.durableLease,
        order: "user",
        orderOf,
        maxInFlight: () => 16,
        giveUpAfterMs: 60_000,
      },
    });
    this.held = [];
  }

  async push(): Promise<void> {
    const { random } = this;
    const texts = Array.from({ length: 1 + random.below(5) }, () => {
      const user = random.below(USERS + 1);
      const tie = random.chance(0.05) ? 1 + random.below(USERS) : 0;
      this.events.push({ user, tie, outcome: "open" });
      return `{"u":${user},"t":${tie}}`;
    });
    if (this.#logs !== undefined) return this.#logs.append(texts);
    let end = -1;
    const ends = Uint32Array.from(texts, (text) => (end += 1 + text.length));
    await this.log.append({ source: "s", receivedAtMs: 7, metadata: "", body: [Buffer.from(texts.join(","))], ends });
  }

  async lease(maxEvents: number): Promise<Held | undefined> {
    const limits: BatchLimits = { maxEvents, maxBytes: 1_000 };
    const batch = (await this.store.lease(limits)) as LogBatch | undefined;
    if (batch === undefined) return undefined;
    await this.store.plan(batch);
    const positions = Array.from({ length: batch.count }, (_, index) => {
      const { record, at } = batch.locate(index);
      return record.first + at;
    });
    this.#mayGo(positions);
    const held = { batch, positions };
    this.held.push(held);
    this.strands = Math.max(this.strands, this.store.shape.strands);
    return held;
  }

  /** Every event before one of these that it has to wait for is settled, or in the same batch. */
  #mayGo(positions: readonly number[]): void {
    const leased = new Set(this.held.flatMap((one) => one.positions));
    const own = new Set(positions);
    for (const [index, position] of positions.entries()) {
      const event = this.events[position] as Event;
      expect(event.outcome, `event ${position} is sent`).toBe("open");
      expect(leased.has(position), `event ${position} is leased twice`).toBe(false);
      if (index > 0) expect(position).toBeGreaterThan(positions[index - 1] as number);
      for (let before = 0; before < position; before++) {
        const earlier = this.events[before] as Event;
        const mustWait =
          (event.user !== 0 && earlier.user === event.user) || (event.tie !== 0 && earlier.user === event.tie);
        if (!mustWait || own.has(before) || earlier.outcome !== "open") continue;
        expect.fail(
          `event ${position} ${JSON.stringify(event)} overtakes ${before} ${JSON.stringify(earlier)}; leased ${leased.has(before)}, ${JSON.stringify(this.store.shape)}, first ${this.log.first}`,
        );
      }
    }
  }

  async settle(held: Held, outcomes: readonly Outcome[]): Promise<void> {
    this.held = this.held.filter((one) => one !== held);
    await this.store.settle(held.batch, outcomes);
    for (const [index, position] of held.positions.entries()) {
      const event = this.events[position] as Event;
      const { status } = outcomes[index] as Outcome;
      if (status === "retryable" || status === "halted") break;
      // What has failed for too long while others passed is given up by the store.
      if (status === "parked") {
        if ((await this.store.fateAt(position)).status === "rejected") event.outcome = "rejected";
        else if (held.batch.parked) break;
      } else event.outcome = status;
    }
    this.#expire();
    this.parked = Math.max(this.parked, this.store.shape.parkedUsers);
  }

  /**
   * As retries answer: where an event is parked, so are the later ones of its user, but those that
   * were left out before, or that the vendor's answer had an outcome for. Only a fate shows them:
   * where that is lost, they come again.
   */
  outcomes({ batch }: Held): Outcome[] {
    const { random } = this;
    const failing = new Set<number>();
    const style = random.below(5);
    return Array.from({ length: batch.count }, (_, index): Outcome => {
      const hash = batch.orderHash(index);
      if (failing.has(hash))
        return this.#mayFatesFail || random.chance(0.8) ? PARKED : random.pick([DELIVERED, NEVER, DROPPED]);
      if (style === 0) return DELIVERED;
      if (style === 1 && random.chance(0.3)) return LATER;
      if (style >= 3 && random.chance(0.2)) {
        failing.add(hash);
        return PARKED;
      }
      return random.chance(0.7) ? DELIVERED : random.chance(0.5) ? NEVER : DROPPED;
    });
  }

  async retain(): Promise<void> {
    const hardMaxBytes = this.random.below(this.log.headByte - this.log.firstByte + 1);
    const limits = { maxAgeMs: Number.MAX_SAFE_INTEGER, maxBytes: Number.MAX_SAFE_INTEGER, hardMaxBytes };
    const to = this.log.retainedFrom(limits, this.clock.now(), 0);
    await this.store.expiring(to);
    await this.log.removeBefore(to);
    this.#expire();
  }

  /** What the log has no more and nobody has on the way. */
  #expire(): void {
    const leased = new Set(this.held.flatMap((one) => one.positions));
    for (let position = 0; position < this.log.first; position++) {
      const event = this.events[position] as Event;
      if (event.outcome === "open" && !leased.has(position)) event.outcome = "expired";
    }
  }

  async die(): Promise<void> {
    // The simulated disk closes the handles of a dead process, but would let it create files.
    await this.clock.advance(0);
    this.disk.killProcess();
    await this.open();
    this.#expire();
  }

  async check(everyFate: boolean): Promise<void> {
    // Where nothing is certain, the ledger is exact once what was settled was read again.
    if (this.#fatesHaveFailed) await this.store.fateAt(this.log.head - 1);
    const count = (outcome: Event["outcome"]): number => this.events.filter((one) => one.outcome === outcome).length;
    const { droppedTotal, ...account } = this.store.account();
    expect({ ...account, dropped: droppedTotal }).toEqual({
      accepted: this.events.length,
      delivered: count("delivered"),
      rejected: count("rejected"),
      dropped: count("dropped"),
      expired: count("expired"),
      pending: count("open"),
      balanced: true,
    });
    if (!everyFate) return;
    let unknown = 0;
    for (const [position, { outcome }] of this.events.entries()) {
      const { status } = await this.store.fateAt(position);
      const known = outcome === "open" ? "pending" : outcome;
      if (status === "unknown" && this.#fatesHaveFailed && outcome !== "open") unknown += 1;
      else if (status !== known) expect.fail(`event ${position} is ${known}, its fate ${status}`);
    }
    // It has not those that are settled before others in front of them.
    expect(this.store.unknownFates).toBeGreaterThanOrEqual(0);
    expect(this.store.unknownFates).toBeLessThanOrEqual(unknown);
  }
}

async function step(world: World): Promise<void> {
  const { random } = world;
  const kind = random.below(20);
  if (kind < 5) for (let record = 0; record < 4; record++) await world.push();
  else if (kind < 11) {
    for (let batch = 0; batch < 4 && world.held.length < 16; batch++) await world.lease(1 + random.below(4));
  } else if (kind < 16) {
    // Round trips take time: that is why there is more than one strand.
    await world.clock.advance(20);
    const held = world.held[random.below(Math.max(1, world.held.length))];
    if (held !== undefined) await world.settle(held, world.outcomes(held));
  } else if (kind === 16) await world.clock.advance(random.below(40_000));
  else if (kind === 17) await world.die();
  else if (kind === 18 && random.chance(0.3)) await world.retain();
  else await world.store.sync();
}

interface RunOptions {
  /** At times outcomes cannot be written down. */
  readonly mayFatesFail: boolean;
  readonly makeLogs?: () => OtherLogs;
}

export async function runStrands(seeds: number, { mayFatesFail, makeLogs }: RunOptions): Promise<void> {
  let strands = 0;
  let parked = 0;
  for (let seed = 0; seed < seeds; seed++) {
    const logs = makeLogs?.();
    const world = new World(seed, mayFatesFail, logs);
    await world.open();
    try {
      for (let number = 0; number < STEPS; number++) {
        if (mayFatesFail && number % FATES_TURN === 0) world.failFates(world.random.chance(0.3));
        await step(world);
        await world.check(number % 10 === 9);
      }
      world.failFates(false);
      // Everything gets its outcome in the end.
      for (let round = 0; round < 3_000 && world.events.some(({ outcome }) => outcome === "open"); round++) {
        await world.lease(4);
        const [held] = world.held;
        if (held === undefined) await world.clock.advance(5_000);
        else await world.settle(held, new Array<Outcome>(held.batch.count).fill(DELIVERED));
      }
      await world.check(true);
      expect(world.events.filter(({ outcome }) => outcome === "open")).toEqual([]);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    await logs?.close();
    strands = Math.max(strands, world.strands);
    parked = Math.max(parked, world.parked);
  }
  expect(strands).toBeGreaterThan(4);
  expect(parked).toBeGreaterThan(2);
}
