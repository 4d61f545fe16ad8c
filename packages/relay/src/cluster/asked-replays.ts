/**
 * Replays over a cluster, as the compacted topic `<prefix>.desired` has them. By key:
 *
 * - `replay/<environment>/<id>`: what was asked for, written once; nothing: it is forgotten
 * - `replay/<environment>/<id>/cancel`: it is to end where it is
 * - `replay/<environment>/<id>/<partition>`: how it ended in a partition. Written by the relay that
 *   had the lane, after a commit that shows so, and never changed
 *
 * Positions are those of the partitions, the same for every relay.
 */
import type { AccountState } from "@waybill/core";
import type { Position } from "@waybill/log";
import { z } from "zod";
import { deadLetterState } from "../admin/schemas/overview.ts";
import type { LogChoice } from "../delivery/chosen-events.ts";
import type { DeadLetterChoice } from "../delivery/dead-letter-choice.ts";
import type { LaneEntry } from "./relay-directory.ts";

/**
 * Events of a partition, or dead letters, from one position to before another; `total` of them are
 * chosen.
 */
export interface ReplayPart {
  readonly partition: number;
  readonly from: Position;
  readonly to: Position;
  readonly total: number;
}

export type ReplayFilter = Omit<LogChoice, "from" | "to">;
/** The same for all partitions. */
export type AskedChoice = { readonly log: ReplayFilter } | { readonly deadLetters: DeadLetterChoice };

export interface ReplayRequestRecord {
  readonly destination: string;
  readonly choice: AskedChoice;
  readonly createdAtMs: number;
  /** Over all partitions. */
  readonly eventsPerSecond?: number | undefined;
  /** Those with chosen events. */
  readonly parts: readonly ReplayPart[];
}

/** A replay's own ledger in a partition; what none of the numbers has is pending. */
export interface PartLedger {
  readonly total: number;
  readonly delivered: number;
  readonly rejected: number;
  readonly expired: number;
  readonly dropped: AccountState["dropped"];
}

export interface AskedReplay extends ReplayRequestRecord {
  readonly environment: string;
  readonly id: string;
  readonly isCancelled: boolean;
  /** By partition, where it is over. */
  readonly ended: ReadonlyMap<number, PartLedger>;
}

/** What operators asked for, as lanes and the admin API have to know it. */
export interface ReplayRecords {
  /** Those of an environment, in the order in which they were asked for. */
  replaysOf(environment: string): readonly AskedReplay[];
  /** Keys below those that were forgotten. */
  forgottenKeys(environment: string): readonly string[];
  /** Whether nobody asks for it, as far as this relay can read and keep what is asked. */
  isForgotten(name: ReplayName): boolean;
  /**
   * Resolves once all in-sync replicas have it. **Errors**: `WAYBILL_LOG_UNAVAILABLE`: it may be
   * written all the same; `WAYBILL_CLOSED`.
   */
  writeReplay(key: string, value: string): Promise<void>;
  /** Resolves once everything is read that was written before the call. **Errors**: the same. */
  caughtUp(): Promise<void>;
  /** A lane as the relay that has it reports it; `undefined`: none does. */
  reportedLane(
    lane: Pick<LaneEntry, "environment" | "destination" | "partition">,
  ): Pick<LaneEntry, "mode" | "reason"> | undefined;
}

/** Nobody can ask for any. */
export const NO_RECORDS: ReplayRecords = {
  replaysOf: () => [],
  forgottenKeys: () => [],
  isForgotten: () => true,
  writeReplay: () => Promise.resolve(),
  caughtUp: () => Promise.resolve(),
  reportedLane: () => undefined,
};

const number = z.number().nonnegative();
const count = number.int();
const text = z.string().exactOptional();
const times = { sinceMs: number.exactOptional(), untilMs: number.exactOptional() };
/** What this version does not know may choose less than what it knows: then nothing is run. */
const filter = z.strictObject({ ...times, source: text, type: text, event: text, userId: text });
const deadLetterFilter = z.strictObject({
  ...times,
  source: text,
  reason: text,
  name: text,
  user: text,
  state: deadLetterState.exactOptional(),
  deadLetterIds: z.array(count).exactOptional(),
});
const request = z.object({
  destination: z.string(),
  choice: z.union([z.strictObject({ log: filter }), z.strictObject({ deadLetters: deadLetterFilter })]),
  createdAtMs: count,
  eventsPerSecond: z.number().positive().exactOptional(),
  parts: z.array(z.tuple([count, count, count, count])),
});
const ledger = z.object({
  total: count,
  delivered: count,
  rejected: count,
  expired: count,
  dropped: z.record(z.string(), count),
});

