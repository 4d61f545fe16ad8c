/**
 * What there is in the simulation: two clients and a stranger, the relay, three vendors, and
 * everything that can go wrong between them.
 */
import {
  type EmulatorFailure,
  SeededRandom,
  type ServerHandler,
  type ServerRequest,
  SimDisk,
  SimNetwork,
  VirtualClock,
} from "@waybill/testing";
import { segment } from "waybill";
import { type Client, createClientOn } from "../packages/client/src/client.ts";
import { hostileRequest } from "./hostile.ts";
import type { PlantedBug } from "./planted-bug.ts";
import { BATCH_EVENTS_LIMIT, type Plan, REDACTED_PROPERTY, SimRelay, SKIPPED_EVENT, VENDORS } from "./sim-relay.ts";
import { Stranger } from "./stranger.ts";
import { createVendor, type SimVendor } from "./vendors.ts";

const RELAY = "http://relay.test";
const CLIENT_KEY = "in";
const BASIC = `Basic ${btoa(`${CLIENT_KEY}:`)}`;
/** No request takes longer, whatever is in it, unless its process dies. */
const ANSWER_MAX_MS = 5_000;
const LAST_HOSTILE_REQUESTS = 10;
/** A share of what clients track is not for every destination. */
const SKIPPED_SHARE = 0.1;
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

