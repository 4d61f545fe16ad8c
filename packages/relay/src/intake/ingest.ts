/**
 * The one way in: stores the events of a request that are new, and tells where all of them are;
 * those that came before where they were stored then.
 *
 * Duplicates are left out, the rest is appended and made durable, ids that were not stored are
 * taken back, counted is what was stored, and the receipt is made.
 *
 * Receipt: see `receipt.ts`; its ranges are in the order of the request's events. A request whose
 * events went to several sources has one for each of its records, with a space between, at most
 * {@link RECEIPTS_MAX}.
 */
import type { Entry, Position } from "@waybill/log";
import { type DiskRange, printRange, printReceipt } from "../receipt.ts";
import type { RequestSpan } from "../tracing/tracing.ts";
import { HASH_WORDS, type IdHashes } from "./id-window.ts";
import type { Stored, StoredHere, StoredInCluster } from "./source-environment.ts";
import type { Source } from "./sources.ts";

const RECEIPTS_MAX = 16;
export const RECEIPT_HEADER = "waybill-receipt";

/** Of an environment whose log is here. */
type LocalSource = Source & { readonly environment: StoredHere };
type LocalEvents = NewEvents & { readonly source: LocalSource };
type Environment = StoredHere;

/** Events to store. */
export interface NewEvents {
  readonly source: Source;
  readonly receivedAtMs: number;
  readonly count: number;
  /** Of their ids; zeros for an event without one. `undefined` when none has one. */
  readonly hashes: IdHashes | undefined;
  /** As `InboundPart.idPrefix`. */
  readonly idPrefix?: string | undefined;
  /** Of its request, where requests are traced. */
  readonly trace?: RequestSpan | undefined;
  /** The record of those that are kept, all of them by default. */
  readonly entry: (keep: readonly boolean[] | undefined) => Omit<Entry, "source" | "receivedAtMs">;
}

/** Resolves after the fsync. **Errors**: those of the log; then nothing is stored. */
export async function ingest(events: NewEvents): Promise<Stored> {
  if (!isLocal(events)) return ingestAll([events]);
  const { log } = events.source.environment;
  const part = markNew(events);
  let first: Position | undefined;
  try {
    const appended = part.kept === 0 ? undefined : log.append(entryOf(part));
    // A duplicate is answered only when its first copy is durable: that may be waiting for the same
    // fsync.
    if (part.kept < events.count) await Promise.all([appended, log.barrier()]);
    first = await appended;
  } catch (error) {
    rollBack(part);
    throw error;
  }
  return settle(part, first);
}

/**
 * Stores several records of one request. Those of one environment are appended together: all of
 * them or none. Environments have logs of their own: when one fails, what another has stored stays
 * there, and is known by its ids when the request comes again. **Errors**: those of the logs.
 */
export async function ingestAll(parts: readonly NewEvents[]): Promise<Stored> {
  const stored = await storeAll(parts);
  const receipts = stored.flatMap(({ receipt }) => receipt ?? []);
  return {
    first: stored.find(({ first }) => first !== undefined)?.first,
    place: stored[0]?.place,
    kept: stored.reduce((total, { kept }) => total + kept, 0),
    duplicates: stored.reduce((total, { duplicates }) => total + duplicates, 0),
    receipt: receipts.length === 0 ? undefined : receipts.slice(0, RECEIPTS_MAX).join(" "),
  };
}

/** All environments of a relay have their logs in the same place. */
async function storeAll(parts: readonly NewEvents[]): Promise<readonly Stored[]> {
  const local = parts.filter(isLocal);
  if (local.length === parts.length) return storeHere(local);
  const groups = new Map<StoredInCluster, NewEvents[]>();
  for (const part of parts) {
    const { environment } = part.source;
    if (environment.cluster === undefined) continue;
    const group = groups.get(environment);
    if (group === undefined) groups.set(environment, [part]);
    else group.push(part);
  }
  const stored = await Promise.all([...groups].map(([{ cluster }, group]) => cluster.ingest(group)));
  return stored.flat();
}

function isLocal(events: NewEvents): events is LocalEvents {
  return events.source.environment.cluster === undefined;
}

async function storeHere(parts: readonly LocalEvents[]): Promise<readonly Stored[]> {
  const marked = parts.map(markNew);
  const groups = new Map<Environment, MarkedEvents[]>();
  for (const part of marked) {
    const { environment } = part.events.source;
    const group = groups.get(environment);
    if (group === undefined) groups.set(environment, [part]);
    else group.push(part);
  }
  const results = await Promise.allSettled([...groups].map(([{ log }, group]) => appendGroup(log, group)));
  const stored: Stored[] = [];
  let failed: PromiseRejectedResult | undefined;
  for (const [index, group] of [...groups.values()].entries()) {
    const result = results[index] as PromiseSettledResult<readonly (Position | undefined)[]>;
    if (result.status === "fulfilled")
      for (const [at, part] of group.entries()) stored.push(settle(part, result.value[at]));
    else {
      failed ??= result;
      for (const part of group.toReversed()) rollBack(part);
    }
  }
  if (failed !== undefined) throw failed.reason;
  return stored;
}

