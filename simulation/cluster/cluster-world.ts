/**
 * What there is in the simulation of the log on Kafka: clients, relays before one cluster, vendors
 * at a distance, and everything that can go wrong between them.
 */

import { partitionOf } from "@waybill/log-kafka";
import { SeededRandom, type ServerHandler, type ServerRequest, SimNetwork, VirtualClock } from "@waybill/testing";
import { type ChaosKind, ClusterChaos, SimCluster } from "@waybill/testing/kafka";
import { partitionKeysOf } from "@waybill/vendors/registry";
import { segment } from "waybill";
import { type Client, createClientOn } from "../../packages/client/src/client.ts";
import { deadLetterFaults } from "../dead-letters.ts";
import { hostileRequest } from "../hostile.ts";
import { eventsIn } from "../in-flight.ts";
import { People } from "../people.ts";
import { BATCH_EVENTS_LIMIT, type DestinationPlan, originOf, type Plan, VENDORS } from "../sim-relay.ts";
import { Stranger } from "../stranger.ts";
import { Traces } from "../traces.ts";
import { createVendor, heldIn, type SimVendor } from "../vendors.ts";
import { CALLERS_INDEX, CALLERS_ORIGIN, Callers, type CallOutcome } from "./callers.ts";
import { type CallersOfRelay, ClusterRelay } from "./cluster-relay.ts";
import { Committed } from "./committed.ts";
import { Operators, REPLAYED_INDEX } from "./operators.ts";
import type { ClusterBug } from "./planted.ts";
import type { Stop } from "./relay-clock.ts";
import { StoredEvents } from "./stored-events.ts";
import type { Troubles } from "./troubled-broker.ts";
import { holderOf, lookAt } from "./view.ts";

export interface ClusterStep {
  readonly name: string;
  readonly isFault: boolean;
  readonly run: (world: ClusterWorld) => unknown;
}

/** Enough for what relays do at once. */
const SETTLE_TURNS = 80;
const RELAYS = "http://relay.test";
const CLIENT_KEY = "in";
const BASIC = `Basic ${btoa(`${CLIENT_KEY}:`)}`;
const STRANGERS = "hostile-";
const CLIENTS = [0, 1] as const;
const ROUND_TRIP_MS = { min: 20, max: 200 };
const STEP_MAX_MS = 400;
const LOOK_EVERY = 15;
const GIVE_UP_MS = [30_000, 60_000, 300_000];
const GIVE_UP_LAST_MS = 60_000;
const TRICKLE_MS = 5_000;
const TRICKLES_MAX = 200;
/** A lane that is paused more often never tries a batch long enough to find what fails in it. */
const TRICKLES_PER_PAUSE = 12;
const SETTLE_MS = 20 * 60_000;
/** A request to a broker comes no later than that. */
const LATE_MAX_MS = 60_000;
const SETTLE_STEP_MS = 2_000;
const START_MS = 20;
const START_MAX_MS = 60_000;
/** What relays take for granted, and what an impatient operator sets. */
const SESSIONS_MS = [45_000, 6_000];
const DOWN_MAX_MS = 10_000;
const STOPPED_MAX_MS = 60_000;
const REQUESTS_KEPT = 20;
const LASTS_MS = 8_000;
/** Of an environment: lanes that are after lose events to it. */
const HARD_LIMIT_BYTES = 16_000;
const CROWD = 70;
/** Characters of the state of a lane that has set aside many users. */
const LONG_STATE = 600;
/** As the cluster counts them. */
export const REQUEST_FAULTS = ["refuse", "stuck", "loseAnswer", "late", "duplicate", "slow"] as const;
/** Which destinations there are, by the numbers of their vendors. */
const CHOICES = [[0], [3], [0, 3], [2, 3], [0, 2]] as const;
const REPLAYED_CHOICES = [[3], [3], [0, 3], [2, 3], [3]] as const;
/** Of as many seeds one has operators, and another one callers: they take longer. */
const KINDS = 6;
const CALLED = 3;
const CALLS_MAX = 3;
/** Until a replay sends, if nothing is in the way. */
const BEGIN_MAX_MS = 2_000;
/** Until others go on with a replay, mostly. */
const AMID_MAX_MS = 20_000;
const HOP_MS = 100;
/** Of what one relay asks of another. */
const LOST_HOP_SHARE = 0.1;

export interface Slot {
  readonly name: string;
  /** No client reaches it. */
  isHidden: boolean;
  relay: ClusterRelay | undefined;
  /** Nobody starts it again before. */
  isDown: boolean;
}

