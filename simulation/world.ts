/**
 * What there is in the simulation: two clients of several users each and a stranger, the relay,
 * four vendors at a distance, and everything that can go wrong between them.
 */
import {
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
import { People } from "./people.ts";
import { idsInSegment, Places } from "./places.ts";
import type { PlantedBug } from "./planted-bug.ts";
import { rush, rushed } from "./rush.ts";
import {
  BATCH_EVENTS_LIMIT,
  type DestinationPlan,
  originOf,
  type Plan,
  type SettledOrder,
  SimRelay,
  VENDORS,
} from "./sim-relay.ts";
import { Stranger } from "./stranger.ts";
import { Traces } from "./traces.ts";
import { createVendor, type SimVendor } from "./vendors.ts";

/** Something that happens to a world. */
export interface WorldStep {
  readonly name: string;
  readonly isFault: boolean;
  readonly run: (world: World) => unknown;
}

/** Enough for what a relay does at once; with more, most of the time would be spent there. */
const SETTLE_TURNS = 120;
const DISK_FAULTS: ReadonlySet<string> = new Set(["fullDisk", "syncError", "crashAtDiskOperation", "bitRot"]);

const RELAY = "http://relay.test";
const CLIENT_KEY = "in";
const BASIC = `Basic ${btoa(`${CLIENT_KEY}:`)}`;
/** No request takes longer, whatever is in it, unless its process dies. */
const ANSWER_MAX_MS = 5_000;
const LAST_HOSTILE_REQUESTS = 10;
const SETTLE_MS = 15 * 60_000;
const SETTLE_STEP_MS = 15_000;
const STEP_MAX_MS = 400;
const START_MS = 20;
const SEGMENT_HEADER_BYTES = 64;
const CLIENTS = [0, 1] as const;
const ROUND_TRIP_MS = { min: 20, max: 200 };
/** Steps after which each event is looked at. */
const LOOK_EVERY = 5;
const GIVE_UP_MS = [30_000, 60_000, 300_000];
const GIVE_UP_LAST_MS = 60_000;
/** At the end others have to pass for a poisonous event to be given up. */
const TRICKLE_MS = 5_000;
const TRICKLES_MAX = 400;
/** Of the runs: each takes a second. */
const RUSH_SHARE = 0.25;
export class World {
  readonly violations: string[] = [];
  readonly faults: Record<string, number> = {};
  readonly random: SeededRandom;
  readonly clock = new VirtualClock(undefined, SETTLE_TURNS);
  readonly disk: SimDisk;
  relay: SimRelay | undefined;
  readonly #network: SimNetwork;
  readonly #vendors: readonly SimVendor[];
  readonly traces: Traces;
  readonly stranger: Stranger;
  readonly #clients: readonly Client[];
  readonly people: People;
  readonly #bug: PlantedBug | undefined;
  #plan: Plan;
  #finishing = false;
  #requestViolations = 0;
  readonly #settled: readonly SettledOrder[] = VENDORS.map(() => ({ order: undefined }));
  readonly #places = new Places((id) => {
    if (!this.#hasDiskFailed) this.violations.push(`the event ${id} is stored again`);
  });

  constructor(seed: number, bug?: PlantedBug) {
    this.#bug = bug;
    this.random = new SeededRandom(seed);
    this.disk = new SimDisk(this.random.fork());
    this.#network = new SimNetwork({ clock: this.clock, random: this.random.fork(), latencyMs: 5 });
    this.#vendors = VENDORS.map((vendor, index) => {
      const roundTripMs = ROUND_TRIP_MS.min + this.random.below(ROUND_TRIP_MS.max - ROUND_TRIP_MS.min);
      return createVendor(vendor, {
        name: `emulator ${index}`,
        clock: this.clock,
        random: this.random.fork(),
        roundTripMs,
        places: this.#places,
      });
    });
    for (const [index, vendor] of this.#vendors.entries()) this.#network.serve(originOf(index), vendor.handle);
    this.traces = new Traces(this.#vendors, (what) => this.violations.push(what));
    this.#plan = {
      destinations: VENDORS.map(() => this.#drawn("key")),
      lingerMs: 20,
      batchMaxEvents: 1 + this.random.below(BATCH_EVENTS_LIMIT),
    };
    const transport = bug?.clientTransport?.(this.#network.transport) ?? this.#network.transport;
    this.#clients = CLIENTS.map(() =>
      createClientOn(
        {
          runtime: { clock: this.clock, random: this.random.fork(), transport },
          byteLength: (text) => Buffer.byteLength(text),
        },
        {
          destinations: [segment({ name: "relay", url: RELAY, writeKey: CLIENT_KEY })],
          flushAt: 10,
          flushIntervalMs: 50,
          timeoutMs: 2_000,
          backoffMaxMs: 2_000,
        },
      ),
    );
    this.people = new People(this.random, this.#clients);
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
    return this.people.made + this.stranger.accepted;
  }

  /** Of the order of users, at a vendor or on the way to it. */
  get orderViolations(): number {
    return this.#vendors.reduce((sum, { orderViolations }) => sum + orderViolations, this.#requestViolations);
  }

  /** What an operator may set for a destination. */
  #drawn(key: string): DestinationPlan {
    const order = this.random.pick(["user", "user", "user", "user", "arrival", "none"] as const);
    const giveUpAfterMs = this.random.pick(GIVE_UP_MS);
    this.traces.giveUpMs = Math.min(this.traces.giveUpMs, giveUpAfterMs);
    return { key, order, maxInFlight: this.random.pick([1, 2, 4, 8, 64, 64]), giveUpAfterMs };
  }

  async startRelay(): Promise<void> {
    // A disk that fails at the start is tried again, as a supervisor does.
    for (let attempt = 0; attempt < 100; attempt++) {
      const { clock, disk, random } = this;
      const relay = new SimRelay({
        clock,
        disk,
        network: this.#network,
        random: random.fork(),
        bug: this.#bug,
        settled: this.#settled,
        places: this.#places,
        onViolation: (what) => {
          this.#requestViolations += 1;
          this.violations.push(what);
        },
      });
      if (await relay.start(this.#plan)) {
        this.relay = relay;
        relay.noteOrder();
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

  async step(kind: WorldStep): Promise<void> {
    if (kind.isFault) this.faults[kind.name] = (this.faults[kind.name] ?? 0) + 1;
    this.traces.diskHasFailed ||= DISK_FAULTS.has(kind.name);
    await kind.run(this);
    await this.clock.advance(this.random.next() * STEP_MAX_MS);
    if (this.relay?.alive === false) await this.#restart();
  }

  /** Whether what was written may be lost, or may not have been written. */
  get #hasDiskFailed(): boolean {
    return ["fullDisk", "syncError", "bitRot"].some((kind) => this.faults[kind] !== undefined);
  }

  /** What must hold at every instant. */
  check(when: string): void {
    const fail = (what: string): void => {
      this.violations.push(`${when}: ${what}`);
    };
    this.relay?.noteOrder();
    const { excessBytes = 0 } = this.relay ?? {};
    if (excessBytes > 0) fail(`lanes hold ${excessBytes} bytes more than they may`);
    for (const { destination, account, mode, reason, unknownFates = 0 } of this.relay?.lanes() ?? []) {
      if (!account.balanced) fail(`the ledger of ${destination} does not balance: ${JSON.stringify(account)}`);
      if (this.faults["bitRot"] === undefined && (account.droppedByReason["log_damaged"] ?? 0) > 0)
        fail(`${destination} has damaged events, and nothing was damaged`);
      if (!this.#hasDiskFailed && account.accepted !== this.relay?.head)
        fail(`${destination} has ${account.accepted} events, the log has had ${this.relay?.head}`);
      if (unknownFates < 0 || (unknownFates > 0 && !this.#hasDiskFailed))
        fail(`what became of ${unknownFates} events of ${destination} is unknown`);
      if (account.pending < 0) fail(`${destination} waits for ${account.pending} events`);
      if ((mode as string) === "failed") fail(`a defect stopped ${destination}: ${reason}`);
    }
    for (const client of this.#clients)
      if (client.accounts()["relay"]?.balanced !== true) fail("a client's ledger does not balance");
    for (const [index, vendor] of this.#vendors.entries()) {
      const order = this.relay?.orderOf(index);
      const isOrdered = order === "user" || order === "arrival";
      // What came in the step in which it changed has either.
      vendor.isOrdered &&= isOrdered;
      for (const fault of vendor.faults()) fail(fault);
      vendor.isOrdered = isOrdered;
    }
  }

  /** What must hold of each event. */
  async look(step: number): Promise<void> {
    const isDue = step % LOOK_EVERY === LOOK_EVERY - 1 && this.disk.onOperation === undefined;
    if (!isDue || this.relay?.alive !== true) return;
    for (const index of this.#vendors.keys()) await this.traces.check(this.relay, index, `step ${step}`);
  }

  /** Faults off; then nothing accepted may be missing, doubled, invented or out of order. */
  async finish(): Promise<void> {
    this.#finishing = true;
    this.disk.onOperation = undefined;
    this.disk.capacityBytes = Number.POSITIVE_INFINITY;
    this.disk.faults = {};
    this.#network.faults = {};
    this.#plan = {
      ...this.#plan,
      destinations: this.#plan.destinations.map((destination) => ({
        ...destination,
        key: "key",
        order: "user",
        giveUpAfterMs: GIVE_UP_LAST_MS,
      })),
    };
    this.traces.giveUpMs = Math.min(this.traces.giveUpMs, GIVE_UP_LAST_MS);
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
    await this.#trickle();
    if (this.random.chance(RUSH_SHARE)) await this.#rush();
    this.people.track();
    let isClosed = false;
    const closed = Promise.all(this.#clients.map((client) => client.close({ deadlineMs: SETTLE_MS })));
    void closed.then(() => (isClosed = true));
    await this.#until(() => isClosed);
    for (const { left, dropped } of await closed)
      if (left + dropped > 0) this.violations.push(`end: a client kept ${left} and dropped ${dropped}`);
    await this.#until(() => this.#isDelivered());
    if (this.stranger.waiting > 0)
      this.violations.push(`end: ${this.stranger.waiting} requests of a stranger have no answer`);
    const { heldBytes = 0 } = this.relay ?? {};
    if (heldBytes > 0) this.violations.push(`end: ${heldBytes} bytes of bodies are held although no request is there`);
    this.check("end");
    await this.#checkLog();
    for (const [index, vendor] of this.#vendors.entries()) {
      await this.#checkDelivered(index, vendor);
      await this.traces.check(this.relay, index, "end");
      const faults = (await this.relay?.deadLetterFaults(index)) ?? [];
      this.violations.push(...faults.map((fault) => `end: ${fault}`));
    }
    this.relay?.kill();
  }

  /** Others pass until what is refused for ever has been given up. */
  async #trickle(): Promise<void> {
    for (let count = 0; count < TRICKLES_MAX; count++) {
      this.people.make({ userId: `trickle-${count}` });
      await this.clock.advance(TRICKLE_MS);
      if (this.#isDelivered()) return;
    }
  }

  async #rush(): Promise<void> {
    const index = this.random.below(VENDORS.length);
    this.relay?.reconfigure(rushed(this.#plan, index));
    await this.clock.advance(START_MS);
    const fault = await rush(this.#vendors[index] as SimVendor, {
      make: (userId) => this.people.make({ userId }),
      delivered: async () => {
        await this.clock.advance(START_MS);
        await this.#until(() => this.#isDelivered());
      },
    });
    if (fault !== undefined) this.violations.push(`end: emulator ${index} ${fault}`);
    this.relay?.reconfigure(this.#plan);
  }

  #isDelivered(): boolean {
    return VENDORS.every((_, index) => this.relay?.pending(index) === 0);
  }

  /** At most for a quarter of an hour. */
  async #until(isDone: () => boolean): Promise<void> {
    for (let leftMs = SETTLE_MS; leftMs > 0; leftMs -= SETTLE_STEP_MS) {
      await this.clock.advance(SETTLE_STEP_MS);
      if (isDone()) return;
    }
  }

  async #checkLog(): Promise<void> {
    const ids = (await this.relay?.storedIds()) ?? [];
    const distinct = new Set(ids);
    if (distinct.size !== ids.length)
      this.violations.push(`end: ${ids.length - distinct.size} events are in the log twice`);
    if (distinct.size > this.tracked)
      this.violations.push(`end: ${this.tracked} events were made, ${distinct.size} are in the log`);
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
    const twice = vendor.twice();
    if (twice.length > 0)
      this.violations.push(`end: emulator ${index} has ${twice.length} events twice: ${twice.slice(0, 3).join()}`);
    for (const id of (await this.relay?.deadIds(index)) ?? []) distinct.add(id);
    const missing = this.tracked - distinct.size;
    const explained = account.dropped + account.expired;
    // What was lost to the lane may have arrived all the same: the answer was lost, then the event.
    if (missing > explained)
      this.violations.push(`end: emulator ${index} never got ${missing} events, the ledger explains ${explained}`);
    if (missing < 0) this.violations.push(`end: emulator ${index} has ${-missing} events that nobody made`);
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
    await this.clock.advance(START_MS + ROUND_TRIP_MS.max / 2);
    await this.startRelay();
    if (this.relay?.alive === true)
      for (const index of this.#vendors.keys()) await this.traces.check(this.relay, index, "after a crash");
  }

  /** The vendor takes another key; ours follows in a while, by a reload. */
  rotate(): void {
    const index = this.random.below(this.#vendors.length);
    const key = `key-${this.random.below(1_000)}`;
    this.#vendors[index]?.rotate(key);
    this.clock.after(this.random.below(5_000), () => {
      if (this.#finishing) return;
      const destinations = this.#plan.destinations.map((old, at) => (at === index ? { ...old, key } : old));
      this.#plan = { ...this.#plan, destinations };
      this.relay?.reconfigure(this.#plan);
    });
  }

  reload(): void {
    this.#plan = {
      destinations: this.#plan.destinations.map((old) => (this.random.chance(0.5) ? this.#drawn(old.key) : old)),
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
  async rot(): Promise<void> {
    const segments = this.disk
      .paths()
      .filter((path) => /^\/data\/log\/\d+\.log$/.test(path) && this.disk.contents(path).length > SEGMENT_HEADER_BYTES);
    if (segments.length < 2) return;
    const path = this.random.pick(segments.slice(0, -1));
    const before = this.disk.contents(path);
    const offset = this.random.below(before.length);
    this.disk.flipBit(path, offset, this.random.below(8));
    // A segment without its header is none.
    const left = new Set(offset < SEGMENT_HEADER_BYTES ? [] : await idsInSegment(this.disk.contents(path)));
    this.#places.noteDamaged((await idsInSegment(before)).filter((id) => !left.has(id)));
  }
}
