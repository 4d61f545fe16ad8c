/**
 * Events on disk until they are delivered. From the moment the spool has an event (a few milliseconds after the call, with the
 * next fsync) it outlives SIGKILL and a power cut; the next process that opens the directory delivers it.
 *
 * Capture puts texts into a bounded stage in memory; the stage is appended to a log as a whole, again and again, each
 * time while the next one gathers. Each destination reads the log at its own pace.
 */
import { type AccountView, type DropReason, type Lane, messageOf, resolveOptions, WaybillError } from "@waybill/core";
import { DeadLetters, LaneState, type LaneStateValue, type Log, LogStore, newLaneState, openLog } from "@waybill/log";
import { type DirectoryLock, lockDirectory, nodeDisk } from "@waybill/node";
import { createLane, type Pipeline, type PipelineOptions, type Spool } from "./pipeline.ts";

export interface SpoolOptions {
  /** One process at a time may use it. */
  readonly directory: string;
  /** Most bytes on disk. Beyond them the oldest events are given up, as `expired`. Default 1 GiB. */
  readonly maxBytes?: number;
}

const DEFAULT_MAX_BYTES = 1024 ** 3;
const SEGMENT_BYTES = 8 * 1024 * 1024;
/** A stage that could not be written is tried again after this. */
const RETRY_MS = 1_000;

/** **Errors**: `WAYBILL_OPTIONS`. A directory that cannot be used is told to `onError`; events then wait in memory. */
export function spool(options: SpoolOptions): Spool {
  const resolved = resolveOptions<Required<SpoolOptions>>(
    "spool",
    options,
    {
      directory: { rule: { kind: "string" }, required: true },
      maxBytes: { rule: { kind: "number", min: SEGMENT_BYTES, max: Number.MAX_SAFE_INTEGER } },
    },
    { maxBytes: DEFAULT_MAX_BYTES },
  );
  return { createPipeline: (pipeline) => new SpoolPipeline(resolved, pipeline) };
}

interface SpoolLane {
  readonly name: string;
  readonly lane: Lane;
  readonly store: LogStore;
}

interface OpenSpool {
  readonly lock: DirectoryLock;
  readonly log: Log;
  readonly lanes: readonly SpoolLane[];
}

class SpoolPipeline implements Pipeline {
  readonly #spool: Required<SpoolOptions>;
  readonly #pipeline: PipelineOptions;
  readonly #encoder = new TextEncoder();
  /** Not in the log yet; `#storingNow` of those before them are being appended. */
  #texts: string[] = [];
  #storingNow: readonly string[] = [];
  #bytes = 0;
  #retaining = false;
  #storing: Promise<void> | undefined;
  readonly #dropped = new Map<DropReason, number>();
  #open: OpenSpool | undefined;
  #closing = false;

  constructor(options: Required<SpoolOptions>, pipeline: PipelineOptions) {
    this.#spool = options;
    this.#pipeline = pipeline;
    // What an earlier process left is delivered without waiting for a new event.
    this.#storing = this.#store();
  }

  push(text: string, bytes: number): void {
    const { queueMaxEvents, queueMaxBytes, overflow } = this.#pipeline.options;
    while (this.#texts.length + 1 > queueMaxEvents || this.#bytes + bytes > queueMaxBytes) {
      const oldest = overflow === "drop-oldest" ? this.#texts.shift() : undefined;
      this.drop("queue_full", oldest ?? text);
      if (oldest !== undefined) this.#bytes -= this.#pipeline.host.byteLength(oldest);
      else if (overflow === "throw")
        throw new WaybillError("WAYBILL_QUEUE_FULL", "The spool's stage holds its limit", { retryable: true });
      else return;
    }
    this.#texts.push(text);
    this.#bytes += bytes;
    this.#storing ??= this.#store();
  }

  drop(reason: DropReason, text: string): void {
    this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + 1);
    for (const { name } of this.#pipeline.destinations) this.#pipeline.onDrop(reason, text, name);
  }

