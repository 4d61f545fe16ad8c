/** The content of a lane's state file, and what a lane does whose state is new, damaged or gone. */
import type { Disk, Random } from "@waybill/core";
import type { Log, Position } from "../types.ts";
import { type FateTail, NO_FATES } from "./fate-blocks.ts";
import type { FatesOptions } from "./fates-options.ts";
import { LaneState } from "./lane-state.ts";

export interface LaneStateValue {
  /**
   * Part of the key of each of its batches: what no other lane of any relay has. Absent in states
   * of before it was noted.
   */
  readonly id?: string;
  /** Where the lane began: its ledger covers the events from here on. */
  readonly base: Position;
  /** The next event to settle, and the logical byte of its record. */
  readonly position: Position;
  readonly byte: number;
  readonly delivered: number;
  readonly rejected: number;
  readonly expired: number;
  readonly dropped: Readonly<Record<string, number>>;
  /**
   * Events of the batch that begins at `position` and was sent, or may have been; 0 for none. Of a
   * lane with one strand.
   */
  readonly leased: number;
  /** Absent for a lane with one strand: see {@link strandsText}. */
  readonly strands?: string;
  /** What the strands are made by. Absent for one strand. */
  readonly order?: "user" | "none" | "arrival";
  /** Absent when none is: see `parked.ts`. */
  readonly parked?: string;
  /** Events from `position` on that have their outcome already. Absent for none. */
  readonly ahead?: number;
  /** Every event before it is settled or parked. Absent where it is `position`. */
  readonly frontier?: Position;
  /**
   * Every event before it was read, planned ones among them. Where another process may take the
   * lane over: its log may not be read as far yet. Absent where it is `position`.
   */
  readonly readTo?: Position;
  /**
   * Retention removes what is before. Of these events, the fates have each one from `position` on
   * that is settled.
   */
  readonly removing?: Position;
  /**
   * Dead letters there were, so that none is kept twice. Absent in states of before it was noted.
   */
  readonly dead?: Position;
  /**
   * Marks of dead letters there were. Where another process may take the lane over: it may not be
   * able to read as many yet. Absent for none.
   */
  readonly marks?: Position;
  /** What became of the newest events. Absent in states of before lanes kept fates. */
  readonly fates?: FateTail;
  /** Events that were settled before the lane kept fates. */
  readonly unkept?: number;
  /**
   * Which vendor the lane has delivered to, each from a position on, oldest first. Absent in states
   * of before it was noted.
   */
  readonly vendors?: readonly LaneVendor[];
}

/** A user whose events are set aside. */
export interface ParkedValue {
  /** The order hash of its events. */
  readonly hash: number;
  /** Its first event that is not settled. */
  readonly position: Position;
  /** How long that has failed while others passed. */
  readonly failedMs: number;
}

/** More than that and a failing event holds up its strand; the text has to fit the slot. */
export const PARKED_MAX = 64;
const PARKED = /^([0-9a-z]{1,7})\+([0-9a-z]{1,10})~([0-9a-z]{1,8})$/;
const BASE = 36;
const SECOND_MS = 1_000;
const HASH_MAX = 0xffff_ffff;

/** `hash+offset~seconds` of each in base 36, the offset from the lane's `position`. */
export function parkedText(users: readonly ParkedValue[], from: Position): string {
  return users
    .map(({ hash, position, failedMs }) => {
      // All before the lane's position is settled, also where its user's next event is not known.
      const offset = Math.max(0, position - from);
      const numbers = [hash, offset, Math.floor(failedMs / SECOND_MS)].map((one) => one.toString(BASE));
      return `${numbers[0]}+${numbers[1]}~${numbers[2]}`;
    })
    .join(" ");
}

/** `undefined` for what is not such a text, each user once. */
export function parseParked(text: string, from: Position): readonly ParkedValue[] | undefined {
  const users: ParkedValue[] = [];
  for (const part of text.split(" ")) {
    const match = PARKED.exec(part);
    if (match === null) return undefined;
    const [hash, offset, seconds] = match.slice(1).map((number) => Number.parseInt(number, BASE)) as [
      number,
      number,
      number,
    ];
    if (hash > HASH_MAX || users.some((one) => one.hash === hash) || !isCount(from + offset)) return undefined;
    users.push({ hash, position: from + offset, failedMs: seconds * SECOND_MS });
  }
  return users.length <= PARKED_MAX ? users : undefined;
}

/**
 * A state that does not fit without what it can do without: which vendors the lane had before, and
 * for how long parked events have failed.
 */
export function shortened(value: LaneStateValue): LaneStateValue {
  const { vendors, parked, position } = value;
  const users = parked === undefined ? undefined : parseParked(parked, position);
  return {
    ...value,
    ...(vendors === undefined ? {} : { vendors: vendors.slice(-1) }),
    ...(users === undefined
      ? {}
      : {
          parked: parkedText(
            users.map((user) => ({ ...user, failedMs: 0 })),
            position,
          ),
        }),
  };
}

