/**
 * The relay in the simulation: its real parts on the virtual clock, disk and network, for one life
 * of its process.
 */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { type Clock, createUuidV7, type Disk, type DiskRuntime } from "@waybill/core";
import { DeadLetters, type Log, type LogRecord, ReadMemory, type RetentionLimits } from "@waybill/log";
import type { TraceDestination } from "@waybill/relay";
import {
  BodyReader,
  Environment,
  Intake,
  type IntakeRequest,
  type RawDestination,
  resolveEnvironment,
  SourceTable,
} from "@waybill/relay/headless";
import type {
  SeededRandom,
  ServerHandler,
  ServerRequest,
  ServerResponse,
  SimDisk,
  SimNetwork,
  VirtualClock,
} from "@waybill/testing";
import { DEFAULT_LIMITS } from "@waybill/vendors";
import { deadLetterFaults } from "./dead-letters.ts";
import { type InFlightRules, watched } from "./in-flight.ts";
import type { Places } from "./places.ts";
import type { Bodies, PlantedBug } from "./planted-bug.ts";

export type SimOrder = "user" | "arrival" | "none";

/** What an operator may change. */
export interface Plan {
  readonly destinations: readonly DestinationPlan[];
  readonly lingerMs: number;
  readonly batchMaxEvents: number;
}

export interface DestinationPlan {
  readonly key: string;
  readonly order: SimOrder;
  readonly maxInFlight: number;
  readonly giveUpAfterMs: number;
  /** In the place of the plan's. */
  readonly batchMaxEvents?: number;
  /** Which of the vendors it is. Default: as many as come before it. */
  readonly vendor?: number;
}

/**
 * By the number of the destination: two speak as the clients do, one gets what a translation makes
 * of it, chosen and redacted, one knows duplicates by the keys of requests alone.
 */
export const VENDORS = ["segment", "segment", "letter", "http"] as const;
/** Events of this name are not for the third destination, and this property is for no one there. */
export const SKIPPED_EVENT = "Skipped";
export const REDACTED_PROPERTY = "secret";
export const BATCH_EVENTS_LIMIT = 20;
const BATCH_BYTES_LIMIT = 20_000;
/** Small, so that a run has many segments. */
const SEGMENT_BYTES = 8_000;
const READ_BYTES = 1_000_000;
export const DAY_MS = 86_400_000;
/** Small, so that lanes have to share it. */
const MEMORY_BYTES = 150_000;
/** Of one body, and of all that are being read. */
export const BODY_MAX_BYTES = 64_000;
export const BODIES_MAX_BYTES = 128_000;

export interface SimRelayOptions {
  readonly clock: VirtualClock;
  readonly disk: SimDisk;
  readonly network: SimNetwork;
  readonly random: SeededRandom;
  readonly bug: PlantedBug | undefined;
  readonly onViolation: (what: string) => void;
  /** By destination, over restarts. */
  readonly settled: readonly SettledOrder[];
  readonly places: Places;
}

/** The order that holds for everything that is still on its way; `undefined` while it changes. */
export interface SettledOrder {
  order: SimOrder | undefined;
}

export interface SimOutcome extends Pick<TraceDestination, "outcome" | "reason"> {
  readonly id: string;
  readonly event: Readonly<Record<string, unknown>>;
}

type Config = Parameters<typeof Environment.open>[0]["config"];

export class SimRelay {
  readonly #base: VirtualClock;
  readonly #runtime: DiskRuntime;
  readonly #bug: PlantedBug | undefined;
  #alive = true;
  #environment: Environment | undefined;
  #intake: Intake | undefined;
  readonly #bodies: Bodies;
  readonly #memory = new ReadMemory(MEMORY_BYTES);
  readonly #settled: readonly SettledOrder[];
  readonly #places: Places;

