/**
 * What a lane with strands does in a run: it leases, plans, sends, settles, parks and gives up,
 * many batches at once, while events come in, retention takes some, an operator changes settings
 * and the process ends now and then. Of each event it is noted what was promised of it, and when.
 */
import { DELIVERED, type Disk, type Outcome } from "@waybill/core";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { RecordingDisk } from "./recording-disk.ts";
import {
  append,
  closeStrandLane,
  DIRECTORIES,
  deadPositions,
  type Flight,
  lease,
  newEvents,
  openStrandLane,
  reconfigure,
  type StrandEvent,
  type StrandLane,
  type StrandSettings,
  wrongCounts,
  wrongWith,
} from "./strand-lane.ts";

const LATER: Outcome = { status: "retryable", reason: "later" };
const PARKED: Outcome = { status: "parked", reason: "500" };
const NEVER: Outcome = { status: "rejected", reason: "never" };
const DROPPED: Outcome = { status: "dropped", reason: "filtered" };
const IN_FLIGHT_MAX = 16;
/** Round trips take time: that is why there is more than one strand. */
const ROUND_TRIP_MS = 20;
const WAIT_MAX_MS = 40_000;
const TOGETHER_MAX = 4;
const YIELDS_MAX = 12;
const ROUNDS_MAX = 5;

export type Status = "delivered" | "rejected" | "dropped" | "expired";

/** A batch that was sent: numbers are of disk operations. */
export interface Sent extends Flight {
  /** Its plan was written, or made durable where that has to be. */
  readonly plannedAt: number;
  /** Its answer came, or the next process sent it again. */
  endedAt: number;
}

/** An event got an outcome. */
export interface Settled {
  readonly position: number;
  readonly statuses: readonly Status[];
  readonly begunAt: number;
  writtenAt: number;
  durableAt: number;
}

export interface Removal {
  readonly to: number;
  readonly begunAt: number;
}

export interface StrandWorkloadOptions {
  readonly seed: number;
  readonly steps: number;
  readonly wrap?: (disk: Disk) => Disk;
}

export class StrandWorkload {
  readonly disk: RecordingDisk = new RecordingDisk();
  readonly #wrapped: Disk;
  readonly #clock = new VirtualClock();
  readonly #random: SeededRandom;
  readonly durableLease: boolean;
  /** Whether events of a user were always to keep their order. */
  readonly isOrdered: boolean;
  readonly events: StrandEvent[] = [];
  /** How many of the events were acknowledged, and when. */
  readonly acknowledged: { readonly head: number; readonly at: number }[] = [];
  readonly sent: Sent[] = [];
  readonly settled: Settled[] = [];
  readonly removals: Removal[] = [];
  readonly failures: string[] = [];
  /** How much of what is to be tried was there. */
  readonly most = { strands: 0, parkedUsers: 0, ahead: 0, removedBeyond: 0, joins: 0, givenUp: 0, flights: 0 };
  #lane!: StrandLane;
  #flights: Sent[] = [];
  readonly #final = new Map<number, Status>();

  constructor({ seed, wrap }: StrandWorkloadOptions) {
    this.#random = new SeededRandom(seed);
    this.#wrapped = wrap?.(this.disk) ?? this.disk;
    this.durableLease = this.#random.chance(0.4);
    this.isOrdered = this.#random.chance(0.8);
  }