export interface LaneVendor {
  readonly name: string;
  readonly from: Position;
}

/** A part of a lane's events: those whose order hash leaves `residue` when divided by `modulus`. */
export interface StrandValue {
  readonly residue: number;
  /** A power of two. */
  readonly modulus: number;
  /** Its events before are settled. */
  readonly position: Position;
  /** Events from there on that were sent as one batch, or may have been; 0 for none. */
  readonly planned: number;
}

/**
 * More than may be in flight, so that one that has little to send does not leave a place empty. The
 * text has to fit the slot beside the rest.
 */
export const STRANDS_MAX = 128;
const STRAND = /^([0-7])([0-9a-z]+)(?::([0-9a-z]+))?$/;

/**
 * For each its depth in the tree of halves, its offset from the lane's `position`, and `:planned`,
 * numbers in base 36. The order says which is which: `r` of `m` is where its halves would be, first
 * `r` of `2m`, then `r + m`.
 */
export function strandsText(strands: readonly StrandValue[], from: Position): string {
  const byName = new Map(strands.map((strand) => [`${strand.residue}/${strand.modulus}`, strand]));
  const texts: string[] = [];
  const walk = (residue: number, modulus: number): void => {
    const strand = byName.get(`${residue}/${modulus}`);
    if (strand === undefined) {
      walk(residue, 2 * modulus);
      walk(residue + modulus, 2 * modulus);
      return;
    }
    const { position, planned } = strand;
    const text = `${Math.log2(modulus)}${(position - from).toString(BASE)}`;
    texts.push(planned === 0 ? text : `${text}:${planned.toString(BASE)}`);
  };
  walk(0, 1);
  return texts.join(" ");
}

/** `undefined` for what is not the whole of a lane's events, each once. */
export function parseStrands(text: string, from: Position): readonly StrandValue[] | undefined {
  const parts = text.split(" ");
  const strands: StrandValue[] = [];
  let next = 0;
  const walk = (residue: number, modulus: number): boolean => {
    const match = STRAND.exec(parts[next] ?? "");
    const depth = 2 ** Number(match?.[1]);
    if (match === null || !(depth >= modulus)) return false;
    if (depth > modulus) return walk(residue, 2 * modulus) && walk(residue + modulus, 2 * modulus);
    next += 1;
    const position = from + Number.parseInt(match[2] as string, BASE);
    const planned = match[3] === undefined ? 0 : Number.parseInt(match[3], BASE);
    strands.push({ residue, modulus, position, planned });
    return Number.isSafeInteger(position) && Number.isSafeInteger(planned);
  };
  return walk(0, 1) && next === parts.length ? strands : undefined;
}

/** Changes of vendor that a lane remembers; they have to fit the slot beside the rest. */
const VENDORS_MAX = 8;

/**
 * The vendors of a lane once it delivers to `name` from `from` on; the same list when it did
 * already.
 */
export function withVendor(vendors: readonly LaneVendor[], name: string, from: Position): readonly LaneVendor[] {
  return vendors.at(-1)?.name === name ? vendors : [...vendors, { name, from }].slice(-VENDORS_MAX);
}

function isVendors(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.length <= VENDORS_MAX &&
    value.every((one) => isObject(one) && REASON.test(String(one["name"])) && isCount(one["from"]))
  );
}

/** Events of batches that were sent, or may have been, without an outcome that is known. */
export function plannedIn({ strands, position, leased }: LaneStateValue): number {
  const values = strands === undefined ? undefined : parseStrands(strands, position);
  return values === undefined ? leased : values.reduce((sum, { planned }) => sum + planned, 0);
}

/** Whether all before its position is settled and nothing after it is. */
export function isPlain({ strands, parked, ahead }: LaneStateValue): boolean {
  return strands === undefined && parked === undefined && ahead === undefined;
}

/**
 * How many events from the state's position to `first`, where the log begins by now, were settled:
 * at most so many, where that is not certain. `lost`: how many were not, by the fates; `undefined`
 * where they do not know.
 */
export function settledBefore(
  first: Position,
  { position, ahead = 0, removing = 0 }: LaneStateValue,
  lost: number | undefined,
): { readonly settled: number; readonly isCertain: boolean } {
  const isCertain = ahead === 0 || (lost !== undefined && removing >= first);
  return { settled: isCertain && lost !== undefined ? first - position - lost : ahead, isCertain };
}

/** What {@link Fates.open} needs of a state. */
export function fatesOf(state: LaneStateValue, log: Log): Pick<FatesOptions, "tail" | "removed" | "parkedFrom"> {
  const { position, parked } = state;
  const parkedFrom = parked === undefined ? undefined : position;
  return { tail: fateTailOf(state), removed: { from: position, to: log.first }, parkedFrom };
}

/** The fates that belong to a state. */
export function fateTailOf({ fates, position }: LaneStateValue): FateTail {
  return fates ?? { from: position, runs: [], before: NO_FATES };
}