  constructor({ clock, disk, network, random, bug, onViolation, settled, places }: SimRelayOptions) {
    this.#settled = settled;
    this.#places = places;
    this.#base = clock;
    this.#bug = bug;
    const bodies = new BodyReader({ maxBytes: BODY_MAX_BYTES, maxTotalBytes: BODIES_MAX_BYTES });
    this.#bodies = bug?.bodies?.(bodies, BODIES_MAX_BYTES) ?? bodies;
    this.handle = bug?.requests?.(this.#handle) ?? this.#handle;
    const mortalClock: Clock = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (delayMs, run) => clock.after(delayMs, () => this.#alive && run()),
    };
    const watching = watched({ transport: network.transport, rulesOf: (origin) => this.#rulesOf(origin), onViolation });
    const transport = bug?.relayTransport?.(watching) ?? watching;
    this.#runtime = {
      clock: mortalClock,
      random,
      disk: mortal(bug?.disk?.(disk) ?? disk, () => this.#alive),
      transport: async (request, signal) => {
        const answer = await transport(request, signal);
        // A dead process hears no answer.
        if (!this.#alive) return new Promise<never>(() => undefined);
        const key = request.headers["idempotency-key"];
        if (key !== undefined && answer.status === 200) places.noteAnswer(key);
        return answer;
      },
    };
  }

  /** `false` when it could not start; it is then dead. */
  async start(plan: Plan): Promise<boolean> {
    const ignore = (): void => undefined;
    const config = configOf(plan);
    try {
      const environment = await Environment.open({
        config,
        directory: "/data",
        runtime: this.#runtime,
        dedupe: { windowMs: DAY_MS, maxIds: 10_000 },
        segmentMaxBytes: SEGMENT_BYTES,
        memory: this.#memory,
        observer: { attempted: ignore, modeChanged: ignore, stateNotWritten: ignore },
      });
      if (!this.#alive) return false;
      this.#environment = environment;
      this.#places.follow(environment);
      this.#bug?.environment?.(environment);
      this.#intake = new Intake(new SourceTable([{ environment, sources: config.sources }], this.#runtime.clock), {
        clock: this.#runtime.clock,
        makeId: createUuidV7(this.#runtime.clock, this.#runtime.random),
        limits: { ...DEFAULT_LIMITS, isUtf8 },
        observer: { requestRefused: ignore, requestRetried: ignore },
        exchangeDeadlineMs: 10_000,
      });
      environment.start();
      this.#maintain(environment);
      return true;
    } catch {
      this.kill();
      return false;
    }
  }

  /** What it set in motion stops: no timer runs, no answer comes, no disk operation begins. */
  kill(): void {
    this.#alive = false;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Answers one request. Rejects only for a defect: a real process would end. */
  readonly handle: ServerHandler;

  readonly #handle: ServerHandler = async (request) => {
    const answer = await this.#answer(request);
    return this.#alive ? answer : { status: 0, headers: {}, body: "", fault: "reset" };
  };

  #answer(request: ServerRequest): Promise<ServerResponse> {
    return answerOf(this.#intake as Intake, this.#bodies, request);
  }

  /** What its lanes have in memory beyond what they may have. */
  get excessBytes(): number {
    return Math.max(0, this.#memory.held - MEMORY_BYTES - VENDORS.length * BODY_MAX_BYTES);
  }

  /**
   * Notes which order holds by now: a change of order holds for what comes once everything before
   * is settled.
   */
  noteOrder(): void {
    for (const [index, settled] of this.#settled.entries()) {
      const order = this.#destination(index)?.config.order;
      if (order === settled.order) continue;
      settled.order = this.#destination(index)?.pending().events === 0 ? order : undefined;
    }
  }

  /** Which order is promised to a destination; `undefined` while it changes. */
  orderOf(index: number): SimOrder | undefined {
    const { order } = this.#settled[index] as { order: SimOrder | undefined };
    return this.#destination(index)?.config.order === order ? order : undefined;
  }

  #rulesOf(origin: string): InFlightRules | undefined {
    const index = VENDORS.findIndex((_, at) => origin === originOf(at));
    const config = this.#destination(index)?.config;
    return config && { order: this.orderOf(index) ?? "none", maxInFlight: config.maxInFlight };
  }

  #destination(index: number): ReturnType<Environment["destination"]> {
    return this.#environment?.destination(`emulator${index}`);
  }

  pending(index: number): number {
    return this.#destination(index)?.pending().events ?? 0;
  }

  /**
   * The events that have no outcome at a destination, counted one by one: also those that retention
   * has removed while they were on their way, or were damaged before what is.
   */
  async countPending(index: number): Promise<number> {
    const destination = this.#destination(index);
    const log = this.#environment?.log;
    if (destination === undefined || log === undefined) return 0;
    let pending = 0;
    for (let position = Math.min(log.first, destination.neededFrom); position < log.head; position++)
      if ((await destination.outcomeOf(position)).outcome === "pending") pending += 1;
    return pending;
  }

  /** Of bodies that are being read. */
  get heldBytes(): number {
    return this.#bodies.heldBytes;
  }

  /** Events that are in the log. */
  get kept(): number {
    const log = this.#environment?.log;
    return log === undefined ? 0 : log.head - log.first;
  }

  /** After the log's last event. */
  get head(): number {
    return this.#environment?.log.head ?? 0;
  }

  lanes(): ReturnType<Environment["lanes"]> {
    return this.#environment?.lanes(this.#base.now()) ?? [];
  }

  pause(index: number): void {
    this.#environment?.destination(`emulator${index}`)?.pause();
  }

  resume(index: number): void {
    this.#environment?.destination(`emulator${index}`)?.resume();
  }

  reconfigure(plan: Plan): void {
    void this.#environment?.reconfigure(configOf(plan), 1_000).catch(() => undefined);
  }

  retain(limits: RetentionLimits): void {
    // A disk that fails is tried again at the next time.
    void this.#environment?.retain(limits, this.#base.now()).catch(() => undefined);
  }

  get keptBytes(): number {
    const log = this.#environment?.log;
    return log === undefined ? 0 : log.headByte - log.firstByte;
  }

  async storedIds(): Promise<readonly string[]> {
    const log = this.#environment?.log;
    return log === undefined ? [] : idsOf(await readAll(log));
  }

  /** Ids of a destination's dead letters. */
  async deadIds(index: number): Promise<ReadonlySet<string>> {
    const letters = await DeadLetters.open(`/data/dead/emulator${index}`, Number.MAX_SAFE_INTEGER, this.#runtime);
    return new Set(idsOf(await readAll(letters.log)));
  }

  /** As {@link deadIds}, as the running relay lists them: the reason of each. */
  async listedDead(index: number): Promise<ReadonlyMap<string, string>> {
    const reasons = new Map<string, string>();
    for await (const { event, reason } of this.#destination(index)?.deadLetters.list() ?? [])
      reasons.set((JSON.parse(Buffer.from(event).toString()) as { readonly messageId: string }).messageId, reason);
    return reasons;
  }

  /** What is wrong with a destination's dead letters. */
  async deadLetterFaults(index: number): Promise<readonly string[]> {
    const destination = this.#destination(index);
    return destination === undefined ? [] : deadLetterFaults(destination, `emulator ${index}`);
  }

  /** Each event that is in the log and can be read, and what became of it at the destination. */
  async outcomes(index: number): Promise<readonly SimOutcome[]> {
    const destination = this.#environment?.destination(`emulator${index}`);
    const log = this.#environment?.log;
    if (destination === undefined || log === undefined) return [];
    const outcomes: SimOutcome[] = [];
    for (const record of await readAll(log))
      for (const [at, event] of eventsOf(record).entries())
        outcomes.push({
          id: event.messageId,
          event: event as unknown as SimOutcome["event"],
          ...(await destination.outcomeOf(record.first + at)),
        });
    return outcomes;
  }

  #maintain(environment: Environment): void {
    this.#runtime.clock.after(1_000, () => {
      void environment.sync().then(() => this.#maintain(environment));
    });
  }
}

/** As the server does it, without its sockets. */
export async function answerOf(intake: Intake, bodies: Bodies, request: ServerRequest): Promise<ServerResponse> {
  const opened = intake.open(intakeRequestOf(request));
  if ("status" in opened) return opened;
  const body = await new Promise<Buffer | Parameters<Intake["refuseBody"]>[1]>((resolve) => {
    const listeners = new Map<string, (chunk?: Buffer) => void>();
    bodies.read(incomingOf(request, listeners), (read) => resolve(read));
    // The body comes whole, at once, and no stream is in between: all of it happens in the
    // virtual instant.
    if (request.body.length > 0) listeners.get("data")?.(Buffer.from(request.body));
    listeners.get("end")?.();
  });
  return typeof body === "string" ? intake.refuseBody(opened, body) : intake.accept(opened, body);
}

function intakeRequestOf({ method, path, headers }: ServerRequest): IntakeRequest {
  const { authorization, "x-retry-count": retryCount, "idempotency-key": idempotencyKey } = headers;
  return { method, path, authorization, retryCount, idempotencyKey, headers };
}

function incomingOf(
  { headers, body }: ServerRequest,
  listeners: Map<string, (chunk?: Buffer) => void>,
): IncomingMessage {
  const incoming = {
    headers: { ...headers, "content-length": String(body.length) },
    complete: true,
    socket: { remoteAddress: "10.0.0.1" },
    resume: () => incoming,
    on(event: string, listener: (chunk?: Buffer) => void) {
      listeners.set(event, listener);
      return incoming;
    },
  };
  return incoming as unknown as IncomingMessage;
}

/**
 * A disk on which nothing begins any more once its process is dead. What had begun is as far as it
 * was.
 */
function mortal(disk: Disk, alive: () => boolean): Disk {
  const guard = <T>(run: () => Promise<T>): Promise<T> => (alive() ? run() : new Promise<never>(() => undefined));
  return {
    open: (path, options) =>
      guard(async () => {
        const file = await disk.open(path, options);
        return {
          write: (buffers, position) => guard(() => file.write(buffers, position)),
          read: (target, position) => guard(() => file.read(target, position)),
          sync: () => guard(() => file.sync()),
          truncate: (size) => guard(() => file.truncate(size)),
          size: () => guard(() => file.size()),
          close: () => guard(() => file.close()),
        };
      }),
    list: (directory) => guard(() => disk.list(directory)),
    makeDirectory: (path) => guard(() => disk.makeDirectory(path)),
    rename: (from, to) => guard(() => disk.rename(from, to)),
    remove: (path) => guard(() => disk.remove(path)),
    syncDirectory: (path) => guard(() => disk.syncDirectory(path)),
  };
}

const CHOOSY = { filter: { exclude: [SKIPPED_EVENT, "*never*seen*"] }, redact: [`properties.${REDACTED_PROPERTY}`] };

/** Where a vendor is. */
export function originOf(index: number): string {
  return `http://emulator${index}.test`;
}

export function configOf({ destinations: planned, lingerMs, batchMaxEvents }: Plan): Config {
  const destinations = planned.map((plan, place) => {
    const { key, order, maxInFlight, giveUpAfterMs, batchMaxEvents: own, vendor: index = place } = plan;
    const config = {
      vendor: VENDORS[index] as (typeof VENDORS)[number],
      ...(VENDORS[index] === "http"
        ? { url: `${originOf(index)}/events`, headers: { "x-api-key": key }, format: "json" }
        : { url: originOf(index), writeKey: key }),
      ...(VENDORS[index] === "letter" ? CHOOSY : {}),
      order,
      maxInFlight,
      retry: { giveUpAfter: giveUpAfterMs },
      timeout: 2_000,
      backoff: { base: 100, max: 5_000 },
      batch: { linger: lingerMs, maxEvents: own ?? batchMaxEvents, maxBytes: BATCH_BYTES_LIMIT },
    };
    return [`emulator${index}`, config];
  });
  return resolveEnvironment("sim", {
    sources: { web: { protocol: "segment", writeKeys: ["in"] } },
    destinations: Object.fromEntries(destinations) as Record<string, RawDestination>,
  });
}

async function readAll(log: Log): Promise<readonly LogRecord[]> {
  const reader = log.reader({ position: log.first });
  const records: LogRecord[] = [];
  for (let read = await reader.read(READ_BYTES); read.length > 0; read = await reader.read(READ_BYTES))
    records.push(...read);
  await reader.close();
  return records;
}

function idsOf(records: readonly LogRecord[]): string[] {
  return records.flatMap((record) => eventsOf(record).map(({ messageId }) => messageId));
}

export function eventsOf({
  body,
}: Pick<LogRecord, "body">): readonly { readonly messageId: string; readonly event?: unknown }[] {
  return JSON.parse(`[${Buffer.from(body).toString()}]`) as readonly { readonly messageId: string }[];
}
