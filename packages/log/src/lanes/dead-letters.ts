/**
 * Events a destination refused for good, each with its reason and its raw bytes, in a log of their
 * own.
 *
 * A dead letter is identified by its position in that log. Those of a batch share one record,
 * `{"letters":[…],"metadata":…}`, so that what their requests shared is kept once, however many
 * they are: each with a copy of its own, a request of 700 KB took 2 GB. What became of it since
 * (sent again, discarded) is stored in a second small log beside it, so that nothing is ever
 * changed in place: a dead letter is `waiting` until it gets a mark, and the last mark counts.
 */
import type { Clock, Outcome } from "@waybill/core";
import { LogBatch } from "../batch.ts";
import { recordsFrom } from "../records.ts";
import type { Entry, Log, LogRecord, Position, RetentionLimits } from "../types.ts";
import { DeadLetterMarks } from "./dead-letter-marks.ts";
import { type DeadLetterMetadata, type DeadLetterState, parseMetadata } from "./dead-letter-values.ts";
import { type LaneRuntime, openLaneLog } from "./lane-runtime.ts";
import { isOvertaken } from "./overtaken.ts";

export interface DeadLetter extends DeadLetterMetadata {
  /** Names it: its position in the log of dead letters. */
  readonly deadLetterId: Position;
  readonly state: DeadLetterState;
  /** When it got this state; absent while it waits and has no mark. */
  readonly markedAtMs?: number;
  readonly event: Uint8Array;
}

/**
 * How many dead letters are in each state. `damaged`: they cannot be read, whatever became of them.
 */
export type DeadLetterCounts = Readonly<Record<DeadLetterState | "damaged", number>>;

/** All that are given must hold. */
export interface DeadLetterFilter {
  readonly deadLetterIds?: readonly Position[];
  readonly state?: DeadLetterState;
  readonly source?: string;
  /** Part of the reason, case-insensitive. */
  readonly reason?: string;
  /** Rejected at or after, before; epoch ms. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
}

/**
 * Small, so that the last dead letter is found quickly at the start and space comes back in small
 * steps.
 */
const SEGMENT_BYTES = 8 * 1024 * 1024;
const REASON_MAX_CHARACTERS = 1_000;
/**
 * The metadata of a request is embedded in that of a dead letter as a JSON text, which may have six
 * times its bytes.
 */
const METADATA_MAX_BYTES = 8 * 1024 * 1024;

/**
 * Of the dead letters of one record. What they share is stored beside them, and all of it must fit
 * its limit.
 */
const HEADS_MAX_CHARACTERS = 512 * 1024;
/** Of the events of one record, but for one event alone: a Kafka topic takes 8 MiB at once. */
const EVENTS_MAX_BYTES = 2 * 1024 * 1024;
const COMMA = Buffer.from(",");

type Head = Omit<DeadLetterMetadata, "metadata">;

/** Dead letters on their way into one record. */
interface Kept {
  readonly heads: Head[];
  /** The same as JSON. */
  readonly texts: string[];
  readonly events: Uint8Array[];
  characters: number;
  bytes: number;
}

function newRecord(): Kept {
  return { heads: [], texts: [], events: [], characters: 0, bytes: 0 };
}

export class DeadLetters {
  readonly log: Log;
  /** Where others may take the lane over: writes its state. **Errors**: it failed, or they have. */
  confirm: () => Promise<void> = () => Promise.resolve();
  readonly #marks: DeadLetterMarks;
  readonly #clock: Clock;
  /** Batches that the ledger does not have yet: how many dead letters there were before each. */
  readonly #keeping = new Map<LogBatch, Position>();
  /** Absent when a mark or damage has changed it. */
  #marked: Pick<DeadLetterCounts, "retried" | "discarded"> | undefined;
  /** That {@link list} found to be unreadable: a damaged disk took their record. */
  readonly #damaged = new Set<Position>();
  /** Of events that the lane may settle again, after a crash, by their positions. */
  readonly #keptBefore = new Map<Position, Position>();
  /** Before it the log has what was written here, or is in {@link #keptBefore}. */
  #knownTo: Position;
  /** What was kept of a batch whose keeping failed half way. */
  readonly #keptOf = new WeakMap<LogBatch, Set<Position>>();

