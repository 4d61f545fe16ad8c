/** What there is in the simulation: two clients, the relay, two Segment twins, and everything that can go wrong between them. */
import { SeededRandom, SegmentTwin, SimDisk, SimNetwork, type TwinFailure, VirtualClock } from "@waybill/testing";
import { segment } from "waybill";
import { type Client, createClientOn } from "../packages/client/src/client.ts";
import type { PlantedBug } from "./planted.ts";
import { BATCH_EVENTS_LIMIT, type Plan, SimRelay } from "./sim-relay.ts";

const RELAY = "http://relay.test";
const SETTLE_MS = 15 * 60_000;
const STEP_MAX_MS = 400;
const EVENTS_MAX = 12;
const START_MS = 20;
const SEGMENT_HEADER_BYTES = 64;
const CLIENTS = [0, 1] as const;
/** Retention that a lane which is behind loses events to. */
const HARD_LIMIT_BYTES = 24_000;
const NEVER = { maxAgeMs: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY };

/** A kind of step: how often it is chosen beside the others, and what it does. */
interface StepKind {
  readonly name: string;
  readonly weight: number;
  readonly run: (world: World) => void | Promise<void>;
}

const vendorFails = (name: string, weight: number, failure: (random: SeededRandom) => TwinFailure): StepKind => ({
  name,
  weight,
  run: (world) => world.pickTwin().fail(failure(world.random)),
});

const TRACK: StepKind = { name: "track", weight: 50, run: (world) => world.track() };
const FAULTS: readonly StepKind[] = [
  vendorFails("status5xx", 6, (random) => ({
    kind: "status",
    status: random.pick([500, 502, 503]),
    forMs: 1_000 + random.below(20_000),
  })),
  vendorFails("rateLimit429", 4, (random) => ({
    kind: "status",
    status: 429,
    retryAfter: String(1 + random.below(5)),
    times: 1 + random.below(3),
  })),
  vendorFails("resetBeforeActing", 3, (random) => ({ kind: "reset", times: 1 + random.below(3) })),
  vendorFails("resetAfterActing", 4, (random) => ({ kind: "resetAfter", times: 1 + random.below(3) })),
  vendorFails("hang", 2, () => ({ kind: "hang", times: 1 })),
  // Acts, and answers when nobody listens any more.
  vendorFails("slow", 2, () => ({ kind: "slow", delayMs: 3_000, times: 2 })),
  // Acts, then neither answers nor closes.
  vendorFails("halfClosed", 2, () => ({ kind: "slow", delayMs: 3_600_000, times: 1 })),
  vendorFails("partialRejection", 2, () => ({ kind: "partial", times: 1 })),
  { name: "credentialRotation", weight: 3, run: (world) => world.rotate() },
  { name: "processCrash", weight: 4, run: (world) => world.crash(() => world.disk.killProcess()) },
  { name: "powerCut", weight: 4, run: (world) => world.crash(() => world.disk.crash(world.random.fork())) },
  { name: "crashAtDiskOperation", weight: 4, run: (world) => world.crashSoon() },
  { name: "syncError", weight: 3, run: (world) => world.toggleSyncErrors() },
  { name: "fullDisk", weight: 3, run: (world) => world.toggleFullDisk() },
  { name: "bitRot", weight: 1, run: (world) => world.rot() },
  { name: "network", weight: 4, run: (world) => world.toggleNetwork() },
  { name: "clockJump", weight: 3, run: (world) => world.clock.jump(world.random.below(600_000) - 300_000) },
  { name: "configReload", weight: 3, run: (world) => world.reload() },
  { name: "pauseAndResume", weight: 3, run: (world) => world.pause() },
  {
    name: "retentionOvertakes",
    weight: 2,
    run: (world) => world.relay?.retain({ ...NEVER, hardMaxBytes: HARD_LIMIT_BYTES }),
  },
];
const STEPS: readonly StepKind[] = [TRACK, ...FAULTS];
const TOTAL_WEIGHT = STEPS.reduce((total, { weight }) => total + weight, 0);

/** Kinds of faults there are. */
export const FAULT_KINDS: readonly string[] = FAULTS.map(({ name }) => name);

export class World {
  readonly violations: string[] = [];
  readonly faults: Record<string, number> = {};
  readonly random: SeededRandom;
  readonly clock = new VirtualClock();
  readonly disk: SimDisk;
  relay: SimRelay | undefined;
  readonly #network: SimNetwork;
  readonly #twins: readonly SegmentTwin[];
  readonly #clients: readonly Client[];
  readonly #bug: PlantedBug | undefined;
  /** How many events each client has made: they carry their number. */
  readonly #made: number[] = CLIENTS.map(() => 0);
  /** Per twin: events looked at, and the last number of each client. */
  readonly #seen: { looked: number; readonly last: number[] }[];
  #plan: Plan = { keys: ["key", "key"], lingerMs: 20, batchMaxEvents: BATCH_EVENTS_LIMIT };
  #finishing = false;