export class ClusterWorld {
  readonly violations: string[] = [];
  readonly faults: Record<string, number> = {};
  readonly lines: string[] = [];
  readonly random: SeededRandom;
  readonly clock = new VirtualClock(undefined, SETTLE_TURNS);
  readonly cluster: SimCluster;
  readonly people: People;
  readonly traces: Traces;
  readonly stranger: Stranger;
  readonly committed: Committed;
  readonly troubles: Troubles = { losesCommitAnswers: false, hangsSends: false };
  readonly partitions: number;
  /** Of the vendors that are destinations. */
  readonly indexes: readonly number[];
  /** Those, and that of the callers. */
  readonly #groups: readonly number[];
  /** Who asks for replays, in some runs. */
  readonly operators: Operators | undefined;
  /** Who waits for answers of a vendor's, in some runs. */
  readonly callers: Callers | undefined;
  readonly #stored: StoredEvents;
  readonly #network: SimNetwork;
  /** By the number of the vendor. */
  readonly #vendors: readonly SimVendor[];
  readonly #clients: readonly Client[];
  readonly #slots: readonly Slot[];
  readonly #chaos = new Map<ChaosKind, ClusterChaos>();
  readonly #bug: ClusterBug | undefined;
  /** What was answered with 200: by its id, by whom first. */
  readonly #accepted = new Map<string, string>();
  /** What ends with the faults. */
  readonly #ends = new Set<() => void>();
  readonly #requests: ServerRequest[] = [];
  #plan: Plan;
  /** Events that are in the log at the end, their copies left aside. */
  #ids = 0;
  #finishing = false;
  #requestViolations = 0;

