/**
 * Copies what a log's destinations still need, and what is needed to know duplicates, with every
 * outcome that its events have by now.
 *
 * The events of one part of a log come one after another and go, in that order, to parts of the
 * other one: a disk has one part, a topic one for each partition. Outcomes of earlier events are
 * carried as numbers, in the ledger of the first part.
 */
import { WaybillError } from "@waybill/core";
import {
  type DeadLetter,
  type Entry,
  type FateCounts,
  type LaneStateValue,
  type Log,
  type LogRecord,
  NO_FATES,
  type Position,
  recordsFrom,
} from "@waybill/log";
import { pickedEntry } from "@waybill/log-kafka";
import type { SourceLane } from "./source-lane.ts";
import { combined, type TargetLane, totalOf } from "./target-lane.ts";

/** A part of the log that is copied. */
export interface SourcePart {
  readonly log: Log;
  /** The first event that is copied. */
  readonly from: Position;
  readonly lanes: readonly SourceLane[];
}

/** A part of the other log. */
export interface TargetPart {
  /** The position that the next event gets. */
  next: Position;
  /** By destination. */
  readonly lanes: ReadonlyMap<string, TargetLane>;
}

/** Events of an entry that go to one part. */
export interface RoutedEntry {
  readonly part: TargetPart;
  readonly entry: Entry;
  /** Which events of the entry they are. `undefined`: all of them. */
  readonly indexes: Uint32Array | undefined;
}

export interface Target {
  readonly parts: readonly TargetPart[];
  route(entry: Entry): readonly RoutedEntry[];
  /** Resolves once all is stored: one call at a time. */
  append(routed: readonly RoutedEntry[]): Promise<void>;
}

/** What has become of a destination's events. */
export interface CarriedLane {
  readonly destination: string;
  /** Events that wait, in the copy. */
  readonly pending: number;
  /** Of those that waited: duplicates, and events of damaged records; they are dropped. */
  readonly leftOut: number;
  readonly deadLetters: number;
  /** Of all of them: outcomes of events that are not in the copy. */
  readonly rest: FateCounts;
}

export interface Carried {
  readonly events: number;
  readonly lanes: readonly CarriedLane[];
}

/** Bytes that are appended at once. */
const APPEND_BYTES = 1024 * 1024;

/** **Errors**: those of both logs; `WAYBILL_LOG_COPY`. */
export async function carry(
  sources: readonly SourcePart[],
  target: Target,
  onProgress: (events: number) => void,
): Promise<Carried> {
  let events = 0;
  const left = new Map<string, FateCounts>();
  const deadLetters = new Map<string, number>();
  for (const source of sources) {
    const copying = new Copying(source, target, left);
    await copying.run((copied) => onProgress(events + copied));
    events += copying.events;
    for (const lane of source.lanes)
      deadLetters.set(lane.name, (deadLetters.get(lane.name) ?? 0) + (await copying.copyDeadLetters(lane)));
  }
  const names = new Set(sources.flatMap(({ lanes }) => lanes.map(({ name }) => name)));
  const lanes = [...names].map((name) => {
    const own = sources.flatMap((source) => source.lanes.filter((lane) => lane.name === name));
    return carriedLane(name, own, target, left.get(name) ?? NO_FATES, deadLetters.get(name) ?? 0);
  });
  return { events, lanes };
}

/** **Errors**: `WAYBILL_LOG_COPY` when what waits is not what waited. */
function carriedLane(
  destination: string,
  own: readonly SourceLane[],
  { parts }: Target,
  left: FateCounts,
  deadLetters: number,
): CarriedLane {
  const targets = parts.flatMap(({ lanes }) => lanes.get(destination) ?? []);
  const pending = targets.reduce((sum, lane) => sum + lane.pending, 0);
  const leftOut = totalOf(left);
  const waited = own.reduce((sum, { account }) => sum + account.pending, 0);
  if (waited !== pending + leftOut)
    throw new WaybillError(
      "WAYBILL_LOG_COPY",
      `${destination} waits for ${waited} events, and ${pending + leftOut} of them were found: nothing was taken over`,
      { hint: "waybill log verify shows what is wrong with the log." },
    );
  let rest = left;
  for (const { account } of own) rest = combined(rest, account, 1);
  for (const { counts } of targets) rest = combined(rest, counts, -1);
  return { destination, pending, leftOut, deadLetters, rest };
}

