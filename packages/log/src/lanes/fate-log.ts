/** The log of blocks: where each block is, and what several of them have together. */
import { recordsFrom } from "../records.ts";
import type { Log, LogRecord, Position, RetentionLimits } from "../types.ts";
import { type BlockHead, bodyAt, decodeSparse, headOf, isSparse, OPEN, parkedOf, runsOf } from "./fate-blocks.ts";
import { overtaken } from "./overtaken.ts";
import type { SettledRuns } from "./settled-runs.ts";

/** Which positions a block covers, and its own position in the log of blocks. */
interface Place {
  readonly first: Position;
  readonly end: Position;
  readonly at: Position;
  readonly form: BlockHead["form"];
}

/** Which events a block speaks of. */
export type BlockPart = Pick<BlockHead, "first" | "count" | "form">;

/** Some blocks of a lane: those before `blocksTo` are what its state speaks of. */
interface Known {
  readonly from: Position;
  readonly to: Position;
  readonly blocksTo: Position;
}

/** A block of single events that does not have the one that is looked for. */
const NOT_THERE = -1;

export class BlockLog {
  readonly log: Log;
  /** After the last block that was written here, or was read before that. */
  knownTo: Position;
  /** Read when a fate is first looked for. */
  #places: Place[] | undefined;

  constructor(log: Log) {
    this.log = log;
    this.knownTo = log.head;
  }

  /** The code of an event. The newest block counts: its events were settled again after a crash. */
  async find(position: Position, isWanted: (form: BlockHead["form"]) => boolean): Promise<number | undefined> {
    this.#places ??= await placesOf(this.log);
    for (let index = this.#places.length - 1; index >= 0; index--) {
      const { first, end, form, at } = this.#places[index] as Place;
      if (position < first || position >= end || !isWanted(form)) continue;
      const record = await readAt(this.log, at);
      const head = record === undefined ? undefined : headOf(record);
      const code =
        record === undefined || head === undefined ? undefined : bodyAt(record.body, head, position - head.first);
      if (code !== NOT_THERE || !isSparse(form)) return code;
    }
    return undefined;
  }

  /**
   * Durable when it resolves to the block's position. **Errors**: those of `Log.append`, and that
   * others came first, whose blocks are to be read.
   */
  async append(head: BlockHead, body: Uint8Array): Promise<Position> {
    if (this.hasOthers) throw overtaken("blocks of outcomes");
    const { first, count, form } = head;
    const metadata = JSON.stringify(head);
    const ends = Uint32Array.of(body.length);
    const at = await this.log.append({ source: "", receivedAtMs: 0, metadata, body: [body], ends });
    this.knownTo = at + 1;
    this.#places?.push({ first, end: first + count, at, form });
    return at;
  }

  /**
   * Tells each block from one on, before another. Resolves to whether all of them could be read,
   * but for what retention has taken.
   */
  async each(from: Position, to: Position, tell: (head: BlockHead, body: Uint8Array) => void): Promise<boolean> {
    let next: Position | undefined;
    let isWhole = true;
    if (from >= this.log.head) return from >= to;
    for await (const record of recordsFrom(this.log, from)) {
      if (record.first >= to) break;
      const head = headOf(record);
      isWhole &&= record.first === (next ?? record.first) && head !== undefined;
      next = record.first + record.count;
      if (head !== undefined) tell(head, record.body);
    }
    return isWhole && (next ?? from) >= to;
  }

  /** Whether there are blocks that others have written since. */
  get hasOthers(): boolean {
    return this.log.head > this.knownTo;
  }

  /** Tells each of them. */
  async eachOther(tell: (head: BlockHead, body: Uint8Array) => void): Promise<void> {
    for (let to = this.log.head; this.knownTo < to; to = this.log.head) {
      await this.each(this.knownTo, to, tell);
      this.knownTo = to;
    }
  }

  async retain(limits: RetentionLimits, nowMs: number, keptFrom: Position): Promise<void> {
    if (this.log.head === this.log.first) return;
    this.#places ??= await placesOf(this.log);
    const needed = this.#places.find(({ end }) => end > keptFrom)?.at ?? this.log.head;
    await this.log.retain({ ...limits, hardMaxBytes: Number.POSITIVE_INFINITY }, nowMs, needed);
    const { first } = this.log;
    this.#places = this.#places.filter(({ at }) => at >= first);
  }

  /** Events from `from` to `to - 1` that were parked. */
  async parkedIn({ from, to, blocksTo }: Known): Promise<Set<Position>> {
    let parked = new Set<Position>();
    let end: Position = 0;
    if (from >= to) return parked;
    for await (const record of recordsFrom(this.log, this.log.first)) {
      const head = record.first < blocksTo ? headOf(record) : undefined;
      if (head === undefined || isSparse(head.form)) continue;
      // After a crash a newer block may be of the same events.
      if (head.first < end) parked = new Set([...parked].filter((position) => position < head.first));
      end = head.first + head.count;
      for (const position of parkedOf(head, record.body)) if (position >= from && position < to) parked.add(position);
    }
    return parked;
  }

  /** Notes which events from `from` to `to - 1` are settled. */
  async coverSettled(settled: SettledRuns, { from, to, blocksTo }: Known): Promise<void> {
    for await (const record of recordsFrom(this.log, this.log.first)) {
      const head = record.first < blocksTo ? headOf(record) : undefined;
      if (head === undefined || isSparse(head.form) || head.first + head.count <= from || head.first >= to) continue;
      settled.cover(head.first, runsOf(head.form, record.body));
    }
  }

  /** Takes out what has its outcome by then. */
  async withoutPatched(parked: Set<Position>, blocksTo: Position): Promise<void> {
    if (parked.size === 0) return;
    const patched = new Set<Position>();
    for await (const record of recordsFrom(this.log, this.log.first)) {
      const head = record.first < blocksTo ? headOf(record) : undefined;
      if (head?.form !== "patch") continue;
      for (const [offset, code] of decodeSparse(record.body))
        if (code === OPEN) patched.delete(head.first + offset);
        else patched.add(head.first + offset);
    }
    for (const position of patched) parked.delete(position);
  }
}

async function placesOf(log: Log): Promise<Place[]> {
  const places: Place[] = [];
  for await (const record of recordsFrom(log, log.first)) {
    const head = headOf(record);
    if (head !== undefined)
      places.push({ first: head.first, end: head.first + head.count, at: record.first, form: head.form });
  }
  return places;
}

async function readAt(log: Log, at: Position): Promise<LogRecord | undefined> {
  const reader = log.reader({ position: at });
  try {
    const [record] = await reader.read(1);
    return record?.first === at ? record : undefined;
  } finally {
    await reader.close();
  }
}
