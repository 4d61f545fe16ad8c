/**
 * Between capture and the destinations, on disk: events gather in a bounded stage in memory, which
 * is appended to a log as a whole, again and again, each time while the next one gathers. Each
 * destination reads the log at its own pace.
 *
 *   opening   the directory is being opened; events wait in the stage
 *     -> disk     it is open
 *     -> memory   it cannot be opened, or does not answer
 *   disk      events go through the stage to the log
 *     -> memory   the log cannot be written, or does not answer
 *   memory    events go to a queue in memory beside the log, as in a client without a spool;
 *             reported to `onError`, once per cause
 *     -> disk     opening, or after a while writing, is tried again and works
 *
 * Invariants: an event is in the log, in the stage, or in the queue in memory, never in two of
 * them; all three are in the counts. The order of events holds within the log and within the queue,
 * not between the two.
 */
import {
  Account,
  type AccountView,
  type Batch,
  type BatchLimits,
  DELIVERED,
  type DropReason,
  messageOf,
  outcomesOf,
  type Timer,
  WaybillError,
} from "@waybill/core";
import type { Captured } from "../captured.ts";
import type { DestinationAccount, Pipeline, PipelineOptions, Spool } from "../options.ts";
import { createMemoryPipeline, type MemoryPipeline } from "../pipeline.ts";
import { QueueStore } from "../queue-store.ts";
import {
  closeSpool,
  type OpenSpool,
  openSpool,
  reportSkipped,
  SEGMENT_BYTES,
  type SpoolHost,
  type SpoolLane,
  startSpool,
} from "./open-spool.ts";

export interface SpoolLimits {
  readonly directory: string;
  readonly maxBytes: number;
}

/** A spool that could not be used is tried again after this. */
const RETRY_MS = 1_000;
/** A disk that has not answered for so long keeps no further event waiting. */
const PATIENCE_MS = 5_000;
/** Written at once. */
const APPEND_LIMITS: BatchLimits = { maxEvents: 100_000, maxBytes: SEGMENT_BYTES };
/** Part of the deadline of close that is kept for writing the destinations' cursors. */
const RESERVE = 0.2;
const RESERVE_MAX_MS = 500;

class SpoolPipeline implements Pipeline {
  readonly #limits: SpoolLimits;
  readonly #host: SpoolHost;
  readonly #pipeline: PipelineOptions;
  readonly #encoder = new TextEncoder();
  readonly #stage: QueueStore<Captured>;
  /** Events that have just got to the log. */
  #stored: Captured[] = [];
  /** Events that never got to the log or the queue in memory. */
  readonly #dropped = new Account();
  /** The queue beside the log; `undefined` as long as it was not needed. */
  #memory: MemoryPipeline | undefined;
  #open: OpenSpool | undefined;
  /** Whether new events go to the stage. */
  #toDisk = true;
  #storing: Promise<void> | undefined;
  #retry: Timer | undefined;
  /** Who waits for the stage to be empty. */
  #onFallBack: () => void = () => undefined;
  #retaining = false;
  /** Why the spool cannot be used, as it was reported. */
  #reported: string | undefined;
  #closing = false;
  /** Closed: a directory that opens now is let go of at once. */
  #ended = false;
  #frozen: Readonly<Record<string, AccountView>> | undefined;