/** One part of the log, as it is copied. */
class Copying {
  readonly #source: SourcePart;
  readonly #target: Target;
  readonly #left: Map<string, FateCounts>;
  /** Where events with dead letters are in the copy. */
  readonly #places = new Map<Position, Position>();
  readonly #wanted = new Set<Position>();
  #routed: RoutedEntry[] = [];
  #bytes = 0;
  events = 0;

  constructor(source: SourcePart, target: Target, left: Map<string, FateCounts>) {
    this.#source = source;
    this.#target = target;
    this.#left = left;
  }

  async run(onProgress: (events: number) => void): Promise<void> {
    const { log, from, lanes } = this.#source;
    for (const { deadLetters } of lanes)
      for await (const { position } of deadLetters.list({ state: "waiting" })) this.#wanted.add(position);
    let next = from;
    for await (const record of recordsFrom(log, from)) {
      await this.#leaveOut("log_damaged", next, record.first);
      await this.#copy(record, next);
      next = record.first + record.count;
      onProgress(this.events);
    }
    await this.#leaveOut("log_damaged", next, log.head);
    await this.#append();
  }

  /** Dead letters that wait. Returns how many. */
  async copyDeadLetters({ name, deadLetters }: SourceLane): Promise<number> {
    let copied = 0;
    for await (const dead of deadLetters.list({ state: "waiting" })) {
      const [to] = this.#target.route(entryOf(dead));
      const position = this.#places.get(dead.position) ?? dead.position;
      await to?.part.lanes.get(name)?.adopt({ ...dead, position });
      copied += 1;
    }
    return copied;
  }

  /** Those that wait are dropped; they have no place in the copy. */
  async #leaveOut(reason: string, from: Position, to: Position): Promise<void> {
    for (let position = from; position < to; position++)
      for (const lane of this.#source.lanes) {
        if ((await lane.fateAt(position)).status !== "pending") continue;
        const left = this.#left.get(lane.name) ?? NO_FATES;
        this.#left.set(lane.name, combined(left, { ...NO_FATES, dropped: { [reason]: 1 } }, 1));
      }
  }

  async #copy(record: LogRecord, from: Position): Promise<void> {
    const duplicates = new Set(record.duplicates);
    const indexes: number[] = [];
    for (let index = Math.max(0, from - record.first); index < record.count; index++) {
      const position = record.first + index;
      if (duplicates.has(index)) await this.#leaveOut("duplicate", position, position + 1);
      else indexes.push(index);
    }
    if (indexes.length === 0) return;
    // What is read is valid until the next step.
    const whole = { ...record, body: [record.body] };
    for (const one of this.#target.route(pickedEntry(whole, Uint32Array.from(indexes)))) {
      const { part, entry } = one;
      for (let at = 0; at < entry.ends.length; at++) {
        const position = record.first + (indexes[one.indexes?.[at] ?? at] as number);
        const to = part.next++;
        if (this.#wanted.has(position)) this.#places.set(position, to);
        for (const lane of this.#source.lanes) await part.lanes.get(lane.name)?.take(to, await lane.fateAt(position));
      }
      this.#routed.push(one);
      this.#bytes += entry.ends.at(-1) ?? 0;
      this.events += entry.ends.length;
    }
    if (this.#bytes >= APPEND_BYTES) await this.#append();
  }

  async #append(): Promise<void> {
    const routed = this.#routed;
    this.#routed = [];
    this.#bytes = 0;
    if (routed.length > 0) await this.#target.append(routed);
  }
}

function entryOf({ source, receivedAtMs, metadata, event }: DeadLetter): Entry {
  return { source, receivedAtMs, metadata, body: [event], ends: Uint32Array.of(event.length) };
}

/** The first states of a destination, one for each part; `vendor` is whom it delivers to now. */
export async function* firstStates(
  { destination, rest }: CarriedLane,
  { parts }: Target,
  vendor: string,
): AsyncGenerator<readonly [TargetPart, Omit<LaneStateValue, "byte">]> {
  for (const [at, part] of parts.entries()) {
    const lane = part.lanes.get(destination);
    if (lane !== undefined) yield [part, await lane.finish(part.next, { rest: at === 0 ? rest : NO_FATES, vendor })];
  }
}
