/**
 * Crash points of a lane with strands: {@link StrandWorkload} runs once on a disk that records
 * every operation; then the lane is opened on every disk that a crash at any point may leave.
 *
 * It must know of each event what became of it, and know nothing that did not happen; what was
 * written, or after a power cut synced, it must not forget. Ledger and fates agree. What was on its
 * way comes again in the batches it was in. It sends the rest, in order, and no more than the rest;
 * and opened once more it has not changed.
 */
import { DELIVERED, type Disk, type Outcome } from "@waybill/core";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { type Crash, type CrashTally, crashesOf } from "./power-cut.ts";
import {
  append,
  closeStrandLane,
  DIRECTORIES,
  deadPositions,
  type Flight,
  lease,
  newEvents,
  openStrandLane,
  type StrandEvent,
  type StrandLane,
  wrongCounts,
  wrongWith,
} from "./strand-lane.ts";
import { runStrandWorkload, type StrandWorkload } from "./strand-workload.ts";

export interface StrandPointsOptions {
  readonly seed: number;
  readonly steps: number;
  /** States of one point that are tried at most. */
  readonly subsetsMax: number;
  /** Between the lane and its disk, before the crash: for planted bugs. */
  readonly wrap?: (disk: Disk) => Disk;
}

export interface StrandPointsResult extends Readonly<CrashTally> {
  readonly operations: number;
  readonly most: StrandWorkload["most"];
  readonly failures: readonly string[];
}

const FAILURES_MAX = 20;
const IN_FLIGHT_MAX = 8;
const ROUNDS_MAX = 3_000;
const WAIT_MS = 5_000;

export async function tryStrandPoints(options: StrandPointsOptions): Promise<StrandPointsResult> {
  const { seed, subsetsMax } = options;
  const workload = await runStrandWorkload(options);
  const { operations } = workload.disk;
  const tally: CrashTally = { points: 0, sampled: 0, states: 0 };
  const failures = workload.failures.map((failure) => `seed ${seed}, before any crash: ${failure}`);
  const random = new SeededRandom(seed + 1);
  for (const crash of crashesOf(operations, { subsetsMax, random, tally })) {
    if (failures.length >= FAILURES_MAX) break;
    const problem = await problemAfter(crash, workload, random.fork());
    if (problem === undefined) continue;
    const how = crash.isWhole ? "the process died" : "the power failed";
    failures.push(
      `seed ${seed}, before operation ${crash.at} (${operations[crash.at]?.kind ?? "the end"}), state ${crash.number}, ${how}: ${problem}`,
    );
  }
  return { operations: operations.length, ...tally, most: workload.most, failures };
}

async function problemAfter(crash: Crash, workload: StrandWorkload, random: SeededRandom): Promise<string | undefined> {
  try {
    return await new Recovered(crash, workload, random).problem();
  } catch (error) {
    return `recovery fails: ${String(error instanceof Error ? error.stack : error)}`;
  }
}

/** A lane after a crash. */
class Recovered {
  readonly #crash: Crash;
  readonly #workload: StrandWorkload;
  readonly #random: SeededRandom;
  readonly #disk: SimDisk;
  readonly #clock = new VirtualClock();
  #lane!: StrandLane;
  #events: StrandEvent[] = [];
  #flights: Flight[] = [];
  /** Positions of batches that have to come again as they were. */
  #whole: (readonly number[])[] = [];
  readonly #open = new Set<number>();

  constructor(crash: Crash, workload: StrandWorkload, random: SeededRandom) {
    this.#crash = crash;
    this.#workload = workload;
    this.#random = random;
    this.#disk = SimDisk.of(crash.files, DIRECTORIES);
  }