/** More reasons than there will ever be; they have to fit the slot beside the rest. */
const REASONS_MAX = 32;
const REASON = /^[a-z][a-z_]{0,39}$/;

const ID_BYTES = 8;
const ID = /^[0-9a-f]{16}$/;

/** For a lane that begins: vendors take two batches with the same key for one. */
export function newLaneId(random: Pick<Random, "fill">): string {
  const bytes = Buffer.alloc(ID_BYTES);
  random.fill(bytes);
  return bytes.toString("hex");
}

/**
 * A lane that has no state yet begins here: after what is there, or at the very start when its
 * state was lost.
 */
export function newLaneState(
  log: Pick<Log, "first" | "firstByte" | "head" | "headByte">,
  lost: boolean,
  id?: string,
): LaneStateValue {
  const position = lost ? log.first : log.head;
  const byte = lost ? log.firstByte : log.headByte;
  const fates = { from: position, runs: [], before: NO_FATES };
  const counts = { delivered: 0, rejected: 0, expired: 0, dropped: {}, leased: 0 };
  return { ...(id === undefined ? {} : { id }), base: position, position, byte, ...counts, fates };
}

/** `undefined` for anything that no lane has written, whatever its checksum says. */
export function parseLaneState(value: unknown): LaneStateValue | undefined {
  if (!isObject(value)) return undefined;
  // States of before the last field was there have none.
  const state = { leased: 0, ...value } as unknown as LaneStateValue;
  const { id, base, position, byte, delivered, rejected, expired, dropped, leased, fates, unkept, vendors } = state;
  if (id !== undefined && (typeof id !== "string" || !ID.test(id))) return undefined;
  if (![position, byte, delivered, rejected, expired, leased].every(isCount)) return undefined;
  // A log that lost its end moves the base with the position, below zero if need be.
  if (!Number.isSafeInteger(base) || base > position) return undefined;
  if (vendors !== undefined && !isVendors(vendors)) return undefined;
  if (!isAboutStrands(state)) return undefined;
  if (!isDropped(dropped) || (unkept !== undefined && !isCount(unkept))) return undefined;
  return fates === undefined || isFateTail(fates) ? state : undefined;
}

const ORDERS: ReadonlySet<unknown> = new Set(["user", "none", "arrival"]);

function isAboutStrands({
  position,
  strands,
  order,
  parked,
  ahead,
  frontier,
  readTo,
  removing,
  dead,
  marks,
}: LaneStateValue): boolean {
  const counts = [ahead, frontier, readTo, dead, marks, removing];
  return (
    counts.every((count) => count === undefined || isCount(count)) &&
    (order === undefined || ORDERS.has(order)) &&
    (strands === undefined || (typeof strands === "string" && parseStrands(strands, position) !== undefined)) &&
    (parked === undefined || (typeof parked === "string" && parseParked(parked, position) !== undefined))
  );
}

/** Runs of events, each with the code of a fate; those of a version to come are `unknown`. */
export function isFateTail(value: unknown): value is FateTail {
  if (!isObject(value)) return false;
  const { from, runs, before } = value;
  return isCount(from) && Array.isArray(runs) && runs.length % 2 === 0 && runs.every(isCount) && isFateCounts(before);
}

function isFateCounts(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { delivered, rejected, expired, dropped } = value;
  return [delivered, rejected, expired].every((count) => Number.isSafeInteger(count)) && isObject(dropped);
}

/** Events by reason, few enough to be written again. */
export function isDropped(value: unknown): value is Readonly<Record<string, number>> {
  if (!isObject(value)) return false;
  const reasons = Object.entries(value);
  return reasons.length <= REASONS_MAX && reasons.every(([reason, events]) => REASON.test(reason) && isCount(events));
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

export interface OpenLaneOptions {
  readonly disk: Disk;
  /** Of the states. */
  readonly directory: string;
  readonly name: string;
  readonly log: Log;
  readonly random: Pick<Random, "fill">;
  /** Whether the lane is known to have had a state, though there may be none now. */
  readonly hadState?: boolean;
  /**
   * Called when the lane begins at the start of the log because its state cannot be read or is
   * gone.
   */
  readonly onLost?: (message: string) => void;
}

/** Opens a lane's state. **Errors**: `WAYBILL_DISK`; never because of content. */
export function openLaneState(options: OpenLaneOptions): Promise<LaneState<LaneStateValue>> {
  const { disk, directory, name, log, random, hadState = false, onLost } = options;
  return LaneState.open<LaneStateValue>(
    disk,
    directory,
    name,
    (damaged) => {
      const lost = damaged || hadState;
      if (lost) onLost?.(lostText(name, log, damaged));
      return newLaneState(log, lost, newLaneId(random));
    },
    parseLaneState,
  );
}

function lostText(name: string, { first, head }: Log, damaged: boolean): string {
  const what = damaged ? "cannot be read" : "is gone";
  return `the state of ${name} ${what}: it begins again at position ${first} and sends ${head - first} events, those once more that it had delivered; its ledger begins anew`;
}