/** The first position of each part; `undefined` for one whose events had all come before. */
async function appendGroup(
  log: Environment["log"],
  group: readonly MarkedEvents[],
): Promise<readonly (Position | undefined)[]> {
  const kept = group.filter((part) => part.kept > 0);
  const appended = kept.length === 0 ? [] : log.appendAll(kept.map(entryOf));
  const hasDuplicates = group.some(({ events, kept: count }) => count < events.count);
  const [firsts] = await Promise.all([appended, hasDuplicates ? log.barrier() : undefined]);
  return group.map((part) => firsts[kept.indexOf(part)]);
}

/** Events whose new ids are in the window, not yet stored. */
interface MarkedEvents {
  readonly events: LocalEvents;
  /** Which are new; `undefined` when all are. */
  readonly fresh: readonly boolean[] | undefined;
  readonly kept: number;
  readonly ticket: number | undefined;
  /** Ends the span of what is new: with the first position, or without one when it failed. */
  readonly traced: ((first?: Position) => void) | undefined;
}

function markNew(events: LocalEvents): MarkedEvents {
  const { hashes, count, source } = events;
  if (hashes === undefined)
    return { events, fresh: undefined, kept: count, ticket: undefined, traced: traceAppend(events, count) };
  const fresh = markFresh(events, hashes);
  // Nothing came between: the ticket is that of these ids.
  const ticket = source.environment.ids.window.endRequest();
  const duplicates = fresh === undefined ? 0 : fresh.reduce((total, isFresh) => total + (isFresh ? 0 : 1), 0);
  const kept = count - duplicates;
  return { events, fresh, kept, ticket, traced: traceAppend(events, kept) };
}

function traceAppend({ trace, source }: NewEvents, kept: number): MarkedEvents["traced"] {
  if (trace === undefined || kept === 0) return undefined;
  const { environment, config } = source;
  return trace.append({ environment: environment.name, source: config.name, vendor: config.protocol, count: kept });
}

function entryOf({ events: { source, receivedAtMs, entry }, fresh }: MarkedEvents): Entry {
  return { source: source.config.name, receivedAtMs, ...entry(fresh) };
}

/** Takes the ids out of the window again: nothing of them is stored. */
function rollBack({ events: { source, count, hashes }, fresh, traced }: MarkedEvents): void {
  traced?.();
  for (let index = 0; hashes !== undefined && index < count; index++)
    if (hasId(hashes, index) && fresh?.[index] !== false) source.environment.ids.window.remove(hashes, index);
}

/** Counts what was stored from `first` on, and keeps where. */
function settle({ events, fresh, kept, ticket, traced }: MarkedEvents, first: Position | undefined): Stored {
  traced?.(first);
  const { source, count, hashes, receivedAtMs } = events;
  const { environment, counters } = source;
  const { ids } = environment;
  if (first !== undefined && hashes !== undefined) {
    if (ticket !== undefined) ids.window.settle(ticket, first);
    ids.stored(first, only(hashes, fresh), receivedAtMs);
  }
  const duplicates = count - kept;
  counters.accepted += kept;
  counters.duplicates += duplicates;
  if (fresh === undefined || hashes === undefined)
    return { first, kept, duplicates, receipt: wholeReceipt(environment, first, kept) };
  // Only now it is known where the first copies went.
  return { first, kept, duplicates, receipt: receiptOf(source, hashes, fresh, first) };
}

/**
 * Which events have an id that is new, which they now have no longer; `undefined` when all of them
 * are.
 */
function markFresh({ source, count, receivedAtMs }: LocalEvents, hashes: IdHashes): boolean[] | undefined {
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
  { environment }: LocalSource,
  hashes: IdHashes,
  fresh: readonly boolean[],
  first: Position | undefined,
): string | undefined {
  const ranges: DiskRange[] = [];
  let next = first;
  for (const [index, isFresh] of fresh.entries()) {
    const position = isFresh && next !== undefined ? next++ : environment.ids.window.positionOf(hashes, index);
    if (position !== undefined) ranges.push({ position, count: 1 });
  }
  return printReceipt(environment.name, ranges);
}

/** Of events that are all new. */
function wholeReceipt({ name }: Environment, first: Position | undefined, count: number): string | undefined {
  return first === undefined ? undefined : `${name}/${printRange({ position: first, count })}`;
}