  constructor(limits: SpoolLimits, host: SpoolHost, pipeline: PipelineOptions) {
    this.#limits = limits;
    this.#host = host;
    this.#pipeline = pipeline;
    this.#stage = new QueueStore<Captured>({
      makeKey: () => "",
      metadata: "",
      onSettled: (event) => this.#stored.push(event),
    });
    // What an earlier process left is delivered without waiting for a new event.
    this.#storing = this.#store();
  }

  push(event: Captured): void {
    if (!this.#toDisk && this.#memory !== undefined) return this.#memory.push(event);
    const { queueMaxEvents, queueMaxBytes, overflow } = this.#pipeline.options;
    const stage = this.#stage;
    while (stage.events + 1 > queueMaxEvents || stage.bytes + event.bytes > queueMaxBytes) {
      const mayEvict = overflow === "drop-oldest" && event.bytes <= queueMaxBytes;
      const oldest = mayEvict ? stage.dropOldest() : undefined;
      this.#dropFull(oldest ?? event);
      if (oldest !== undefined) continue;
      if (overflow === "throw")
        throw new WaybillError("WAYBILL_QUEUE_FULL", "The spool's stage holds its limit", { retryable: true });
      return;
    }
    stage.push(event);
    this.#storing ??= this.#store();
  }

  drop(reason: DropReason, messageId: string | undefined): void {
    this.#dropped.accept(1);
    this.#dropped.drop(reason, 1);
    for (const { name } of this.#pipeline.destinations) this.#pipeline.onDrop({ reason, messageId, destination: name });
  }

  async flush(): Promise<void> {
    await this.#storing;
    await Promise.all([this.#memory?.flush(), ...(this.#open?.lanes ?? []).map(({ lane }) => lane.flush())]);
    this.#reportSkipped();
  }

  async close(deadlineMs: number): Promise<void> {
    const { clock } = this.#pipeline.host.runtime;
    const endsAt = clock.monotonic() + deadlineMs - Math.min(RESERVE_MAX_MS, deadlineMs * RESERVE);
    this.#closing = true;
    this.#retry?.cancel();
    await this.#stageEmpty(endsAt - clock.monotonic());
    this.#ended = true;
    const leftMs = Math.max(0, endsAt - clock.monotonic());
    const lanes = this.#open?.lanes ?? [];
    await Promise.all([this.#memory?.close(leftMs), ...lanes.map(({ lane }) => lane.close(leftMs, { drain: true }))]);
    await this.#storing;
    this.#reportSkipped();
    if (this.#open !== undefined) await closeSpool(this.#open);
  }

  freeze(): void {
    this.#frozen = Object.fromEntries(this.#pipeline.destinations.map(({ name }) => [name, this.#held(name)]));
  }

  accounts(): Readonly<Record<string, DestinationAccount>> {
    const dropped = this.#dropped.view(0);
    const beside = this.#memory?.accounts();
    return Object.fromEntries(
      this.#pipeline.destinations.map(({ name }) => {
        const health = this.#lane(name)?.health() ?? { mode: "idle", reason: undefined };
        const { mode, reason } = health.reason === undefined ? (beside?.[name] ?? health) : health;
        return [name, { ...sum(this.#frozen?.[name] ?? this.#held(name), dropped), mode, reason }];
      }),
    );
  }

  #lane(name: string): SpoolLane | undefined {
    return this.#open?.lanes.find((lane) => lane.name === name);
  }

  /** What one destination had of the log, the stage and the queue in memory. */
  #held(name: string): AccountView {
    const staged = this.#stage.events;
    let view: AccountView = { ...new Account().view(staged), accepted: staged, balanced: true };
    const lane = this.#lane(name);
    if (lane !== undefined) view = sum(view, since(lane.before, lane.store.account()));
    const beside = this.#memory?.accounts()[name];
    return beside === undefined ? view : sum(view, beside);
  }

  /**
   * Opens the directory if need be and writes the stage to the log until it is empty. Never
   * rejects.
   */
  async #store(): Promise<void> {
    // Events of one turn of the event loop are written together.
    await Promise.resolve();
    const { clock } = this.#pipeline.host.runtime;
    let patience = this.#patience();
    try {
      this.#open ??= await this.#openUnlessEnded();
      while (this.#open !== undefined && this.#stage.events > 0) {
        patience.cancel();
        patience = this.#patience();
        await this.#append(this.#open, clock.now());
      }
      this.#toDisk = true;
      this.#reported = undefined;
    } catch (error) {
      this.#fallBack(error);
    }
    patience.cancel();
    this.#storing = undefined;
  }

  async #openUnlessEnded(): Promise<OpenSpool | undefined> {
    const open = await openSpool(this.#limits.directory, this.#host, this.#pipeline);
    if (!this.#ended) {
      open.log.onCommit(() => void this.#retain(open));
      startSpool(open);
      return open;
    }
    await closeSpool(open);
    return undefined;
  }

  async #append({ log, events }: OpenSpool, nowMs: number): Promise<void> {
    const batch = await this.#stage.lease(APPEND_LIMITS);
    if (batch === undefined) return;
    try {
      const first = await log.append({
        source: "client",
        receivedAtMs: nowMs,
        metadata: this.#pipeline.metadata,
        body: [this.#encoder.encode(batch.body.join(""))],
        ends: endsOf(batch, this.#pipeline.host.byteLength),
      });
      await this.#stage.settle(batch, outcomesOf(batch.count, DELIVERED));
      events.add(first, this.#stored.splice(0));
    } catch (error) {
      await this.#stage.settle(batch, outcomesOf(batch.count, { status: "retryable", reason: messageOf(error) }));
      throw error;
    }
  }

  /** Ends when what was staged is on disk, or in memory for good, or after `waitMs`. */
  #stageEmpty(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#pipeline.host.runtime.clock.after(waitMs, resolve, true);
      const finish = (): void => {
        timer.cancel();
        resolve();
      };
      this.#onFallBack = finish;
      void (this.#storing ?? Promise.resolve()).then(finish);
    });
  }

  #patience(): Timer {
    const { clock } = this.#pipeline.host.runtime;
    return clock.after(PATIENCE_MS, () =>
      this.#fallBack(new WaybillError("WAYBILL_DISK", `the disk has not answered for ${PATIENCE_MS} ms`)),
    );
  }

  /** From here on in memory, what waits in the stage as well. */
  #fallBack(error: unknown): void {
    const { directory } = this.#limits;
    const why = messageOf(error);
    if (this.#reported !== why)
      this.#pipeline.onError(
        new WaybillError(
          error instanceof WaybillError ? error.code : "WAYBILL_DISK",
          `The spool in ${directory} cannot be used, events are kept in memory only: ${why}`,
          {
            retryable: true,
            cause: error,
            hint: "One process at a time may use a directory, and must be able to write to it.",
          },
        ),
      );
    this.#reported = why;
    this.#toDisk = false;
    this.#memory ??= createMemoryPipeline(this.#pipeline);
    for (let event = this.#stage.dropOldest(); event !== undefined; event = this.#stage.dropOldest())
      this.#memory.take(event);
    this.#onFallBack();
    if (!this.#closing) this.#retry ??= this.#pipeline.host.runtime.clock.after(RETRY_MS, () => this.#tryAgain());
  }

  #tryAgain(): void {
    this.#retry = undefined;
    if (this.#storing !== undefined) return;
    // Whether the log can be written again shows with the next event.
    if (this.#open !== undefined) this.#toDisk = true;
    else this.#storing = this.#store();
  }

  #dropFull(event: Captured): void {
    for (let open = this.#pipeline.destinations.length; open > 0; open--)
      event.settle({ status: "dropped", reason: "queue_full" });
    this.drop("queue_full", event.messageId);
  }

  /** Of lanes that are at rest: one that is settling a batch reports it itself. */
  #reportSkipped(): void {
    if (this.#open === undefined) return;
    const { lanes, log, events } = this.#open;
    for (const spoolLane of lanes)
      if (["idle", "closed"].includes(spoolLane.lane.mode))
        reportSkipped(spoolLane, spoolLane.store.neededFrom, { log, events, pipeline: this.#pipeline });
  }

  /**
   * What every destination has is not needed any more. Cursors go to disk first: they must not
   * point at what is gone.
   */
  async #retain({ log, lanes }: OpenSpool): Promise<void> {
    if (this.#retaining || log.headByte - log.firstByte < SEGMENT_BYTES) return;
    this.#retaining = true;
    try {
      for (const { store } of lanes) await store.sync();
      const neededFrom = Math.min(...lanes.map(({ store }) => store.neededFrom));
      const limits = { maxAgeMs: 0, maxBytes: 0, hardMaxBytes: this.#limits.maxBytes };
      await log.retain(limits, this.#pipeline.host.runtime.clock.now(), neededFrom);
    } catch (error) {
      this.#pipeline.onError(
        new WaybillError("WAYBILL_DISK", `The spool could not give space back: ${messageOf(error)}`, { cause: error }),
      );
    } finally {
      this.#retaining = false;
    }
  }
}

/** On any disk. */
export function createSpool(host: SpoolHost, limits: SpoolLimits): Spool {
  return { createPipeline: (pipeline) => new SpoolPipeline(limits, host, pipeline) };
}

/** For each event the byte after its last one. */
function endsOf(batch: Batch, byteLength: (text: string) => number): Uint32Array {
  const ends = new Uint32Array(batch.count);
  let end = -1;
  for (let index = 0; index < batch.count; index++) {
    end += 1 + byteLength(batch.event(index) as string);
    ends[index] = end;
  }
  return ends;
}

function sum(a: AccountView, b: AccountView): AccountView {
  const dropped = { ...a.dropped };
  for (const [reason, events] of Object.entries(b.dropped) as [DropReason, number][])
    dropped[reason] = (dropped[reason] ?? 0) + events;
  return {
    accepted: a.accepted + b.accepted,
    delivered: a.delivered + b.delivered,
    rejected: a.rejected + b.rejected,
    expired: a.expired + b.expired,
    dropped,
    droppedTotal: a.droppedTotal + b.droppedTotal,
    pending: a.pending + b.pending,
    balanced: a.balanced && b.balanced,
  };
}

/** A ledger since it was `before`: what had its outcome then is not this process's. */
function since(before: AccountView, now: AccountView): AccountView {
  const dropped: Partial<Record<DropReason, number>> = {};
  for (const [reason, events] of Object.entries(now.dropped) as [DropReason, number][])
    if (events > (before.dropped[reason] ?? 0)) dropped[reason] = events - (before.dropped[reason] ?? 0);
  return {
    accepted: now.accepted - before.accepted + before.pending,
    delivered: now.delivered - before.delivered,
    rejected: now.rejected - before.rejected,
    expired: now.expired - before.expired,
    dropped,
    droppedTotal: now.droppedTotal - before.droppedTotal,
    pending: now.pending,
    balanced: now.balanced,
  };
}