  constructor(seed: number, bug?: ClusterBug) {
    const { clock } = this;
    this.#bug = bug;
    this.random = new SeededRandom(seed);
    this.cluster = new SimCluster({
      clock,
      random: this.random.fork(),
      heartbeatIntervalMs: 1_000,
      failoverMs: 1_000,
      sessionTimeoutMs: this.random.pick(SESSIONS_MS),
      replicaLagMs: 2_000,
      latencyMs: 4,
      replicationMs: 4,
    });
    this.committed = new Committed(this.cluster);
    this.#network = new SimNetwork({ clock, random: this.random.fork(), latencyMs: 5 });
    this.partitions = 1 + this.random.below(3);
    this.#stored = new StoredEvents(this.cluster, this.partitions);
    const isOperated = seed % KINDS === 0;
    this.indexes = this.random.pick(isOperated ? REPLAYED_CHOICES : CHOICES);
    this.#vendors = this.#createVendors();
    if (isOperated) this.operators = this.#createOperators();
    if (seed % KINDS === CALLED) this.callers = this.#createCallers();
    this.#groups = this.callers === undefined ? this.indexes : [...this.indexes, CALLERS_INDEX];
    this.traces = new Traces(this.#vendors, (what) => this.violations.push(what));
    this.#plan = {
      destinations: this.indexes.map((vendor) => this.#drawn({ key: "key", vendor })),
      lingerMs: 20,
      batchMaxEvents: 1 + this.random.below(BATCH_EVENTS_LIMIT),
    };
    this.#clients = CLIENTS.map(() => this.#createClient());
    this.people = new People(this.random, this.#clients);
    this.stranger = new Stranger({
      clock,
      random: this.random.fork(),
      transport: this.#network.transport,
      url: `${RELAYS}/v1/batch`,
      key: BASIC,
      onViolation: (what) => this.violations.push(what),
    });
    this.#slots = Array.from({ length: 2 + this.random.below(2) }, (_, at) => ({
      name: `relay-${at}`,
      relay: undefined,
      isDown: false,
      isHidden: false,
    }));
    this.#network.serve(RELAYS, this.#balanced);
  }

  #createVendors(): readonly SimVendor[] {
    const places = {
      isForgotten: (id: string) => this.#stored.isGone(id),
      isGone: (id: string) => this.#stored.isGone(id),
      hasAnswer: () => false,
    };
    // What an anonymous id did waits in its own partition.
    const areTied = (one: string, other: string): boolean => this.#partitionOf(one) === this.#partitionOf(other);
    const vendors = VENDORS.map((vendor, index) => {
      const roundTripMs = ROUND_TRIP_MS.min + this.random.below(ROUND_TRIP_MS.max - ROUND_TRIP_MS.min);
      const random = this.random.fork();
      return createVendor(vendor, {
        name: `emulator ${index}`,
        clock: this.clock,
        random,
        roundTripMs,
        places,
        areTied,
        // Retention has taken the first copy: one that came late is the only one.
        mayBeLate: places.isGone,
      });
    });
    for (const [index, vendor] of vendors.entries()) this.#network.serve(originOf(index), vendor.handle);
    return vendors;
  }

  #createOperators(): Operators {
    const { replayed } = this.vendorAt(REPLAYED_INDEX);
    if (replayed === undefined) throw new Error("replays go to a vendor that knows requests by their keys");
    return new Operators({
      random: this.random.fork(),
      relays: () => this.#relays,
      partitions: this.partitions,
      stored: this.#stored,
      committed: this.committed,
      replayed,
      count: (what, times) => this.#count(what, times),
    });
  }

  #createCallers(): Callers {
    const callers = new Callers({
      clock: this.clock,
      random: this.random.fork(),
      count: (what) => this.#count(what),
      onViolation: (what) => this.violations.push(what),
    });
    this.#network.serve(CALLERS_ORIGIN, callers.handle);
    return callers;
  }

  /** What relays ask of each other for their callers: late, or lost, as between machines. */
  readonly #answerFrom: CallersOfRelay["answerFrom"] = async (id, place, deadlineMs) => {
    const { clock, random } = this;
    const after = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve));
    const isLost = random.chance(LOST_HOP_SHARE);
    const wayMs = random.below(HOP_MS);
    const asked = after(wayMs).then(() => {
      const relay = this.#relays.find((one) => one.id === id);
      return isLost || relay === undefined ? undefined : relay.answerHere(place, deadlineMs - 2 * wayMs);
    });
    const back = asked.then(async (answer) => {
      // A connection to nobody is refused.
      if (answer === undefined && !isLost) return "nobody" as const;
      if (typeof answer === "object") this.#count("callerAnsweredByAnotherRelay");
      await after(isLost ? deadlineMs : wayMs);
      return answer;
    });
    return Promise.race([back, after(deadlineMs).then(() => "nobody" as const)]);
  };

  #partitionOf(id: string): number {
    const body = Buffer.from(JSON.stringify({ type: "track", userId: id }));
    const [hash = 0] = partitionKeysOf({ body, ends: Uint32Array.of(body.length), metadata: "" });
    return partitionOf(hash, this.partitions);
  }

  #createClient(): Client {
    const runtime = { clock: this.clock, random: this.random.fork(), transport: this.#network.transport };
    return createClientOn(
      { runtime, byteLength: (text) => Buffer.byteLength(text) },
      {
        destinations: [segment({ name: "relay", url: RELAYS, writeKey: CLIENT_KEY })],
        flushAt: 10,
        flushIntervalMs: 50,
        timeoutMs: 2_000,
        backoffMaxMs: 2_000,
      },
    );
  }

  /** Events that were made, or taken from a stranger. */
  get tracked(): number {
    return this.people.made + this.stranger.accepted;
  }

  get orderViolations(): number {
    return this.#vendors.reduce((sum, { orderViolations }) => sum + orderViolations, this.#requestViolations);
  }

  get #relays(): readonly ClusterRelay[] {
    return this.#slots.flatMap(({ relay }) => (relay?.alive === true ? [relay] : []));
  }

  /** The order is the lane's for ever: that it changes is tried over the disk. */
  #drawn({ key, vendor, order }: Partial<DestinationPlan> & { readonly key: string }): DestinationPlan {
    const giveUpAfterMs = this.random.pick(GIVE_UP_MS);
    this.traces.giveUpMs = Math.min(this.traces.giveUpMs, giveUpAfterMs);
    return {
      key,
      ...(vendor === undefined ? {} : { vendor }),
      order: order ?? this.random.pick(["user", "user", "user", "user", "none", "arrival"] as const),
      maxInFlight: this.random.pick([1, 2, 4, 8, 64, 64]),
      giveUpAfterMs,
    };
  }

  /** As a balancer does it: most requests go to a relay that takes them, retries to any. */
  readonly #balanced: ServerHandler = async (request) => {
    const up = this.#relays.filter((relay) => relay.isUp);
    const relay = this.random.pick(
      up.length > 0 && this.random.chance(0.95) ? up : this.#slots.map((one) => one.relay),
    );
    const isHidden = this.#slots.some((slot) => slot.relay === relay && slot.isHidden);
    const answer = isHidden ? undefined : await relay?.handle(request);
    if (answer === undefined) return { status: 0, headers: {}, body: "", fault: "reset" };
    const isHostile = request.headers["idempotency-key"]?.startsWith(STRANGERS) === true;
    if (answer.status !== 200 || isHostile) return answer;
    for (const event of eventsIn(request.body)) this.#noteAccepted(String(event["messageId"]), relay?.name ?? "");
    this.#requests.push(request);
    if (this.#requests.length > REQUESTS_KEPT) this.#requests.shift();
    return answer;
  };

  #noteAccepted(id: string, by: string): void {
    const first = this.#accepted.get(id) ?? by;
    this.#accepted.set(id, first);
    if (first !== by) this.#count("acceptedByAnotherRelay");
  }

  async start(): Promise<void> {
    for (const slot of this.#slots) this.#startAt(slot);
    await this.clock.until(() => this.#relays.some((relay) => relay.isUp), START_MAX_MS);
    for (const [index, vendor] of this.#vendors.entries()) vendor.isOrdered = this.#orderOf(index) !== "none";
  }

  #orderOf(index: number): DestinationPlan["order"] | undefined {
    return this.#plan.destinations.find(({ vendor }) => vendor === index)?.order;
  }

  #startAt(slot: Slot): void {
    const { clock, cluster, random } = this;
    const relay = new ClusterRelay(
      {
        name: slot.name,
        clock,
        cluster,
        network: this.#network,
        random: random.fork(),
        partitions: this.partitions,
        bug: this.#bug,
        onViolation: (what) => {
          this.#requestViolations += 1;
          this.violations.push(what);
        },
        onLine: (line) => this.lines.push(`${Math.round(clock.monotonic())} ${line}`),
        onUnwritten: () => {
          this.traces.diskHasFailed = true;
          this.#count("outcomesNotWritten");
        },
        onCommit: () => this.#lookAtCommitted(),
        onRemove: () => this.#stored.look(),
        troubles: this.troubles,
        count: (what) => this.#count(what),
        onRefused: (code) => {
          if (code === "not_enough_replicas") this.#count("tooFewInSync");
          if (code === "fenced") this.#count("fencedCalls");
        },
        isOperated: this.operators !== undefined,
        callers: this.callers && { answerFrom: this.#answerFrom, onAnswered: this.callers.onAnswered },
        onReplayRequest: (by, request) => this.vendorAt(REPLAYED_INDEX).replayed?.sent(by, request),
      },
      this.#plan,
    );
    slot.relay = relay;
    slot.isDown = false;
    void relay.start();
  }

  #count(name: string, times = 1): void {
    this.faults[name] = (this.faults[name] ?? 0) + times;
  }

  async step(kind: ClusterStep): Promise<void> {
    const isDone = (await kind.run(this)) !== false;
    if (kind.isFault && isDone) this.#count(kind.name);
    await this.clock.advance(this.random.next() * STEP_MAX_MS);
    this.#supervise();
  }

  #supervise(): void {
    for (const slot of this.#slots)
      if (slot.relay?.alive !== true && (!slot.isDown || this.#finishing)) this.#startAt(slot);
  }

  /** What must hold at every instant. */
  check(when: string): void {
    const fail = (what: string): void => {
      this.violations.push(`${when}: ${what}`);
    };
    this.#lookAtCommitted();
    for (const relay of this.#relays)
      for (const shard of relay.shards)
        for (const { destination, account, mode, reason } of shard.lanes(this.clock.now())) {
          const name = `${relay.name}: ${shard.name}/${destination}`;
          if (!account.balanced) fail(`the ledger of ${name} does not balance: ${JSON.stringify(account)}`);
          // Settled events of which that is not known any more are counted twice, as damaged ones.
          if (!this.traces.diskHasFailed && account.accepted !== shard.log.head)
            fail(`${name} has ${account.accepted} events, its log has ${shard.log.head}`);
          if (account.pending < 0) fail(`${name} waits for ${account.pending} events`);
          if ((mode as string) === "failed") fail(`a defect stopped ${name}: ${reason}`);
        }
    for (const client of this.#clients)
      if (client.accounts()["relay"]?.balanced !== true) fail("a client's ledger does not balance");
    for (const index of this.indexes) for (const fault of this.#vendors[index]?.faults() ?? []) fail(fault);
  }

  #lookAtCommitted(): void {
    this.violations.push(...this.committed.faults(this.#groups, this.partitions));
    if (this.committed.longest >= LONG_STATE) this.#count("longStates");
    this.committed.longest = 0;
  }

  /** What must hold of each event. */
  async look(step: number): Promise<void> {
    if (step % LOOK_EVERY === LOOK_EVERY - 1) await this.#look(`step ${step}`);
  }

  async #look(when: string): Promise<void> {
    const asked = {
      stored: this.#stored,
      relays: () => this.#relays.filter((relay) => !relay.isStopped),
      partitions: this.partitions,
    };
    for (const index of this.indexes) {
      const seen = await this.#within(lookAt(asked, index, when === "end"));
      if (seen === undefined) continue;
      const faults = seen.copies.filter(({ outcome }) => outcome !== "unknown" || !this.traces.diskHasFailed);
      this.violations.push(
        ...faults.map(({ id, outcome }) => `${when}: emulator ${index}: a copy of ${id} is ${outcome}`),
      );
      await this.traces.check(seen, index, when);
    }
  }

  /** What is asked of relays takes time; `undefined` when it was not answered. */
  async #within<T>(asked: Promise<T>): Promise<T | undefined> {
    let found: { readonly value: T | undefined } | undefined;
    asked.then(
      (value) => (found = { value }),
      () => (found = { value: undefined }),
    );
    for (let leftMs = START_MAX_MS; leftMs > 0 && found === undefined; leftMs -= STEP_MAX_MS)
      await this.clock.advance(STEP_MAX_MS);
    return found?.value;
  }

  /** Faults off; then nothing accepted may be missing, doubled, invented or out of order. */
  async finish(): Promise<void> {
    this.#finishing = true;
    this.heal();
    this.#supervise();
    this.#plan = {
      ...this.#plan,
      destinations: this.#plan.destinations.map((one) => ({
        ...one,
        key: "key",
        giveUpAfterMs: GIVE_UP_LAST_MS,
        // In order of arrival nothing is ever given up.
        order: one.order === "arrival" ? "user" : one.order,
      })),
    };
    this.traces.giveUpMs = Math.min(this.traces.giveUpMs, GIVE_UP_LAST_MS);
    for (const vendor of this.#vendors) vendor.recover();
    this.callers?.recover();
    for (const relay of this.#relays) relay.reconfigure(this.#plan);
    await this.clock.advance(SETTLE_STEP_MS);
    await this.#trickle();
    this.people.track();
    await this.#closeClients();
    const isOver = (): boolean => this.#isDelivered() && this.operators?.isOver !== false;
    await this.#until(isOver);
    // What operators asked for last may be written late.
    if (this.operators !== undefined) await this.clock.advance(LATE_MAX_MS);
    await this.#until(isOver);
    this.check("end");
    if (this.violations.length === 0) this.#checkStored();
    if (this.violations.length === 0) await this.#look("end");
    if (this.violations.length === 0) await this.#checkDeadLetters();
    if (this.violations.length === 0) await this.#checkOperators();
    if (this.violations.length === 0) await this.#checkCallers();
    // A session that ended meanwhile may have moved lanes.
    await this.#until(() => this.#isDelivered());
    for (const index of this.indexes) if (this.violations.length === 0) this.#checkDelivered(index);
    for (const relay of this.#relays) relay.kill();
    for (const kind of REQUEST_FAULTS) this.#count(`request ${kind}`, this.cluster.injected.get(kind) ?? 0);
  }

  async #checkDeadLetters(): Promise<void> {
    for (const { index, partition } of this.#lanes) {
      const { destination } = holderOf(this.#relays, index, partition) ?? {};
      if (destination === undefined) continue;
      const name = `partition ${partition} of emulator ${index}`;
      const faults = await this.#within(deadLetterFaults(destination, name));
      this.violations.push(
        ...(faults ?? [`the dead letters of ${name} are not known`]).map((fault) => `end: ${fault}`),
      );
    }
  }

  async #checkOperators(): Promise<void> {
    if (this.operators === undefined) return;
    const faults = await this.#within(this.operators.check());
    this.violations.push(...(faults ?? ["what became of the replays is not known"]).map((fault) => `end: ${fault}`));
  }

  async #checkCallers(): Promise<void> {
    if (this.callers === undefined) return;
    const outcomes = await this.#within(this.#callOutcomes());
    if (outcomes === undefined) this.violations.push("end: what became of the callers' events is not known");
    else this.violations.push(...this.callers.check(outcomes).map((fault) => `end: ${fault}`));
  }

  /** By key, of each copy. */
  async #callOutcomes(): Promise<ReadonlyMap<string, readonly CallOutcome[]>> {
    const found = new Map<string, CallOutcome[]>();
    for (let partition = 0; partition < this.partitions; partition++) {
      const { destination } = holderOf(this.#relays, CALLERS_INDEX, partition) ?? {};
      for (const [position, { id, isCall }] of this.#stored.of(partition).entries()) {
        if (!isCall) continue;
        const outcome = (await destination?.outcomeOf(position))?.outcome ?? "nobody's";
        const isGone = position < this.#stored.removedTo(partition) || this.traces.diskHasFailed;
        found.set(id, [...(found.get(id) ?? []), { outcome, isGone }]);
      }
    }
    return found;
  }

  /** What is wrong with the cluster and the networks ends. */
  heal(): void {
    for (const chaos of this.#chaos.values()) chaos.heal();
    for (const end of this.#ends) end();
    this.#ends.clear();
    this.cluster.faults = {};
    this.#network.faults = {};
    for (const slot of this.#slots) {
      this.cluster.heal(slot.name);
      slot.relay?.go();
    }
  }

  /** `end` comes in a while, or with the end of all faults. */
  lasts(end: () => void): void {
    this.#ends.add(end);
    this.clock.after(this.random.below(LASTS_MS), () => {
      if (this.#ends.delete(end)) end();
    });
  }

  /** All of them die, and none is there for a time. */
  async withoutRelays(ms: number): Promise<void> {
    for (const slot of this.#slots) {
      slot.relay?.kill();
      slot.isDown = true;
    }
    await this.clock.advance(ms);
  }

  startRelays(): void {
    for (const slot of this.#slots) this.#startAt(slot);
  }

  async #closeClients(): Promise<void> {
    let isClosed = false;
    const closed = Promise.all(this.#clients.map((client) => client.close({ deadlineMs: SETTLE_MS })));
    void closed.then(() => (isClosed = true));
    await this.#until(() => isClosed);
    if (!isClosed) {
      this.violations.push("end: the clients do not end");
      return;
    }
    for (const { left, dropped } of await closed)
      if (left + dropped > 0) this.violations.push(`end: a client kept ${left} and dropped ${dropped}`);
  }

  /** Others pass until what is refused for ever has been given up. */
  async #trickle(): Promise<void> {
    for (let count = 0; count < TRICKLES_MAX && !this.#isDelivered(); count++) {
      this.people.make({ userId: `trickle-${count}` });
      if (count % TRICKLES_PER_PAUSE === 0) await this.#interrupt();
      await this.clock.advance(TRICKLE_MS);
      this.#supervise();
    }
  }

  /** As an operator does it: ends what a vendor asked to wait, and what it said of our key. */
  async #interrupt(): Promise<void> {
    for (const relay of this.#relays) for (const index of this.indexes) relay.pause(index);
    await this.clock.advance(START_MS);
    for (const relay of this.#relays) for (const index of this.indexes) relay.resume(index);
  }

  async #until(isDone: () => boolean): Promise<void> {
    for (let leftMs = SETTLE_MS; leftMs > 0 && !isDone(); leftMs -= SETTLE_STEP_MS) {
      await this.clock.advance(SETTLE_STEP_MS);
      this.#supervise();
    }
  }

  get #lanes(): readonly { readonly index: number; readonly partition: number }[] {
    const partitions = Array.from({ length: this.partitions }, (_, partition) => partition);
    return this.#groups.flatMap((index) => partitions.map((partition) => ({ index, partition })));
  }

  /** Everything that was made is stored, and settled everywhere. */
  #isDelivered(): boolean {
    let stored = 0;
    for (let partition = 0; partition < this.partitions; partition++)
      stored += this.#stored.of(partition).filter(({ isCopy, isCall }) => !isCopy && !isCall).length;
    if (stored < this.tracked || this.stranger.waiting > 0) return false;
    return this.#lanes.every(({ index, partition }) => {
      const holder = holderOf(this.#relays, index, partition);
      return holder?.destination.pending().events === 0 && holder.head === this.#stored.of(partition).length;
    });
  }

  /** Everything that was accepted is in the log, and each lane's ledger covers all of it. */
  #checkStored(): void {
    const ids = new Set<string>();
    const calls = new Set<string>();
    let made = 0;
    for (let partition = 0; partition < this.partitions; partition++) {
      const stored = this.#stored.of(partition);
      const copies = stored.filter(({ isCopy }) => isCopy).length;
      this.#count("copiesInTheLog", copies);
      for (const { id, event, isCopy, isCall } of stored) {
        if (isCall) {
          calls.add(id);
          continue;
        }
        if (!isCopy && typeof heldIn(event)["client"] === "number") made += 1;
        if (!isCopy && ids.has(id)) this.violations.push(`end: ${id} is in two partitions`);
        ids.add(id);
      }
      for (const index of this.#groups) this.#checkLane({ index, partition, events: stored.length, copies });
    }
    this.#ids = ids.size;
    const lost = [
      ...[...this.#accepted.keys()].filter((id) => !ids.has(id)),
      ...(this.callers?.stored.filter((id) => !calls.has(id)) ?? []),
    ];
    if (lost.length > 0)
      this.violations.push(`end: ${lost.length} accepted events are lost: ${lost.slice(0, 3).join()}`);
    // Events of a stranger without ids get one with each attempt.
    if (made !== this.people.made || ids.size < this.tracked)
      this.violations.push(`end: ${this.tracked} events were made, ${ids.size} are in the log`);
  }

  #checkLane({ index, partition, events, copies }: Record<"index" | "partition" | "events" | "copies", number>): void {
    const name = `partition ${partition} of emulator ${index}`;
    const destination = holderOf(this.#relays, index, partition)?.destination;
    if (destination === undefined) {
      this.violations.push(`end: nobody alone has ${name}`);
      return;
    }
    const { accepted, pending, dropped, expired } = destination.account();
    // Those of which nothing is known any more may be counted twice, as in `check`.
    if (accepted < events || (accepted > events && !this.traces.diskHasFailed))
      this.violations.push(`end: ${name} has ${accepted} events, its log has ${events}`);
    if (pending > 0) this.violations.push(`end: ${name} has ${pending} pending (${this.#modeOf(index, partition)})`);
    // Where events are chosen, a copy may be left out for that.
    const duplicates = dropped.duplicate ?? 0;
    this.#count("expired", expired);
    const isWrong = duplicates > copies || (duplicates < copies && this.#stored.removedTo(partition) === 0);
    if (VENDORS[index] !== "letter" && index !== CALLERS_INDEX && isWrong)
      this.violations.push(`end: ${name} dropped ${duplicates} duplicates, there are ${copies}`);
    const { position } = this.committed.stateOf(index, partition) ?? {};
    if (position !== events) this.violations.push(`end: ${name} has committed ${position} of ${events}`);
  }

  #modeOf(index: number, partition: number): string {
    const views = holderOf(this.#relays, index, partition)?.relay.shard(partition)?.lanes(this.clock.now()) ?? [];
    const { mode, reason } = views.find(({ destination }) => destination === `emulator${index}`) ?? {};
    return `${mode} ${reason ?? ""}`;
  }

  /** Each event is at the vendor once, or a dead letter, or left out. */
  #checkDelivered(index: number): void {
    const vendor = this.#vendors[index] as SimVendor;
    const received = new Set(vendor.ids());
    const twice = vendor.twice();
    if (twice.length > 0)
      this.violations.push(`end: emulator ${index} has ${twice.length} events twice: ${twice.slice(0, 3).join()}`);
    let explained = 0;
    for (const lane of this.#lanes.filter((one) => one.index === index)) {
      const account = holderOf(this.#relays, index, lane.partition)?.destination.account();
      if (account === undefined) continue;
      const { duplicate: duplicates = 0, source: ofOthers = 0 } = account.dropped;
      explained += account.rejected + account.droppedTotal + account.expired - duplicates - ofOthers;
      // A copy is delivered when retention has taken the first one.
      if (this.#stored.removedTo(lane.partition) > 0)
        explained += this.#stored.of(lane.partition).filter(({ isCopy }) => isCopy).length - duplicates;
    }
    const missing = this.#ids - received.size;
    if (missing > explained)
      this.violations.push(`end: emulator ${index} never got ${missing} events, the ledgers explain ${explained}`);
    if (missing < 0) this.violations.push(`end: emulator ${index} has ${-missing} events that nobody made`);
  }

  pickVendor(): SimVendor {
    return this.vendorAt(this.random.pick(this.indexes));
  }

  vendorAt(index: number): SimVendor {
    return this.#vendors[index] as SimVendor;
  }

  /** As the maintenance of relays whose log has grown over its hard limit. */
  retain(): void {
    const never = { maxAgeMs: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY };
    for (const relay of this.#relays) void relay.retain({ ...never, hardMaxBytes: HARD_LIMIT_BYTES });
  }

  /** Many users at once whose first event fails: a lane sets aside as many as it can. */
  crowd(): void {
    for (let count = 0; count < CROWD; count++) this.people.make({ userId: `crowd-${count}`, isSick: true });
  }

  trouble(kind: keyof Troubles): void {
    this.troubles[kind] = true;
    this.lasts(() => {
      this.troubles[kind] = false;
    });
  }

  /** Some callers at once, past the network. */
  call(): boolean {
    const relay = this.pickRelay()?.relay;
    if (relay === undefined || relay.isStopped) return false;
    for (let count = 1 + this.random.below(CALLS_MAX); count > 0; count--) this.callers?.call(relay.handle);
    return true;
  }

  /** Past the network: that it is answered, and how, is the relay's alone. */
  sendHostileRequest(): boolean {
    const relay = this.pickRelay()?.relay;
    if (relay === undefined || relay.isStopped) return false;
    const request = hostileRequest(this.random, BASIC);
    const what = `${request.method} ${request.path} ${JSON.stringify(request.headers)} of ${request.body.length} bytes`;
    void Promise.resolve(relay.handle(request)).then(({ status }) => {
      const isRefused = (status >= 400 && status !== 500) || !relay.isUp;
      if (!isRefused) this.violations.push(`a hostile request was answered with ${status}: ${what}`);
    });
    return true;
  }

  /** Something that happens to the cluster begins, or ends. */
  strike(kind: ChaosKind): boolean {
    let chaos = this.#chaos.get(kind);
    if (chaos === undefined) {
      chaos = new ClusterChaos({
        cluster: this.cluster,
        random: this.random.fork(),
        relays: () => this.#slots.map(({ name }) => name),
        kinds: [kind],
      });
      this.#chaos.set(kind, chaos);
    }
    const name = chaos.strike();
    return name !== undefined && !name.endsWith(" ends");
  }

  pickRelay(): Slot | undefined {
    const up = this.#slots.filter(({ relay }) => relay?.isUp === true);
    return up.length === 0 ? undefined : this.random.pick(up);
  }

  /** A relay that sends a replay is killed, stopped or leaves, and others go on with it. */
  async endAmidReplay(): Promise<boolean> {
    const isSending = ({ relay }: Slot): boolean => relay?.isUp === true && relay.sendsReplay;
    if (!this.#slots.some(isSending)) {
      this.operators?.begin();
      await this.clock.advance(this.random.below(BEGIN_MAX_MS));
    }
    const sending = this.#slots.filter(isSending);
    if (sending.length === 0) return false;
    const slot = this.random.pick(sending);
    const isDone = this.random.pick([() => this.killRelay(slot), () => this.leave(slot), () => this.stopRelay(slot)])();
    await this.clock.advance(this.random.below(AMID_MAX_MS));
    return isDone;
  }

  killRelay(slot: Slot | undefined = this.pickRelay()): boolean {
    slot?.relay?.kill();
    return this.#startLater(slot);
  }

  leave(slot: Slot | undefined = this.pickRelay()): boolean {
    if (slot?.relay?.isStopped === true) return false;
    void slot?.relay
      ?.leave()
      .catch((error: unknown) => this.violations.push(`a relay does not leave: ${String(error)}`));
    return this.#startLater(slot);
  }

  #startLater(slot: Slot | undefined): boolean {
    if (slot === undefined) return false;
    slot.isDown = true;
    this.clock.after(this.random.below(DOWN_MAX_MS), () => {
      slot.isDown = false;
    });
    return true;
  }

  stopRelay(slot: Slot | undefined = this.pickRelay()): boolean {
    const relay = slot?.relay;
    if (relay === undefined || relay.isStopped) return false;
    relay.stop(this.random.pick<Stop>(["process", "machine"]));
    this.clock.after(this.random.below(this.random.chance(0.5) ? STEP_MAX_MS * 5 : STOPPED_MAX_MS), () => relay.go());
    return true;
  }

  /** With something in flight, and until others have gone on with it. */
  async stopRelayForLong(): Promise<boolean> {
    this.people.burst();
    await this.clock.advance(this.random.next() * STEP_MAX_MS);
    const relay = this.pickRelay()?.relay;
    if (relay === undefined || relay.isStopped) return false;
    relay.stop(this.random.pick<Stop>(["process", "machine"]));
    await this.clock.advance(this.random.below(STOPPED_MAX_MS));
    relay.go();
    return true;
  }

  /** The vendor takes another key; ours follows in a while, by a reload. */
  rotate(): void {
    const index = this.random.pick(this.indexes);
    const key = `key-${this.random.below(1_000)}`;
    this.#vendors[index]?.rotate(key);
    this.clock.after(this.random.below(5_000), () => {
      if (this.#finishing) return;
      const destinations = this.#plan.destinations.map((old) => (old.vendor === index ? { ...old, key } : old));
      this.#reload({ ...this.#plan, destinations });
    });
  }

  reload(): void {
    this.#reload({
      destinations: this.#plan.destinations.map((old) => (this.random.chance(0.5) ? this.#drawn(old) : old)),
      lingerMs: this.random.below(100),
      batchMaxEvents: 1 + this.random.below(BATCH_EVENTS_LIMIT),
    });
  }

  #reload(plan: Plan): void {
    this.#plan = plan;
    for (const relay of this.#relays) relay.reconfigure(plan);
  }

  pause(): void {
    const index = this.random.pick(this.indexes);
    for (const relay of this.#relays) relay.pause(index);
    this.clock.after(this.random.below(3_000), () => {
      for (const relay of this.#relays) relay.resume(index);
    });
  }

  toggleNetwork(): void {
    const quiet = Object.keys(this.#network.faults).length === 0;
    this.#network.faults = quiet ? { refuse: 0.1, resetBefore: 0.1, resetAfter: 0.1, hang: 0.02, duplicate: 0.1 } : {};
  }

  /** What was accepted comes again, cut in another way, and maybe at another relay. */
  sendAgain(): boolean {
    if (this.#requests.length === 0) return false;
    const request = this.random.pick(this.#requests);
    const events = eventsIn(request.body);
    const from = this.random.below(events.length);
    const batch = events.slice(from, from + 1 + this.random.below(events.length));
    const { "idempotency-key": _, "content-length": _length, ...headers } = request.headers;
    void this.#balanced({ ...request, headers, body: Buffer.from(JSON.stringify({ batch })) });
    return true;
  }
}
