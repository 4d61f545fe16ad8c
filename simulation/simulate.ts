/**
 * The whole system in one process from one seed: clients, the relay's intake, log and lanes, two Segment twins, on a virtual clock, network
 * and disk. Each step does something or breaks something, lets time pass, and checks what must hold at every instant; at the end the faults stop, and
 * everything a client was told is accepted must be at each twin once, or a dead letter, in the order of the log.
 */
import { isUtf8 } from "node:buffer";
import { type Clock, createUuidV7, type DiskRuntime } from "@waybill/core";
import type { LogRecord } from "@waybill/log";
import { Environment, Intake, SourceTable } from "@waybill/relay/engine";
import { SeededRandom, SegmentTwin, type ServerHandler, SimDisk, SimNetwork, VirtualClock } from "@waybill/testing";
import { DEFAULT_LIMITS } from "@waybill/vendors";
import { segment } from "waybill";
import { type Client, createClientOn } from "../packages/client/src/client.ts";

export interface Simulated {
  readonly steps: number;
  /** What went wrong; empty when all promises held. */
  readonly violations: readonly string[];
  /** Faults that were injected, by kind. */
  readonly faults: Readonly<Record<string, number>>;
  readonly events: number;
}

const RELAY = "http://relay.test";
const SETTLE_MS = 15 * 60_000;
const STEP_MAX_MS = 400;
const EVENTS_MAX = 12;

export async function simulate(seed: number, steps: number): Promise<Simulated> {
  const world = new World(seed);
  await world.startRelay();
  for (let step = 0; step < steps && world.violations.length === 0; step++) {
    await world.step();
    world.check(`step ${step}`);
  }
  if (world.violations.length === 0) await world.finish();
  return { steps, violations: world.violations, faults: world.faults, events: world.tracked };
}