  async problem(): Promise<string | undefined> {
    await this.#start();
    return (await this.#wrongFates()) ?? (await this.#wrongDead()) ?? (await this.#wrongRest()) ?? this.#wrongEnd();
  }

  async #start(): Promise<void> {
    const { isOrdered, durableLease } = this.#workload;
    const order = this.#random.pick(["user", "user", "arrival", isOrdered ? "user" : "none"] as const);
    const settings = { order, maxInFlight: this.#random.pick([1, 4, 64]) };
    this.#lane = await openStrandLane({ disk: this.#disk, clock: this.#clock, settings, durableLease });
    this.#events = this.#workload.events.slice(0, this.#lane.log.head);
  }

  /** Of each event the outcome that it got, and all of them in the ledger. */
  async #wrongFates(): Promise<string | undefined> {
    const { at } = this.#crash;
    const { log, store } = this.#lane;
    const acknowledged = this.#workload.acknowledged.findLast((one) => one.at <= at)?.head ?? 0;
    if (log.head < acknowledged) return `${acknowledged} events were acknowledged, ${log.head} are in the log`;
    const counts = await wrongCounts(this.#lane);
    if (counts !== undefined) return counts;
    for (let position = 0; position < log.head; position++) {
      const { status } = await store.fateAt(position);
      const wrong = this.#wrongFate(position, status);
      if (wrong !== undefined) return `the event at ${position} is ${status}: ${wrong}`;
      if (status === "pending") this.#open.add(position);
    }
    return undefined;
  }

  #wrongFate(position: number, status: string): string | undefined {
    const { settled, removals } = this.#workload;
    const { at, isWhole } = this.#crash;
    const ended = settled.filter((one) => one.position === position && one.begunAt <= at);
    const known = ended.findLast((one) => (isWhole ? one.writtenAt : one.durableAt) <= at);
    if (known !== undefined) return known.statuses.includes(status as never) ? undefined : `it was ${known.statuses}`;
    const isGone = position < this.#lane.log.first;
    if (status === "pending") return isGone ? "the log has it no more" : undefined;
    if (status === "expired")
      return removals.some(({ to, begunAt }) => begunAt <= at && position < to) ? undefined : "nothing was removed";
    return ended.some(({ statuses }) => statuses.includes(status as never)) ? undefined : "it never was";
  }

  async #wrongDead(): Promise<string | undefined> {
    const dead = await deadPositions(this.#lane);
    const distinct = new Set(dead);
    if (distinct.size !== dead.length) return "a dead letter is kept twice";
    for (let position = 0; position < this.#lane.log.head; position++) {
      const { status } = await this.#lane.store.fateAt(position);
      if (status === "rejected" && !distinct.has(position)) return `the event at ${position} has no dead letter`;
    }
    return undefined;
  }

  /** What is left is sent: whole under its key where it was on its way, and in order. */
  async #wrongRest(): Promise<string | undefined> {
    const { at, isWhole } = this.#crash;
    const { sent, durableLease } = this.#workload;
    const { log } = this.#lane;
    this.#whole = sent
      .filter(({ batch, plannedAt, endedAt }) => plannedAt <= at && endedAt > at && !(batch.parked && !durableLease))
      .filter(({ positions }) => (positions[0] as number) >= log.first && (isWhole || durableLease))
      .map(({ positions }) => positions);
    await this.#append();
    for (let round = 0; round < ROUNDS_MAX && this.#open.size > 0; round++) {
      const wrong = await this.#send();
      if (wrong !== undefined) return wrong;
    }
    return this.#open.size === 0 ? undefined : `${this.#open.size} events are never sent: ${[...this.#open].join()}`;
  }

  async #append(): Promise<void> {
    const events = newEvents(this.#random);
    const first = await append(this.#lane.log, events);
    for (const index of events.keys()) this.#open.add(first + index);
    this.#events.push(...events);
  }

  async #send(): Promise<string | undefined> {
    while (this.#flights.length < IN_FLIGHT_MAX) {
      const flight = await lease(this.#lane, { maxEvents: 2 + this.#random.below(3), maxBytes: 1_000 });
      if (flight === undefined) break;
      const wrong = this.#wrongFlight(flight);
      if (wrong !== undefined) return wrong;
      await this.#lane.store.plan(flight.batch);
      this.#flights.push(flight);
    }
    const flight = this.#flights.splice(this.#random.below(Math.max(1, this.#flights.length)), 1)[0];
    if (flight === undefined) {
      await this.#clock.advance(WAIT_MS);
      return undefined;
    }
    await this.#lane.store.settle(flight.batch, new Array<Outcome>(flight.batch.count).fill(DELIVERED));
    for (const position of flight.positions) this.#open.delete(position);
    return undefined;
  }

  #wrongFlight(flight: Flight): string | undefined {
    const own = flight.positions.join();
    for (const positions of this.#whole) {
      if (!positions.some((position) => flight.positions.includes(position))) continue;
      if (positions.join() !== own) return `${positions.join()} was one request, now ${own} is`;
      this.#whole = this.#whole.filter((one) => one !== positions);
    }
    return wrongWith({
      flight,
      events: this.#events,
      isOpen: (position) => this.#open.has(position),
      isLeased: (position) => this.#flights.some(({ positions }) => positions.includes(position)),
      isOrdered: this.#workload.isOrdered,
    });
  }

  /** All is settled, and known after one more start. */
  async #wrongEnd(): Promise<string | undefined> {
    const counts = await wrongCounts(this.#lane);
    if (counts !== undefined) return `at the end: ${counts}`;
    const account = JSON.stringify(this.#lane.store.account());
    await closeStrandLane(this.#lane);
    await this.#start();
    const again = JSON.stringify(this.#lane.store.account());
    if (again !== account) return `after another start the ledger is ${again}, it was ${account}`;
    const wrong = await wrongCounts(this.#lane);
    return wrong && `after another start: ${wrong}`;
  }
}