  async flush(): Promise<void> {
    await this.#storing;
    await Promise.all((this.#open?.lanes ?? []).map(({ lane }) => lane.flush()));
  }

  async close(deadlineMs: number): Promise<void> {
    this.#closing = true;
    await this.#storing;
    const open = this.#open;
    if (open === undefined) return;
    await Promise.all(open.lanes.map(({ lane }) => lane.close(deadlineMs, { drain: true })));
    await Promise.all(open.lanes.map(({ store }) => store.close()));
    await open.log.close();
    await open.lock.release();
  }

  accounts(): Readonly<Record<string, AccountView>> {
    return Object.fromEntries(this.#pipeline.destinations.map(({ name }) => [name, this.#account(name)]));
  }

  /** The lane's book with what never got to the log: staged events are pending, dropped ones dropped. */
  #account(name: string): AccountView {
    const stored = this.#open?.lanes.find((lane) => lane.name === name)?.store.account();
    const dropped: Partial<Record<DropReason, number>> = { ...stored?.dropped };
    let early = 0;
    for (const [reason, count] of this.#dropped) {
      dropped[reason] = (dropped[reason] ?? 0) + count;
      early += count;
    }
    const staged = this.#storingNow.length + this.#texts.length;
    return {
      accepted: (stored?.accepted ?? 0) + early + staged,
      delivered: stored?.delivered ?? 0,
      rejected: stored?.rejected ?? 0,
      expired: stored?.expired ?? 0,
      dropped,
      droppedTotal: (stored?.droppedTotal ?? 0) + early,
      pending: (stored?.pending ?? 0) + staged,
      balanced: stored?.balanced ?? true,
    };
  }

  /** Writes the stage to the log until it is empty. Never rejects; a disk that fails is tried again. */
  async #store(): Promise<void> {
    for (;;) {
      try {
        this.#open ??= await this.#openAll();
        if (this.#texts.length === 0) break;
        await this.#storeOnce(this.#open.log);
      } catch (error) {
        this.#pipeline.onError(
          error instanceof WaybillError ? error : new WaybillError("WAYBILL_DISK", messageOf(error), { cause: error }),
        );
        if (this.#closing) break;
        await new Promise<void>((resolve) => this.#pipeline.host.runtime.clock.after(RETRY_MS, resolve));
      }
    }
    this.#storing = undefined;
  }

  async #storeOnce(log: Log): Promise<void> {
    const texts = this.#texts;
    this.#texts = [];
    this.#storingNow = texts;
    const { metadata, host } = this.#pipeline;
    const ends = new Uint32Array(texts.length);
    let end = -1;
    for (const [index, text] of texts.entries()) {
      end += 1 + host.byteLength(text);
      ends[index] = end;
    }
    const body = this.#encoder.encode(texts.join(","));
    try {
      await log.append({ source: "client", receivedAtMs: host.runtime.clock.now(), metadata, body: [body], ends });
      this.#bytes -= end + 1 - texts.length;
    } catch (error) {
      this.#texts = [...texts, ...this.#texts];
      throw error;
    } finally {
      this.#storingNow = [];
    }
  }

  /** What every destination has is not needed any more. Cursors go to disk first: they must not point at what is gone. */
  async #retain(log: Log, lanes: readonly SpoolLane[]): Promise<void> {
    if (this.#retaining || log.headByte - log.firstByte < SEGMENT_BYTES) return;
    this.#retaining = true;
    try {
      for (const { store } of lanes) await store.sync();
      const neededFrom = Math.min(...lanes.map(({ store }) => store.neededFrom));
      const limits = { maxAgeMs: 0, maxBytes: 0, hardMaxBytes: this.#spool.maxBytes };
      await log.retain(limits, this.#pipeline.host.runtime.clock.now(), neededFrom);
    } catch (error) {
      this.#pipeline.onError(
        new WaybillError("WAYBILL_DISK", `The spool could not give space back: ${messageOf(error)}`, { cause: error }),
      );
    } finally {
      this.#retaining = false;
    }
  }

  async #openAll(): Promise<OpenSpool> {
    const { directory } = this.#spool;
    const { clock } = this.#pipeline.host.runtime;
    const runtime = { disk: nodeDisk, clock };
    await nodeDisk.makeDirectory(directory);
    const lock = await lockDirectory(directory);
    try {
      const log = await openLog({ directory: `${directory}/log`, segmentMaxBytes: SEGMENT_BYTES }, runtime);
      const lanes: SpoolLane[] = [];
      for (const destination of this.#pipeline.destinations) {
        const { name } = destination;
        const state = await LaneState.open<LaneStateValue>(nodeDisk, `${directory}/lanes`, name, (damaged) =>
          newLaneState(log, damaged),
        );
        const deadLetters = await DeadLetters.open(`${directory}/dead/${name}`, log.head, runtime);
        const store = new LogStore({ name, log, state, deadLetters });
        const lane = createLane(destination, store, this.#pipeline);
        lanes.push({ name, lane, store });
      }
      log.onCommit(() => {
        for (const { lane } of lanes) lane.notify();
        void this.#retain(log, lanes);
      });
      for (const { lane } of lanes) lane.notify();
      return { lock, log, lanes };
    } catch (error) {
      await lock.release();
      throw error;
    }
  }
}
