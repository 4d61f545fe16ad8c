/** The relay in the simulation: its real parts on the virtual clock, disk and network, for one life of its process. */
import { isUtf8 } from "node:buffer";
import { type Clock, createUuidV7, type Disk, type DiskRuntime } from "@waybill/core";
import { DeadLetters, type Log, type LogRecord, type RetentionLimits } from "@waybill/log";
import { Environment, Intake, type RawDestination, resolveEnvironment, SourceTable } from "@waybill/relay/engine";
import type { SeededRandom, ServerHandler, SimDisk, SimNetwork, VirtualClock } from "@waybill/testing";
import { DEFAULT_LIMITS } from "@waybill/vendors";
import type { PlantedBug } from "./planted.ts";

/** What an operator may change. */
export interface Plan {
  readonly keys: readonly string[];
  readonly lingerMs: number;
  readonly batchMaxEvents: number;
}

export const BATCH_EVENTS_LIMIT = 20;
const BATCH_BYTES_LIMIT = 20_000;
/** Small, so that a run has many segments. */
const SEGMENT_BYTES = 8_000;
const READ_BYTES = 1_000_000;
const DAY_MS = 86_400_000;

export interface SimRelayOptions {
  readonly clock: VirtualClock;
  readonly disk: SimDisk;
  readonly network: SimNetwork;
  readonly random: SeededRandom;
  readonly bug: PlantedBug | undefined;
}

type Config = Parameters<typeof Environment.open>[0]["config"];

export class SimRelay {
  readonly #base: VirtualClock;
  readonly #runtime: DiskRuntime;
  readonly #bug: PlantedBug | undefined;
  #alive = true;
  #environment: Environment | undefined;
  #intake: Intake | undefined;

  constructor({ clock, disk, network, random, bug }: SimRelayOptions) {
    this.#base = clock;
    this.#bug = bug;
    const mortalClock: Clock = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (delayMs, run) => clock.after(delayMs, () => this.#alive && run()),
    };
    const transport = bug?.relayTransport?.(network.transport) ?? network.transport;
    this.#runtime = {
      clock: mortalClock,
      random,
      disk: mortal(bug?.disk?.(disk) ?? disk, () => this.#alive),
      transport: async (request, signal) => {
        const answer = await transport(request, signal);
        // A dead process hears no answer.
        return this.#alive ? answer : new Promise<never>(() => undefined);
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
        observer: { attempted: ignore, modeChanged: ignore, stateNotWritten: ignore },
      });
      if (!this.#alive) return false;
      this.#environment = environment;
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
    const letters = await DeadLetters.open(`/data/dead/twin${index}`, Number.MAX_SAFE_INTEGER, this.#runtime);
    return new Set(idsOf(await readAll(letters.log)));
  }

  #maintain(environment: Environment): void {
    this.#runtime.clock.after(1_000, () => {
      void environment.sync().then(() => this.#maintain(environment));
    });
  }
}

/** A disk on which nothing begins any more once its process is dead. What had begun is as far as it was. */
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

function configOf({ keys, lingerMs, batchMaxEvents }: Plan): Config {
  const destinations = keys.map((writeKey, index) => [
    `twin${index}`,
    {
      vendor: "segment" as const,
      url: `http://twin${index}.test`,
      writeKey,
      timeout: 2_000,
      backoff: { base: 100, max: 5_000 },
      batch: { linger: lingerMs, maxEvents: batchMaxEvents, maxBytes: BATCH_BYTES_LIMIT },
    },
  ]);
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
  return records.flatMap(({ body }) =>
    (JSON.parse(`[${Buffer.from(body).toString()}]`) as { readonly messageId: string }[]).map(
      ({ messageId }) => messageId,
    ),
  );
}