class World {
  readonly violations: string[] = [];
  readonly faults: Record<string, number> = {};
  tracked = 0;
  readonly #random: SeededRandom;
  readonly #clock = new VirtualClock();
  readonly #disk: SimDisk;
  readonly #network: SimNetwork;
  readonly #twins: readonly SegmentTwin[];
  readonly #clients: readonly Client[];
  #relay: SimRelay | undefined;
  #keys: string[] = ["key", "key"];
  #finishing = false;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.#disk = new SimDisk(this.#random.fork());
    this.#network = new SimNetwork({ clock: this.#clock, random: this.#random.fork(), latencyMs: 5 });
    this.#twins = [0, 1].map(() => new SegmentTwin({ clock: this.#clock, writeKeys: ["key"] }));
    for (const [index, twin] of this.#twins.entries()) this.#network.serve(`http://twin${index}.test`, twin.handle);
    this.#clients = [0, 1].map(() =>
      createClientOn(
        {
          runtime: { clock: this.#clock, random: this.#random.fork(), transport: this.#network.transport },
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

  async startRelay(): Promise<void> {
    // A disk that fails at the start is tried again, as a supervisor does.
    for (let attempt = 0; attempt < 100; attempt++) {
      const relay = new SimRelay(this.#clock, this.#disk, this.#network, this.#random.fork());
      if (await relay.start(this.#keys)) {
        this.#relay = relay;
        this.#network.serve(RELAY, relay.handle);
        return;
      }
      relay.kill();
      this.#disk.killProcess();
      await this.#clock.advance(100);
    }
    this.violations.push("the relay does not start");
  }

  async step(): Promise<void> {
    const random = this.#random;
    const twin = random.pick(this.#twins);
    const roll = random.next();
    if (roll < 0.5) this.#track();
    else if (roll < 0.56)
      this.#fault("status503", () => twin.fail({ kind: "status", status: 503, forMs: 1_000 + random.below(20_000) }));
    else if (roll < 0.6)
      this.#fault("rateLimit429", () =>
        twin.fail({ kind: "status", status: 429, retryAfter: String(1 + random.below(5)), times: 1 + random.below(3) }),
      );
    else if (roll < 0.64)
      this.#fault("resetAfterActing", () => twin.fail({ kind: "resetAfter", times: 1 + random.below(3) }));
    else if (roll < 0.66) this.#fault("hang", () => twin.fail({ kind: "hang", times: 1 }));
    else if (roll < 0.68) this.#fault("slow", () => twin.fail({ kind: "slow", delayMs: 3_000, times: 2 }));
    else if (roll < 0.7) this.#fault("partialRejection", () => twin.fail({ kind: "partial", times: 1 }));
    else if (roll < 0.73) this.#fault("credentialRotation", () => this.#rotate(this.#twins.indexOf(twin)));
    else if (roll < 0.78) await this.#crash("processCrash", () => this.#disk.killProcess());
    else if (roll < 0.83) await this.#crash("powerCut", () => this.#disk.crash(random.fork()));
    else if (roll < 0.86) this.#fault("clockJump", () => this.#clock.jump(random.below(600_000) - 300_000));
    else if (roll < 0.89) this.#toggleFullDisk();
    else if (roll < 0.92)
      this.#fault("syncError", () => (this.#disk.faults = this.#disk.faults.sync === undefined ? { sync: 0.2 } : {}));
    else if (roll < 0.96) this.#toggleNetwork();
    else this.#fault("pauseAndResume", () => this.#pause());
    await this.#clock.advance(random.next() * STEP_MAX_MS);
  }

  /** What must hold at every instant. */
  check(when: string): void {
    for (const { destination, account } of this.#relay?.lanes() ?? [])
      if (!account.balanced)
        this.violations.push(`${when}: the book of ${destination} does not balance: ${JSON.stringify(account)}`);
    for (const client of this.#clients)
      if (client.accounts()["relay"]?.balanced !== true)
        this.violations.push(`${when}: a client's book does not balance`);
  }

  /** Faults off; then nothing accepted may be missing, doubled, invented or out of order. */
  async finish(): Promise<void> {
    this.#finishing = true;
    this.#disk.capacityBytes = Number.POSITIVE_INFINITY;
    this.#disk.faults = {};
    this.#network.faults = {};
    for (const [index, twin] of this.#twins.entries()) {
      twin.recover();
      twin.rotate(["key"]);
      this.#keys[index] = "key";
      this.#relay?.resume(index);
    }
    this.#relay?.reconfigure(this.#keys);
    const closed = Promise.all(this.#clients.map((client) => client.close({ deadlineMs: SETTLE_MS })));
    await this.#clock.advance(SETTLE_MS);
    for (const { left, dropped } of await closed)
      if (left + dropped > 0) this.violations.push(`end: a client kept ${left} and dropped ${dropped}`);
    await this.#clock.advance(SETTLE_MS);
    this.check("end");
    for (const { destination, account, mode } of this.#relay?.lanes() ?? [])
      if (account.pending > 0) this.violations.push(`end: ${destination} has ${account.pending} pending (${mode})`);
    const stored = firstOccurrences((await this.#relay?.records()) ?? []);
    if (stored.length !== this.tracked)
      this.violations.push(`end: ${this.tracked} events tracked, ${stored.length} different ones in the log`);
    for (const [index, twin] of this.#twins.entries()) {
      const received = twin.events.map(({ messageId }) => messageId);
      if (new Set(received).size !== received.length) this.violations.push(`end: twin ${index} has an event twice`);
      const dead = await this.#relay?.deadIds(index);
      const missing = stored.filter((id) => !received.includes(id) && dead?.has(id) !== true);
      if (missing.length > 0)
        this.violations.push(`end: twin ${index} never got ${missing.length} events: ${missing[0]} …`);
      // What the twin refused once may have come later after all: the refusal was lost on the way, or with the cursor.
      const inOrder = (ids: readonly string[]): string => ids.filter((id) => !twin.refusedIds.has(id)).join();
      if (missing.length === 0 && inOrder(received) !== inOrder(stored))
        this.violations.push(`end: twin ${index} has them in another order than the log`);
    }
    this.#relay?.kill();
  }

  #track(): void {
    const client = this.#random.pick(this.#clients);
    for (let count = 1 + this.#random.below(EVENTS_MAX); count > 0; count--) {
      client.track({
        userId: `u${this.tracked}`,
        event: "E",
        properties: { pad: "x".repeat(this.#random.below(300)) },
      });
      this.tracked += 1;
    }
  }

  #fault(kind: string, run: () => void): void {
    this.faults[kind] = (this.faults[kind] ?? 0) + 1;
    run();
  }

  async #crash(kind: string, breakDisk: () => void): Promise<void> {
    this.#fault(kind, () => undefined);
    this.#network.remove(RELAY);
    this.#relay?.kill();
    breakDisk();
    await this.startRelay();
  }

  /** The vendor takes another key; ours follows in a while, by a reload. */
  #rotate(index: number): void {
    const key = `key-${this.#random.below(1_000)}`;
    this.#twins[index]?.rotate([key]);
    this.#clock.after(this.#random.below(5_000), () => {
      if (this.#finishing) return;
      this.#keys[index] = key;
      this.#relay?.reconfigure(this.#keys);
    });
  }

  #toggleFullDisk(): void {
    const full = this.#disk.capacityBytes !== Number.POSITIVE_INFINITY;
    this.#fault("fullDisk", () => {
      this.#disk.capacityBytes = full ? Number.POSITIVE_INFINITY : this.#disk.usedBytes + this.#random.below(2_000);
    });
  }

  #toggleNetwork(): void {
    this.#fault("network", () => {
      const quiet = Object.keys(this.#network.faults).length === 0;
      this.#network.faults = quiet ? { refuse: 0.1, resetBefore: 0.1, resetAfter: 0.1, hang: 0.02 } : {};
    });
  }

  #pause(): void {
    const index = this.#random.below(2);
    this.#relay?.pause(index);
    this.#clock.after(this.#random.below(3_000), () => this.#relay?.resume(index));
  }
}

/** One life of the relay's process: what it set in motion stops with it. */
class SimRelay {
  readonly #clock: Clock;
  readonly #runtime: DiskRuntime;
  readonly #base: VirtualClock;
  #alive = true;
  #environment: Environment | undefined;
  #intake: Intake | undefined;

  constructor(base: VirtualClock, disk: SimDisk, network: SimNetwork, random: SeededRandom) {
    this.#base = base;
    this.#clock = {
      now: () => base.now(),
      monotonic: () => base.monotonic(),
      after: (delayMs, run) => base.after(delayMs, () => this.#alive && run()),
    };
    const transport: DiskRuntime["transport"] = async (request, signal) => {
      const answer = await network.transport(request, signal);
      // A dead process hears no answer.
      return this.#alive ? answer : new Promise<never>(() => undefined);
    };
    this.#runtime = { clock: this.#clock, random, disk, transport };
  }

  async start(keys: readonly string[]): Promise<boolean> {
    try {
      const ignore = (): void => undefined;
      const environment = await Environment.open({
        config: environmentConfig(keys),
        directory: "/data",
        runtime: this.#runtime,
        dedupe: { windowMs: 86_400_000, maxIds: 10_000 },
        observer: { attempted: ignore, modeChanged: ignore, stateNotWritten: ignore },
      });
      this.#environment = environment;
      this.#intake = new Intake(new SourceTable([{ environment, sources: environmentConfig(keys).sources }]), {
        clock: this.#clock,
        makeId: createUuidV7(this.#clock, this.#runtime.random),
        limits: { ...DEFAULT_LIMITS, isUtf8 },
        observer: { requestRefused: ignore, requestRetried: ignore },
      });
      environment.start();
      this.#maintain(environment);
      return true;
    } catch {
      return false;
    }
  }

  kill(): void {
    this.#alive = false;
  }

  readonly handle: ServerHandler = async (request) => {
    const { authorization, "x-retry-count": retryCount, "idempotency-key": idempotencyKey } = request.headers;
    const intake = this.#intake as Intake;
    const opened = intake.open({
      method: request.method,
      path: request.path,
      authorization,
      retryCount,
      idempotencyKey,
    });
    const answer = "status" in opened ? opened : await intake.accept(opened, Buffer.from(request.body));
    return this.#alive ? answer : { status: 0, headers: {}, body: "", fault: "reset" };
  };

  lanes(): ReturnType<Environment["lanes"]> {
    return this.#environment?.lanes(this.#base.now()) ?? [];
  }

  pause(index: number): void {
    this.#environment?.destination(`twin${index}`)?.pause();
  }

  resume(index: number): void {
    this.#environment?.destination(`twin${index}`)?.resume();
  }

  reconfigure(keys: readonly string[]): void {
    void this.#environment?.reconfigure(environmentConfig(keys), 1_000);
  }

  async records(): Promise<readonly LogRecord[]> {
    return this.#environment === undefined ? [] : readAll(this.#environment.log);
  }

  /** Ids of a destination's dead letters. */
  async deadIds(index: number): Promise<ReadonlySet<string>> {
    const { openLog } = await import("@waybill/log");
    const dead = await openLog({ directory: `/data/dead/twin${index}` }, this.#runtime);
    return new Set(firstOccurrences(await readAll(dead)));
  }

  #maintain(environment: Environment): void {
    this.#clock.after(1_000, () => {
      void environment.sync().then(() => this.#maintain(environment));
    });
  }
}

async function readAll(log: Environment["log"]): Promise<readonly LogRecord[]> {
  const reader = log.reader({ position: log.first });
  const records: LogRecord[] = [];
  for (let read = await reader.read(1_000_000); read.length > 0; read = await reader.read(1_000_000))
    records.push(...read);
  await reader.close();
  return records;
}

function environmentConfig(keys: readonly string[]): Parameters<typeof Environment.open>[0]["config"] {
  return {
    name: "sim",
    sources: [{ name: "web", protocol: "segment", writeKeys: ["in"] }],
    destinations: keys.map((writeKey, index) => ({
      name: `twin${index}`,
      vendor: "segment",
      url: `http://twin${index}.test`,
      writeKey,
      timeoutMs: 2_000,
      backoffBaseMs: 100,
      backoffMaxMs: 5_000,
      lingerMs: 20,
      batchMaxEvents: 20,
      batchMaxBytes: 20_000,
    })),
  };
}

function firstOccurrences(records: readonly LogRecord[]): string[] {
  const ids = new Set<string>();
  for (const { body } of records)
    for (const { messageId } of JSON.parse(`[${Buffer.from(body).toString()}]`) as { readonly messageId: string }[])
      ids.add(messageId);
  return [...ids];
}