  get #now(): number {
    return this.disk.operations.length;
  }

  async run(steps: number): Promise<void> {
    for (const directory of DIRECTORIES) await this.disk.makeDirectory(directory);
    await this.#open();
    for (let step = 0; step < steps && this.failures.length === 0; step++) {
      await this.#step();
      const wrong = await wrongCounts(this.#lane);
      if (wrong !== undefined) this.failures.push(`step ${step}: ${wrong}`);
    }
  }

  #drawn(): StrandSettings {
    const order = this.#random.pick(["user", "user", "user", "arrival", this.isOrdered ? "user" : "none"] as const);
    return { order, maxInFlight: this.#random.pick([1, 4, 16, 64]) };
  }

  async #open(): Promise<void> {
    const settings = this.#lane === undefined ? ({ order: "user", maxInFlight: 64 } as const) : this.#drawn();
    this.#lane = await openStrandLane({
      disk: this.#wrapped,
      clock: this.#clock,
      settings,
      durableLease: this.durableLease,
    });
    this.#flights = [];
    this.#noteDurable();
    this.#expire();
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const kind = random.below(24);
    if (kind < 5) for (let count = 1 + random.below(4); count > 0; count--) await this.#append();
    else if (kind < 11) await this.#lease();
    else if (kind < 17) await this.#settleSome();
    else if (kind === 17) await this.#retryParked();
    else if (kind < 20) await this.#sync();
    else if (kind === 20) await this.#reopen();
    else if (kind === 21) reconfigure(this.#lane, this.#drawn());
    else await Promise.all([this.#retain(), this.#settleSome()]);
  }

  async #append(): Promise<void> {
    const events = newEvents(this.#random);
    this.events.push(...events);
    await append(this.#lane.log, events);
    this.acknowledged.push({ head: this.events.length, at: this.#now });
  }

  async #lease(): Promise<void> {
    for (let count = 1 + this.#random.below(TOGETHER_MAX); count > 0; count--) {
      if (this.#flights.length >= IN_FLIGHT_MAX) return;
      const flight = await lease(this.#lane, { maxEvents: 2 + this.#random.below(3), maxBytes: 1_000 });
      if (flight === undefined) break;
      await this.#send(flight);
    }
    const { strands, parkedUsers } = this.#lane.store.shape;
    if (strands === 1 && this.most.strands > 1) this.most.joins += 1;
    this.most.strands = Math.max(this.most.strands, strands);
    this.most.parkedUsers = Math.max(this.most.parkedUsers, parkedUsers);
    this.most.flights = Math.max(this.most.flights, this.#flights.length);
  }

  async #send(flight: Flight): Promise<void> {
    const wrong = wrongWith({
      flight,
      events: this.events,
      isOpen: (position) => !this.#final.has(position),
      isLeased: (position) => this.#flights.some(({ positions }) => positions.includes(position)),
      isOrdered: this.isOrdered,
    });
    if (wrong !== undefined) this.failures.push(wrong);
    await this.#lane.store.plan(flight.batch);
    for (const before of this.sent)
      if (before.endedAt > this.#now && before.positions.some((position) => flight.positions.includes(position)))
        before.endedAt = this.#now;
    const sent: Sent = { ...flight, plannedAt: this.#now, endedAt: Number.POSITIVE_INFINITY };
    this.sent.push(sent);
    this.#flights.push(sent);
  }

  /** Several answers come at once. */
  async #settleSome(): Promise<void> {
    await this.#clock.advance(ROUND_TRIP_MS);
    const answered = this.#flights.filter(() => this.#random.chance(0.4));
    await Promise.all(
      answered.map(async (sent) => {
        for (let turns = this.#random.below(YIELDS_MAX); turns > 0; turns--) await Promise.resolve();
        await this.#settle(sent);
      }),
    );
    this.#expire();
  }

  /** Time passes, others pass, and who is parked fails again. */
  async #retryParked(): Promise<void> {
    for (let round = this.#random.below(ROUNDS_MAX); round > 0; round--) {
      await this.#clock.advance(this.#random.below(WAIT_MAX_MS));
      await this.#lease();
      await this.#settleSome();
    }
  }

  async #settle(sent: Sent): Promise<void> {
    const { batch, positions } = sent;
    const outcomes = this.#outcomes(sent);
    sent.endedAt = this.#now;
    const begunAt = this.#now;
    const settled: Settled[] = [];
    for (const [index, position] of positions.entries()) {
      const { status } = outcomes[index] as Outcome;
      if (status === "retryable" || status === "halted" || (status === "parked" && !batch.parked)) {
        if (status === "parked") continue;
        break;
      }
      // What has failed for too long while others passed is given up by the store; until then
      // retention may take it.
      const statuses: Status[] = status === "parked" ? ["rejected", "expired"] : [status as Status];
      const never = Number.POSITIVE_INFINITY;
      settled.push({ position, statuses, begunAt, writtenAt: never, durableAt: never });
      if (status === "parked") break;
    }
    this.settled.push(...settled);
    await this.#lane.store.settle(batch, outcomes);
    const writtenAt = this.#now;
    this.#flights = this.#flights.filter((one) => one !== sent);
    for (const one of settled) {
      const { status } = await this.#lane.store.fateAt(one.position);
      if (status === "pending") continue;
      if (!one.statuses.includes(status as Status))
        this.failures.push(`the event at ${one.position} is ${status}, it was ${one.statuses.join()}`);
      one.writtenAt = writtenAt;
      this.#final.set(one.position, status as Status);
      if (status === "rejected" && batch.parked) this.most.givenUp += 1;
      if (one.position > this.#lane.store.settledTo) this.most.ahead += 1;
    }
  }

  /**
   * As retries answer: where an event is parked, so are the later ones of its user, but those that
   * were left out before, or that the vendor's answer had an outcome for.
   */
  #outcomes({ batch }: Flight): Outcome[] {
    const random = this.#random;
    const failing = new Set<number>();
    const style = random.below(6);
    return Array.from({ length: batch.count }, (_, index): Outcome => {
      const hash = batch.orderHash(index);
      if (failing.has(hash)) return random.chance(0.8) ? PARKED : random.pick([DELIVERED, NEVER, DROPPED]);
      if (style <= 1) return DELIVERED;
      if (style === 2 && random.chance(0.3)) return LATER;
      if (style >= 4 && random.chance(batch.parked ? 0.6 : 0.2)) {
        failing.add(hash);
        return PARKED;
      }
      return random.chance(0.7) ? DELIVERED : random.chance(0.5) ? NEVER : DROPPED;
    });
  }

  async #sync(): Promise<void> {
    const written = this.settled.filter(({ writtenAt }) => writtenAt < Number.POSITIVE_INFINITY);
    await this.#lane.store.sync();
    for (const one of written) one.durableAt = Math.min(one.durableAt, this.#now);
  }

  /** All that was written is durable. */
  #noteDurable(): void {
    for (const one of this.settled)
      if (one.writtenAt < Number.POSITIVE_INFINITY) one.durableAt = Math.min(one.durableAt, this.#now);
  }

  async #retain(): Promise<void> {
    const { log, store } = this.#lane;
    const hardMaxBytes = this.#random.below(log.headByte - log.firstByte + 1);
    const limits = { maxAgeMs: Number.MAX_SAFE_INTEGER, maxBytes: Number.MAX_SAFE_INTEGER, hardMaxBytes };
    const to = log.retainedFrom(limits, this.#clock.now(), 0);
    if (to <= log.first) return;
    if (store.shape.strands > 1 && store.settledTo < to) this.most.removedBeyond += 1;
    this.removals.push({ to, begunAt: this.#now });
    await store.expiring(to);
    await log.removeBefore(to);
  }

  /** What the log has no more and is not on its way. */
  #expire(): void {
    for (let position = 0; position < this.#lane.log.first; position++) {
      const isLeased = this.#flights.some(({ positions }) => positions.includes(position));
      if (!isLeased && !this.#final.has(position)) this.#final.set(position, "expired");
    }
  }

  /** The process ends, in order or not. */
  async #reopen(): Promise<void> {
    if (this.#random.chance(0.5)) await closeStrandLane(this.#lane);
    await this.#open();
    const dead = await deadPositions(this.#lane);
    if (new Set(dead).size !== dead.length) this.failures.push("a dead letter is kept twice");
  }
}

export async function runStrandWorkload(options: StrandWorkloadOptions): Promise<StrandWorkload> {
  const workload = new StrandWorkload(options);
  await workload.run(options.steps);
  return workload;
}