const KEY = /^replay\/([^/]+)\/([0-9a-f-]{36})(?:\/(cancel|\d{1,5}))?$/;

export interface ReplayName {
  readonly environment: string;
  readonly id: string;
}

export function replayKey({ environment, id }: ReplayName): string {
  return `replay/${environment}/${id}`;
}

export function cancelKey(name: ReplayName): string {
  return `${replayKey(name)}/cancel`;
}

export function partKey(name: ReplayName, partition: number): string {
  return `${replayKey(name)}/${partition}`;
}

export function requestText({ parts, ...rest }: ReplayRequestRecord): string {
  return JSON.stringify({
    ...rest,
    parts: parts.map(({ partition, from, to, total }) => [partition, from, to, total]),
  });
}

interface Known {
  /** There is a request, which a relay of another version may not be able to read. */
  isAsked: boolean;
  request: ReplayRequestRecord | undefined;
  isCancelled: boolean;
  readonly ended: Map<number, PartLedger>;
}

export class AskedReplays {
  /** By key of the request. A part may be read before what it is a part of. */
  readonly #known = new Map<string, ReplayName & Known>();
  /** By environment, until something changes: each lane asks for them. */
  readonly #sorted = new Map<string, readonly AskedReplay[]>();

  /** Takes a record over. `undefined`: it says nothing. */
  note(key: string, value: string): ReplayName | undefined {
    const [, environment, id, what] = KEY.exec(key) ?? [];
    if (environment === undefined || id === undefined) return undefined;
    const name = { environment, id };
    this.#sorted.delete(environment);
    const known = this.#known.get(replayKey(name)) ?? newlyKnown(name);
    this.#take(known, what, value);
    const { isAsked, isCancelled, ended } = known;
    if (!isAsked && !isCancelled && ended.size === 0) this.#known.delete(replayKey(name));
    else this.#known.set(replayKey(name), known);
    return name;
  }

  #take(known: Known, what: string | undefined, value: string): void {
    if (what === undefined) {
      known.isAsked = value !== "";
      known.request = known.isAsked ? (parsedRequest(value) ?? known.request) : undefined;
    } else if (what === "cancel") known.isCancelled = value !== "";
    else {
      const ended = parsed(value, ledger);
      if (value === "") known.ended.delete(Number(what));
      else if (ended !== undefined) known.ended.set(Number(what), ended);
    }
  }

  isForgotten(name: ReplayName): boolean {
    return this.#known.get(replayKey(name))?.isAsked !== true;
  }

  forgottenKeys(environment: string): readonly string[] {
    return [...this.#known.values()]
      .filter((known) => known.environment === environment && !known.isAsked)
      .flatMap((known) => [
        ...[...known.ended.keys()].map((partition) => partKey(known, partition)),
        ...(known.isCancelled ? [cancelKey(known)] : []),
      ]);
  }

  of(environment: string): readonly AskedReplay[] {
    const sorted = this.#sorted.get(environment) ?? this.#sortedOf(environment);
    this.#sorted.set(environment, sorted);
    return sorted;
  }

  #sortedOf(environment: string): readonly AskedReplay[] {
    return [...this.#known.values()]
      .flatMap(({ request: asked, ...known }) =>
        asked === undefined || known.environment !== environment ? [] : [{ ...asked, ...known }],
      )
      .toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }
}

function newlyKnown(name: ReplayName): ReplayName & Known {
  return { ...name, isAsked: false, request: undefined, isCancelled: false, ended: new Map() };
}

function parsedRequest(value: string): ReplayRequestRecord | undefined {
  const found = parsed(value, request);
  if (found === undefined) return undefined;
  const parts = found.parts.map(([partition, from, to, total]) => ({ partition, from, to, total }));
  return { ...found, parts };
}

function parsed<T>(value: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.parse(JSON.parse(value));
  } catch {
    return undefined;
  }
}

/** Whether nothing more will be sent. */
export function isReplayOver({ isCancelled, parts, ended }: AskedReplay): boolean {
  return isCancelled || parts.every(({ partition }) => ended.has(partition));
}
