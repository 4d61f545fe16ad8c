/**
 * Stores the events of a request that are new, and says where all of them are: those that came before where they were stored then.
 *
 * Receipt: `<environment>/<position>+<count>,…`, ranges in the order of the request's events. When they are scattered over more than {@link RANGES_MAX} ranges, the
 * rest is counted: `;more=<events>`.
 */
import type { Entry, Position } from "@waybill/log";
import { HASH_WORDS, type IdHashes } from "./id-window.ts";
import type { Source } from "./sources.ts";

/** A header of 2 KB at most. */
const RANGES_MAX = 64;
export const RECEIPT_HEADER = "waybill-receipt";

/** Events to store. */
export interface NewEvents {
  readonly source: Source;
  readonly receivedAtMs: number;
  readonly count: number;
  /** Of their ids; zeros for an event without one. `undefined` when none has one. */
  readonly hashes: IdHashes | undefined;
  /** The record of those that are kept, all of them by default. */
  readonly entry: (keep: readonly boolean[] | undefined) => Omit<Entry, "source" | "receivedAtMs">;
}

export interface Stored {
  /** Of the first event that was new. */
  readonly first: Position | undefined;
  readonly kept: number;
  readonly duplicates: number;
  /** `undefined` when it is not known where any of them is. */
  readonly receipt: string | undefined;
}

/** Resolves after the fsync. **Errors**: those of the log; then nothing is stored. */
export async function storeNew(events: NewEvents): Promise<Stored> {
  const { source, receivedAtMs, count, hashes, entry } = events;
  const { environment, counters } = source;
  const { ids, log } = environment;
  const fresh = hashes === undefined ? undefined : markFresh(events, hashes);
  // Nothing came between: the ticket is that of these ids.
  const ticket = hashes === undefined ? undefined : ids.window.endRequest();
  const duplicates = fresh === undefined ? 0 : fresh.reduce((total, isFresh) => total + (isFresh ? 0 : 1), 0);
  const kept = count - duplicates;
  let first: Position | undefined;
  try {
    const appended = kept === 0 ? undefined : log.append({ source: source.config.name, receivedAtMs, ...entry(fresh) });
    // A duplicate is answered only when what it repeats is durable: it may be waiting for the same fsync.
    if (duplicates > 0) await Promise.all([appended, log.barrier()]);
    first = await appended;
  } catch (error) {
    for (let index = 0; hashes !== undefined && index < count; index++)
      if (hasId(hashes, index) && fresh?.[index] !== false) ids.window.remove(hashes, index);
    throw error;
  }
  if (first !== undefined && hashes !== undefined) {
    if (ticket !== undefined) ids.window.settle(ticket, first);
    ids.stored(first, only(hashes, fresh), receivedAtMs);
  }
  counters.accepted += kept;
  counters.duplicates += duplicates;
  if (fresh === undefined || hashes === undefined)
    return { first, kept, duplicates, receipt: `${environment.name}/${first}+${kept}` };
  // Only now it is known where the first copies went.
  return { first, kept, duplicates, receipt: receiptOf(source, hashes, fresh, first) };
}

/** Which events have an id that is new, which they now have no longer; `undefined` when all of them are. */
function markFresh({ source, count, receivedAtMs }: NewEvents, hashes: IdHashes): boolean[] | undefined {
  const { window } = source.environment.ids;
  let fresh: boolean[] | undefined;
  let place = 0;
  window.prefetch(hashes);
  for (let index = 0; index < count; index++) {
    if (!hasId(hashes, index) || window.addAt(hashes, index, receivedAtMs, place)) {
      place += 1;
      continue;
    }
    fresh ??= new Array<boolean>(count).fill(true);
    fresh[index] = false;
  }
  return fresh;
}

function hasId({ words }: IdHashes, index: number): boolean {
  return words[index * HASH_WORDS] !== 0;
}

/** The hashes of the events that were kept. */
function only(hashes: IdHashes, kept: readonly boolean[] | undefined): IdHashes {
  if (kept === undefined) return hashes;
  const words = hashes.words.filter((_word, at) => kept[Math.floor(at / HASH_WORDS)]);
  return { scope: hashes.scope, words };
}

function receiptOf(
  { environment }: Source,
  hashes: IdHashes,
  fresh: readonly boolean[],
  first: Position | undefined,
): string | undefined {
  const ranges: { readonly from: Position; count: number }[] = [];
  let next = first;
  let more = 0;
  for (const [index, isFresh] of fresh.entries()) {
    const position = isFresh && next !== undefined ? next++ : environment.ids.window.positionOf(hashes, index);
    const last = ranges.at(-1);
    if (position === undefined) continue;
    if (last !== undefined && more === 0 && position === last.from + last.count) last.count += 1;
    else if (ranges.length < RANGES_MAX) ranges.push({ from: position, count: 1 });
    else more += 1;
  }
  if (ranges.length === 0) return undefined;
  const listed = ranges.map(({ from, count }) => `${from}+${count}`).join(",");
  return `${environment.name}/${listed}${more === 0 ? "" : `;more=${more}`}`;
}