  constructor(seed: number, bug?: PlantedBug) {
    this.#bug = bug;
    this.random = new SeededRandom(seed);
    this.disk = new SimDisk(this.random.fork());
    this.#network = new SimNetwork({ clock: this.clock, random: this.random.fork(), latencyMs: 5 });
    this.#twins = [0, 1].map(() => new SegmentTwin({ clock: this.clock, writeKeys: ["key"] }));
    this.#seen = this.#twins.map(() => ({ looked: 0, last: CLIENTS.map(() => -1) }));
    for (const [index, twin] of this.#twins.entries()) this.#network.serve(`http://twin${index}.test`, twin.handle);
    const transport = bug?.clientTransport?.(this.#network.transport) ?? this.#network.transport;
    this.#clients = CLIENTS.map(() =>
      createClientOn(
        {
          runtime: { clock: this.clock, random: this.random.fork(), transport },
          byteLength: (text) => Buffer.byteLength(text),
        },
        {
          destinations: [segment({ name: "relay", url: RELAY, writeKey: "in" })],
          flushAt: 4,
          flushIntervalMs: 50,
          timeoutMs: 2_000,
          backoffMaxMs: 2_000,
        },
      ),
    );
  }

  get tracked(): number {
    return this.#made.reduce((total, count) => total + count, 0);
  }

  async startRelay(): Promise<void> {
    // A disk that fails at the start is tried again, as a supervisor does.
    for (let attempt = 0; attempt < 100; attempt++) {
      const { clock, disk, random } = this;
      const relay = new SimRelay({ clock, disk, network: this.#network, random: random.fork(), bug: this.#bug });
      if (await relay.start(this.#plan)) {
        this.relay = relay;
        this.#network.serve(RELAY, relay.handle);
        return;
      }
      disk.killProcess();
      await clock.advance(100);
    }
    this.violations.push("the relay does not start");
  }

  async step(): Promise<void> {
    let roll = this.random.next() * TOTAL_WEIGHT;
    const kind = STEPS.find(({ weight }) => (roll -= weight) < 0) ?? TRACK;
    if (kind !== TRACK) this.faults[kind.name] = (this.faults[kind.name] ?? 0) + 1;
    await kind.run(this);
    await this.clock.advance(this.random.next() * STEP_MAX_MS);
    if (this.relay?.alive === false) await this.#restart();
  }

  /** What must hold at every instant. */
  check(when: string): void {
    const fail = (what: string): void => {
      this.violations.push(`${when}: ${what}`);
    };
    for (const { destination, account } of this.relay?.lanes() ?? [])
      if (!account.balanced) fail(`the book of ${destination} does not balance: ${JSON.stringify(account)}`);
    for (const client of this.#clients)
      if (client.accounts()["relay"]?.balanced !== true) fail("a client's book does not balance");
    for (const [index, twin] of this.#twins.entries()) this.#checkArrivals(index, twin, fail);
  }

  /** New at a twin: in the order the client made them, in requests within the limit. */
  #checkArrivals(index: number, twin: SegmentTwin, fail: (what: string) => void): void {
    const seen = this.#seen[index] as { looked: number; readonly last: number[] };
    let request = -1;
    let inRequest = 0;
    for (; seen.looked < twin.events.length; seen.looked++) {
      const arrived = twin.events[seen.looked] as (typeof twin.events)[number];
      inRequest = arrived.request === request ? inRequest + 1 : 1;
      request = arrived.request;
      if (inRequest > BATCH_EVENTS_LIMIT) fail(`twin ${index} got more than ${BATCH_EVENTS_LIMIT} events at once`);
      const { client, number } = arrived.event["properties"] as { readonly client: number; readonly number: number };
      // What the twin refused once may come later after all: the refusal was lost on the way, or with the cursor.
      if (twin.refusedIds.has(arrived.messageId)) continue;
      if (number <= (seen.last[client] as number))
        fail(`twin ${index} got event ${number} of client ${client} behind event ${seen.last[client]}`);
      seen.last[client] = number;
    }
  }

  /** Faults off; then nothing accepted may be missing, doubled, invented or out of order. */
  async finish(): Promise<void> {
    this.#finishing = true;
    this.disk.onOperation = undefined;
    this.disk.capacityBytes = Number.POSITIVE_INFINITY;
    this.disk.faults = {};
    this.#network.faults = {};
    this.#plan = { ...this.#plan, keys: ["key", "key"] };
    for (const [index, twin] of this.#twins.entries()) {
      twin.recover();
      twin.rotate(["key"]);
      this.relay?.resume(index);
    }
    this.relay?.reconfigure(this.#plan);
    const closed = Promise.all(this.#clients.map((client) => client.close({ deadlineMs: SETTLE_MS })));
    await this.clock.advance(SETTLE_MS);
    for (const { left, dropped } of await closed)
      if (left + dropped > 0) this.violations.push(`end: a client kept ${left} and dropped ${dropped}`);
    await this.clock.advance(SETTLE_MS);
    this.check("end");
    await this.#checkLog();
    for (const [index, twin] of this.#twins.entries()) await this.#checkDelivered(index, twin);
    this.relay?.kill();
  }

  async #checkLog(): Promise<void> {
    const ids = (await this.relay?.storedIds()) ?? [];
    const distinct = new Set(ids);
    if (distinct.size !== ids.length)
      this.violations.push(`end: ${ids.length - distinct.size} events are in the log twice`);
    if (distinct.size > this.tracked)
      this.violations.push(`end: ${this.tracked} events were made, ${distinct.size} are in the log`);
  }

  /** Every event that was made is at the twin once, or a dead letter, or in the column of the book that says why not. */
  async #checkDelivered(index: number, twin: SegmentTwin): Promise<void> {
    const lane = this.relay?.lanes()[index];
    if (lane === undefined) return;
    const { account, mode } = lane;
    if (account.pending > 0) this.violations.push(`end: twin${index} has ${account.pending} pending (${mode})`);
    const received = twin.events.map(({ messageId }) => messageId);
    const distinct = new Set(received);
    if (distinct.size !== received.length) this.violations.push(`end: twin ${index} has an event twice`);
    for (const id of (await this.relay?.deadIds(index)) ?? []) distinct.add(id);
    const missing = this.tracked - distinct.size;
    const explained = account.dropped + account.expired;
    // What was lost to the lane may have arrived all the same: the answer was lost, then the event.
    if (missing > explained)
      this.violations.push(`end: twin ${index} never got ${missing} events, the book explains ${explained}`);
    if (missing < 0) this.violations.push(`end: twin ${index} has ${-missing} events that nobody made`);
  }

  track(): void {
    const index = this.random.below(CLIENTS.length);
    for (let count = 1 + this.random.below(EVENTS_MAX); count > 0; count--) {
      const number = this.#made[index] as number;
      this.#made[index] = number + 1;
      this.#clients[index]?.track({
        userId: `u${index}`,
        event: "E",
        properties: { client: index, number, pad: "x".repeat(this.random.below(300)) },
      });
    }
  }

  pickTwin(): SegmentTwin {
    return this.random.pick(this.#twins);
  }

  async crash(breakDisk: () => void): Promise<void> {
    this.relay?.kill();
    breakDisk();
    await this.#restart();
  }

  /** The process dies, or the power fails, just before one of the next disk operations. */
  crashSoon(): void {
    let left = 1 + this.random.below(12);
    const powerFails = this.random.chance(0.5);
    const chance = this.random.fork();
    this.disk.onOperation = () => {
      left -= 1;
      if (left > 0) return;
      this.disk.onOperation = undefined;
      this.relay?.kill();
      if (powerFails) this.disk.crash(chance);
      else this.disk.killProcess();
      throw new Error("the process is dead");
    };
  }

  async #restart(): Promise<void> {
    this.#network.remove(RELAY);
    this.disk.onOperation = undefined;
    // What the dead process had sent arrives before a new one is up.
    await this.clock.advance(START_MS);
    await this.startRelay();
  }

  /** The vendor takes another key; ours follows in a while, by a reload. */
  rotate(): void {
    const index = this.random.below(this.#twins.length);
    const key = `key-${this.random.below(1_000)}`;
    this.#twins[index]?.rotate([key]);
    this.clock.after(this.random.below(5_000), () => {
      if (this.#finishing) return;
      this.#plan = { ...this.#plan, keys: this.#plan.keys.map((old, at) => (at === index ? key : old)) };
      this.relay?.reconfigure(this.#plan);
    });
  }

  reload(): void {
    this.#plan = {
      ...this.#plan,
      lingerMs: this.random.below(100),
      batchMaxEvents: 1 + this.random.below(BATCH_EVENTS_LIMIT),
    };
    this.relay?.reconfigure(this.#plan);
  }

  toggleFullDisk(): void {
    const full = this.disk.capacityBytes !== Number.POSITIVE_INFINITY;
    this.disk.capacityBytes = full ? Number.POSITIVE_INFINITY : this.disk.usedBytes + this.random.below(2_000);
  }

  toggleSyncErrors(): void {
    this.disk.faults = this.disk.faults.sync === undefined ? { sync: 0.2 } : {};
  }

  toggleNetwork(): void {
    const quiet = Object.keys(this.#network.faults).length === 0;
    this.#network.faults = quiet ? { refuse: 0.1, resetBefore: 0.1, resetAfter: 0.1, hang: 0.02, duplicate: 0.1 } : {};
  }

  pause(): void {
    const index = this.random.below(this.#twins.length);
    this.relay?.pause(index);
    this.clock.after(this.random.below(3_000), () => this.relay?.resume(index));
  }

  /** A bit turns in a segment behind which there are records: damage at the very end can't be told from a torn write. */
  rot(): void {
    const segments = this.disk
      .paths()
      .filter((path) => /^\/data\/log\/\d+\.log$/.test(path) && this.disk.contents(path).length > SEGMENT_HEADER_BYTES);
    if (segments.length < 2) return;
    const path = this.random.pick(segments.slice(0, -1));
    this.disk.flipBit(path, this.random.below(this.disk.contents(path).length), this.random.below(8));
  }
}