  private constructor(log: Log, marks: DeadLetterMarks, knownTo: Position, clock: Clock) {
    this.log = log;
    this.#marks = marks;
    this.#knownTo = knownTo;
    this.#clock = clock;
  }

  /**
   * `head` is that of the log the events come from: it gives positions from there on anew, also
   * when a damaged disk took its end. `since`: how many dead letters the lane's state knows of; of
   * the others the events may be settled again. Default: none.
   * **Errors**: `WAYBILL_DISK`.
   */
  static async open(
    directory: string,
    head: Position,
    runtime: LaneRuntime,
    since: Position = 0,
  ): Promise<DeadLetters> {
    const log = await openLaneLog(
      { directory, segmentMaxBytes: SEGMENT_BYTES, metadataMaxBytes: METADATA_MAX_BYTES },
      runtime,
    );
    const markLog = await openLaneLog({ directory: `${directory}/marks`, segmentMaxBytes: SEGMENT_BYTES }, runtime);
    const marks = await DeadLetterMarks.open(markLog, log, runtime.clock);
    const opened = new DeadLetters(log, marks, Math.min(since, log.head), runtime.clock);
    marks.onChange = () => (opened.#marked = undefined);
    await opened.#readOthers(head);
    return opened;
  }

  /** What was written before, or comes late of an owner that was replaced. */
  async #readOthers(head = Number.POSITIVE_INFINITY): Promise<void> {
    while (this.#knownTo < this.log.head) {
      const to = this.log.head;
      for await (const { metadata, first } of recordsFrom(this.log, Math.max(this.#knownTo, this.log.first)))
        for (const [index, one] of parseMetadata(metadata).entries())
          if (one !== undefined && one.position < head) this.#keptBefore.set(one.position, first + index);
      this.#knownTo = Math.max(this.#knownTo, to);
    }
  }

  /**
   * Dead letters by state. Damaged ones are known once they were read: by {@link list}, or a trace.
   */
  counts(): DeadLetterCounts {
    const damaged = this.#damaged.size;
    this.#marked ??= this.#countMarked();
    const { retried, discarded } = this.#marked;
    return { waiting: this.log.head - this.log.first - damaged - retried - discarded, retried, discarded, damaged };
  }

  /** They may be many, and counts are read often. */
  #countMarked(): Pick<DeadLetterCounts, "retried" | "discarded"> {
    const counts = { retried: 0, discarded: 0 };
    for (const [id, { state }] of this.#marks.entries())
      if (state !== "waiting" && !this.#damaged.has(id)) counts[state] += 1;
    return counts;
  }

  /** Whether there may be dead letters of events that are not settled: a crash came between. */
  get mayBeUncounted(): boolean {
    return this.#keptBefore.size > 0 || this.#knownTo < this.log.head;
  }

  /**
   * Keeps the rejected ones of a batch's first events, durably. Idempotent per position. Those that
   * were kept before a crash, and were delivered now, wait no longer.
   * **Errors**: those of `Log.append`.
   */
  async keep(batch: LogBatch, outcomes: readonly Outcome[]): Promise<void> {
    this.#keeping.set(batch, this.#keeping.get(batch) ?? this.#knownTo);
    await this.#readOthers();
    await this.#keep(batch, outcomes);
    if (this.#keptBefore.size > 0) await this.#marks.add(this.#deliveredNow(batch, outcomes), "retried");
  }

  #deliveredNow(batch: LogBatch, outcomes: readonly Outcome[]): readonly Position[] {
    return outcomes.flatMap(({ status }, index) =>
      status === "delivered" ? (this.#keptBefore.get(batch.positionAt(index)) ?? []) : [],
    );
  }

  /** The lane's ledger has the outcomes of a batch. */
  counted(batch: LogBatch): void {
    this.#keeping.delete(batch);
  }

  /**
   * How many dead letters there were before those that the ledger may not have; it has those of
   * events that are settled.
   */
  countedTo(isSettled: (position: Position) => boolean): Position {
    for (const position of this.#keptBefore.keys()) if (isSettled(position)) this.#keptBefore.delete(position);
    let before = this.#knownTo;
    for (const ids of [this.#keeping.values(), this.#keptBefore.values()])
      for (const one of ids) before = Math.min(before, one);
    return before;
  }

  async #keep(batch: LogBatch, outcomes: readonly Outcome[]): Promise<void> {
    let kept: Kept = newRecord();
    const known = this.#keptOf.get(batch);
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status !== "rejected") continue;
      const { record, at } = batch.locate(index);
      const position = record.first + at;
      if (this.#keptBefore.has(position) || known?.has(position) === true) continue;
      const { source, receivedAtMs } = record;
      const reason = outcome.reason.slice(0, REASON_MAX_CHARACTERS);
      const head = { position, source, receivedAtMs, rejectedAtMs: this.#clock.now(), reason };
      const text = JSON.stringify(head);
      const event = batch.event(index);
      const isFull =
        kept.characters + text.length > HEADS_MAX_CHARACTERS || kept.bytes + event.length > EVENTS_MAX_BYTES;
      if (kept.heads.length > 0 && isFull) {
        await this.#append(kept, batch);
        kept = newRecord();
      }
      kept.heads.push(head);
      kept.texts.push(text);
      kept.events.push(event);
      kept.characters += text.length;
      kept.bytes += event.length;
    }
    await this.#append(kept, batch);
  }

  /**
   * As one record: it is there as a whole or not at all, and what the events share is stored in it
   * once.
   */
  async #append(kept: Kept, batch: LogBatch): Promise<void> {
    if (kept.heads.length === 0) return;
    await this.#write(kept, batch.metadata);
    const known = this.#keptOf.get(batch) ?? new Set<Position>();
    for (const { position } of kept.heads) known.add(position);
    this.#keptOf.set(batch, known);
  }

  /** Takes over a dead letter that waits in another log of them. **Errors**: of `Log.append`. */
  async adopt(dead: DeadLetter): Promise<void> {
    const { position, source, receivedAtMs, rejectedAtMs, reason, metadata, event } = dead;
    const heads = [{ position, source, receivedAtMs, rejectedAtMs, reason }];
    await this.#write({ ...newRecord(), heads, events: [event] }, metadata);
  }

  async #write(kept: Kept, metadata: string): Promise<void> {
    const at = await this.log.append(recordOf(kept, metadata));
    if (at === this.#knownTo) this.#knownTo = at + kept.heads.length;
  }

  /** How many marks there have been. */
  get marks(): number {
    return this.#marks.count;
  }

  stateOf(deadLetterId: Position): DeadLetterState {
    return this.#marks.get(deadLetterId)?.state ?? "waiting";
  }

  /**
   * The dead letters that match `filter`, from `from` on, before `to`, oldest first. Their bytes
   * are valid until the next step. `marks`: as of when there were so many; those that were marked
   * since match whatever their state is.
   */
  async *list(
    filter: DeadLetterFilter = {},
    from: Position = 0,
    to?: Position,
    marks: number = Number.POSITIVE_INFINITY,
  ): AsyncGenerator<DeadLetter> {
    const { deadLetterIds, state: _state, ...others } = filter;
    const wanted = deadLetterIds === undefined ? undefined : new Set(deadLetterIds);
    const oldestWanted = deadLetterIds?.reduce((least, id) => Math.min(least, id), Number.POSITIVE_INFINITY);
    const start = Math.max(from, oldestWanted ?? 0, this.log.first);
    const end = Math.min(this.log.head, to ?? Number.POSITIVE_INFINITY);
    let next = start;
    if (start >= end) return;
    for await (const record of recordsFrom(this.log, start)) {
      this.#noteDamage(next, Math.min(record.first, end));
      if (record.first >= end) return;
      const deadLetters = this.#deadLettersOf(record);
      next = record.first + record.count;
      if (deadLetters.length < record.count) {
        const readable = new Set(deadLetters.map(({ deadLetterId }) => deadLetterId));
        for (let id = record.first; id < next; id++) if (!readable.has(id)) this.#noteDamage(id, id + 1);
      }
      for (const dead of deadLetters) {
        const { deadLetterId } = dead;
        if (deadLetterId < start || deadLetterId >= end) continue;
        const isMarkedSince = (this.#marks.get(deadLetterId)?.at ?? -1) >= marks;
        if (wanted?.has(deadLetterId) !== false && holds(isMarkedSince ? others : filter, dead)) yield dead;
      }
    }
    this.#noteDamage(next, end);
  }

  /** Nothing could be read there, though retention has not removed it. */
  #noteDamage(from: Position, to: Position): void {
    for (let id = Math.max(from, this.log.first); id < to; id++) {
      this.#damaged.add(id);
      this.#marked = undefined;
    }
  }

  /** The dead letter of the event at `position` of the log it came from. */
  async forEvent(position: Position): Promise<DeadLetter | undefined> {
    let found: DeadLetter | undefined;
    for await (const { record } of this.log.find(Buffer.from(`{"position":${position},`))) {
      // What is found is valid until the next step.
      for (const dead of this.#deadLettersOf(record))
        if (dead.position === position) found = { ...dead, event: Uint8Array.from(dead.event) };
    }
    return found;
  }

  /**
   * Records durably what became of dead letters; who takes the lane over knows of it. **Errors**:
   * those of `Log.append` and of {@link confirm}: it may be recorded all the same.
   */
  async mark(deadLetterIds: readonly Position[], state: DeadLetterState): Promise<void> {
    if (deadLetterIds.length === 0) return;
    await this.confirm();
    try {
      await this.#marks.add(deadLetterIds, state);
    } catch (error) {
      if (!isOvertaken(error)) throw error;
      // Those of another owner came first. Who has the lane now marks them again.
      return this.mark(deadLetterIds, state);
    }
    await this.confirm();
  }

  /** What would be the first dead letter after {@link retain}. */
  retainedFrom(limits: RetentionLimits, nowMs: number): Position {
    return this.log.retainedFrom(limits, nowMs, this.log.head);
  }

  /** Removes what is older or more than allowed. */
  async retain(limits: RetentionLimits, nowMs: number): Promise<void> {
    await this.log.retain(limits, nowMs, this.log.head);
    for (const id of this.#damaged) if (id < this.log.first) this.#damaged.delete(id);
    await this.#marks.retain(limits, nowMs);
    this.#marked = undefined;
  }

  async close(): Promise<void> {
    await this.log.close();
    await this.#marks.close();
  }

  /** None for a record that holds no dead letters, whatever its checksum says. */
  #deadLettersOf({ first, body, ends, metadata }: LogRecord): readonly DeadLetter[] {
    return parseMetadata(metadata).flatMap((head, index) => {
      const end = ends[index];
      if (head === undefined || end === undefined) return [];
      const mark = this.#marks.get(first + index);
      const dead: DeadLetter = {
        ...head,
        deadLetterId: first + index,
        state: this.stateOf(first + index),
        ...(mark === undefined ? {} : { markedAtMs: mark.atMs }),
        event: body.subarray(index === 0 ? 0 : (ends[index - 1] as number) + 1, end),
      };
      return [dead];
    });
  }
}

/** The event of a dead letter as it came, to be sent again. */
export function originalRecord({ deadLetterId, source, receivedAtMs, metadata, event }: DeadLetter): LogRecord {
  const bytes = Uint8Array.from(event);
  return {
    first: deadLetterId,
    count: 1,
    source,
    receivedAtMs,
    metadata,
    body: bytes,
    ends: Uint32Array.of(bytes.length),
    sizeBytes: bytes.length,
  };
}

/** `metadata`: what their requests shared. */
function recordOf({ heads, texts, events }: Kept, metadata: string): Entry {
  const [first] = heads as [Head];
  let end = -1;
  return {
    source: first.source,
    receivedAtMs: first.receivedAtMs,
    metadata:
      heads.length === 1
        ? JSON.stringify({ ...first, metadata })
        : // The key `letters` stays as earlier versions wrote it.
          `{"letters":[${texts.join(",")}],"metadata":${JSON.stringify(metadata)}}`,
    body: events.flatMap((event, index) => (index === 0 ? [event] : [COMMA, event])),
    ends: Uint32Array.from(events, ({ length }) => (end += 1 + length)),
  };
}

function holds(filter: DeadLetterFilter, { state, source, reason, rejectedAtMs }: DeadLetter): boolean {
  return (
    (filter.state === undefined || filter.state === state) &&
    (filter.source === undefined || filter.source === source) &&
    (filter.reason === undefined || reason.toLowerCase().includes(filter.reason.toLowerCase())) &&
    (filter.sinceMs === undefined || rejectedAtMs >= filter.sinceMs) &&
    (filter.untilMs === undefined || rejectedAtMs < filter.untilMs)
  );
}