const vendorFails = (name: string, weight: number, failure: (random: SeededRandom) => EmulatorFailure): StepKind => ({
  name,
  weight,
  run: (world) => world.pickVendor().fail(failure(world.random)),
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
  { name: "hostileEvent", weight: 8, run: (world) => world.stranger.send() },
  { name: "hostileRequest", weight: 6, run: (world) => world.sendHostileRequest() },
  { name: "hostileAnswer", weight: 6, run: (world) => world.pickVendor().answerOddly(world.random) },
];
const STEPS: readonly StepKind[] = [TRACK, ...FAULTS];
const TOTAL_WEIGHT = STEPS.reduce((total, { weight }) => total + weight, 0);

/** Kinds of faults there are. */
export const FAULT_KINDS: readonly string[] = FAULTS.map(({ name }) => name);

export class World {
  readonly violations: string[] = [];
  /** Events whose outcome was compared with what the vendor knows, and those that were wrong. */
  tracesChecked = 0;
  traceMismatches = 0;
  readonly faults: Record<string, number> = {};
  readonly random: SeededRandom;
  readonly clock = new VirtualClock();
  readonly disk: SimDisk;
  relay: SimRelay | undefined;
  readonly #network: SimNetwork;
  readonly #vendors: readonly SimVendor[];
  readonly stranger: Stranger;
  readonly #clients: readonly Client[];
  readonly #bug: PlantedBug | undefined;
  /** How many events each client has made: they carry their number. */
  readonly #made: number[] = CLIENTS.map(() => 0);
  #plan: Plan = { keys: VENDORS.map(() => "key"), lingerMs: 20, batchMaxEvents: BATCH_EVENTS_LIMIT };
  #finishing = false;

  constructor(seed: number, bug?: PlantedBug) {
    this.#bug = bug;
    this.random = new SeededRandom(seed);
    this.disk = new SimDisk(this.random.fork());
    this.#network = new SimNetwork({ clock: this.clock, random: this.random.fork(), latencyMs: 5 });
    this.#vendors = VENDORS.map((vendor, index) => createVendor(vendor, `emulator ${index}`, this.clock));
    for (const [index, vendor] of this.#vendors.entries())
      this.#network.serve(`http://emulator${index}.test`, vendor.handle);
    const transport = bug?.clientTransport?.(this.#network.transport) ?? this.#network.transport;
    this.#clients = CLIENTS.map(() =>
      createClientOn(
        {
          runtime: { clock: this.clock, random: this.random.fork(), transport },
          byteLength: (text) => Buffer.byteLength(text),
        },
        {
          destinations: [segment({ name: "relay", url: RELAY, writeKey: CLIENT_KEY })],
          flushAt: 4,
          flushIntervalMs: 50,
          timeoutMs: 2_000,
          backoffMaxMs: 2_000,
        },
      ),
    );
    this.stranger = new Stranger({
      clock: this.clock,
      random: this.random.fork(),
      transport: this.#network.transport,
      url: `${RELAY}/v1/batch`,
      key: BASIC,
      onViolation: (what) => this.violations.push(what),
    });
  }

  /** Events that were made, or taken from a stranger. */
  get tracked(): number {
    return this.#made.reduce((total, count) => total + count, 0) + this.stranger.accepted;
  }

  async startRelay(): Promise<void> {
    // A disk that fails at the start is tried again, as a supervisor does.
    for (let attempt = 0; attempt < 100; attempt++) {
      const { clock, disk, random } = this;
      const relay = new SimRelay({ clock, disk, network: this.#network, random: random.fork(), bug: this.#bug });
      if (await relay.start(this.#plan)) {
        this.relay = relay;
        this.#network.serve(RELAY, this.#guarded(relay));
        return;
      }
      disk.killProcess();
      await clock.advance(100);
    }
    this.violations.push("the relay does not start");
  }

  /** What a request lets out would end a real process. */
  #guarded(relay: SimRelay): ServerHandler {
    return async (request) => {
      try {
        return await relay.handle(request);
      } catch (error) {
        this.violations.push(`a request ended the process: ${String(error)}`);
        return { status: 0, headers: {}, body: "", fault: "reset" };
      }
    };
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
    for (const { destination, account, mode, reason } of this.relay?.lanes() ?? []) {
      if (!account.balanced) fail(`the ledger of ${destination} does not balance: ${JSON.stringify(account)}`);
      // The batch on its way may have been removed meanwhile.
      if (account.pending > (this.relay?.kept ?? 0) + BATCH_EVENTS_LIMIT)
        fail(`${destination} waits for ${account.pending} events, the log has ${this.relay?.kept}`);
      if ((mode as string) === "failed") fail(`a defect stopped ${destination}: ${reason}`);
    }
    for (const client of this.#clients)
      if (client.accounts()["relay"]?.balanced !== true) fail("a client's ledger does not balance");
    for (const vendor of this.#vendors) for (const fault of vendor.faults()) fail(fault);
  }

  /** Faults off; then nothing accepted may be missing, doubled, invented or out of order. */
  async finish(): Promise<void> {
    this.#finishing = true;
    this.disk.onOperation = undefined;
    this.disk.capacityBytes = Number.POSITIVE_INFINITY;
    this.disk.faults = {};
    this.#network.faults = {};
    this.#plan = { ...this.#plan, keys: VENDORS.map(() => "key") };
    for (const [index, vendor] of this.#vendors.entries()) {
      vendor.recover();
      // Ends what a vendor asked to wait.
      this.relay?.pause(index);
    }
    this.relay?.reconfigure(this.#plan);
    await this.clock.advance(START_MS);
    for (const index of VENDORS.keys()) this.relay?.resume(index);
    // What a stranger is refused takes nothing from those who still have something to send.
    for (let count = 0; count < LAST_HOSTILE_REQUESTS; count++) this.sendHostileRequest();
    await this.clock.advance(START_MS);
    this.track();
    const closed = Promise.all(this.#clients.map((client) => client.close({ deadlineMs: SETTLE_MS })));
    await this.clock.advance(SETTLE_MS);
    for (const { left, dropped } of await closed)
      if (left + dropped > 0) this.violations.push(`end: a client kept ${left} and dropped ${dropped}`);
    await this.clock.advance(SETTLE_MS);
    if (this.stranger.waiting > 0)
      this.violations.push(`end: ${this.stranger.waiting} requests of a stranger have no answer`);
    const { heldBytes = 0 } = this.relay ?? {};
    if (heldBytes > 0) this.violations.push(`end: ${heldBytes} bytes of bodies are held although no request is there`);
    this.check("end");
    await this.#checkLog();
    for (const [index, vendor] of this.#vendors.entries()) {
      await this.#checkDelivered(index, vendor);
      await this.#checkTraces(index, "end");
    }
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

  /** What the relay says of each event that it has is what the vendor knows of it. */
  async #checkTraces(index: number, when: string): Promise<void> {
    const { relay } = this;
    const vendor = this.#vendors[index];
    if (relay === undefined || vendor === undefined) return;
    const received = new Set(vendor.ids());
    const dead = await relay.listedDeadIds(index);
    for (const { id, event, outcome, reason } of await relay.outcomes(index)) {
      this.tracesChecked += 1;
      const isTrue =
        outcome === "delivered"
          ? received.has(id)
          : outcome === "rejected"
            ? dead.has(id)
            : outcome === "dropped"
              ? isLeftOut(index, reason, event)
              : outcome === "expired" || (outcome === "pending" && when !== "end");
      if (isTrue) continue;
      this.traceMismatches += 1;
      this.violations.push(`${when}: emulator ${index}: the trace of ${id} says ${outcome} ${reason ?? ""}`);
    }
  }

  /**
   * Every event that was made is at the emulator once, or a dead letter, or in the column of the
   * ledger that says why not.
   */
  async #checkDelivered(index: number, vendor: SimVendor): Promise<void> {
    const lane = this.relay?.lanes()[index];
    if (lane === undefined) return;
    const { account, mode } = lane;
    if (account.pending > 0) this.violations.push(`end: emulator${index} has ${account.pending} pending (${mode})`);
    const received = vendor.ids();
    const distinct = new Set(received);
    if (distinct.size !== received.length) this.violations.push(`end: emulator ${index} has an event twice`);
    for (const id of (await this.relay?.deadIds(index)) ?? []) distinct.add(id);
    const missing = this.tracked - distinct.size;
    const explained = account.dropped + account.expired;
    // What was lost to the lane may have arrived all the same: the answer was lost, then the event.
    if (missing > explained)
      this.violations.push(`end: emulator ${index} never got ${missing} events, the ledger explains ${explained}`);
    if (missing < 0) this.violations.push(`end: emulator ${index} has ${-missing} events that nobody made`);
  }

  track(): void {
    const index = this.random.below(CLIENTS.length);
    for (let count = 1 + this.random.below(EVENTS_MAX); count > 0; count--) {
      const number = this.#made[index] as number;
      this.#made[index] = number + 1;
      this.#clients[index]?.track({
        userId: `u${index}`,
        event: this.random.chance(SKIPPED_SHARE) ? SKIPPED_EVENT : "E",
        properties: { client: index, number, [REDACTED_PROPERTY]: "s", pad: "x".repeat(this.random.below(300)) },
      });
    }
  }

  pickVendor(): SimVendor {
    return this.random.pick(this.#vendors);
  }

  /** Past the network: that it is answered, and how, is the relay's alone. */
  sendHostileRequest(): void {
    const { relay } = this;
    if (relay === undefined) return;
    const request = hostileRequest(this.random, BASIC);
    const what = `${request.method} ${request.path} ${JSON.stringify(request.headers)} of ${request.body.length} bytes`;
    let answered = false;
    void this.#answerTo(relay, request).then((status) => {
      answered = true;
      const isRefused = (status >= 400 && status !== 500) || !relay.alive;
      if (!isRefused) this.violations.push(`a hostile request was answered with ${status}: ${what}`);
    });
    this.clock.after(ANSWER_MAX_MS, () => {
      if (!answered && relay.alive) this.violations.push(`a hostile request has no answer: ${what}`);
    });
  }

  async #answerTo(relay: SimRelay, request: ServerRequest): Promise<number> {
    return (await this.#guarded(relay)(request)).status;
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
    if (this.relay?.alive === true)
      for (const index of this.#vendors.keys()) await this.#checkTraces(index, "after a crash");
  }

  /** The vendor takes another key; ours follows in a while, by a reload. */
  rotate(): void {
    const index = this.random.below(this.#vendors.length);
    const key = `key-${this.random.below(1_000)}`;
    this.#vendors[index]?.rotate(key);
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
    const index = this.random.below(this.#vendors.length);
    this.relay?.pause(index);
    this.clock.after(this.random.below(3_000), () => this.relay?.resume(index));
  }

  /**
   * A bit turns in a segment that has records after it: damage at the very end looks like a torn
   * write.
   */
  rot(): void {
    const segments = this.disk
      .paths()
      .filter((path) => /^\/data\/log\/\d+\.log$/.test(path) && this.disk.contents(path).length > SEGMENT_HEADER_BYTES);
    if (segments.length < 2) return;
    const path = this.random.pick(segments.slice(0, -1));
    this.disk.flipBit(path, this.random.below(this.disk.contents(path).length), this.random.below(8));
  }
}

/** Only what is not addressed to the third destination, or has no meaning there. */
function isLeftOut(index: number, reason: string | undefined, event: unknown): boolean {
  if (VENDORS[index] === "segment") return false;
  return reason === "unsupported" || (reason === "filtered" && event === SKIPPED_EVENT) || event !== "E";
}
