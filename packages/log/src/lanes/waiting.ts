/** Which events have to wait for others than those in front of them in their strand. */
import type { BatchLimits } from "@waybill/core";
import { fitting, type Piece } from "../batch.ts";
import type { Log, LogRecord, Position } from "../types.ts";
import type { OrderReader } from "./event-order.ts";
import type { Parked, ParkedUser } from "./parked.ts";
import { pieceAt } from "./piece-at.ts";
import type { Strand, Strands } from "./strands.ts";

/**
 * Where more than one event in so many waits for one that is read with it, strands would wait for
 * each other longer than one strand takes.
 */
const WAITS_EVERY_MIN = 50;

export interface WaitingOptions {
  readonly log: Log;
  readonly order: OrderReader;
  readonly strands: Strands;
  readonly parked: Parked;
}

export class Waiting {
  readonly #of: WaitingOptions;

  constructor(options: WaitingOptions) {
    this.#of = options;
  }

  /** Whether an event has to wait for others than those of its strand, or its user is parked. */
  isBlocked(strand: Strand, record: LogRecord, at: number): boolean {
    const tie = this.#of.order.tieAt(record, at);
    if (tie !== 0 && this.#waitsFor(tie, record.first + at, strand)) return true;
    return this.#of.parked.size > 0 && this.#of.parked.has(this.#of.order.hashAt(record, at));
  }

  /** Whether the id that an event ties to its user has earlier events that are not settled. */
  #waitsFor(tie: number, position: Position, own: Strand | ParkedUser): boolean {
    const strand = this.#of.strands.strandOf(tie);
    if (strand !== own && this.hasBefore(position, this.#of.strands.unsettled(strand), tie)) return true;
    const user = this.#of.parked.userOf(tie);
    return user !== undefined && user !== own && this.#of.parked.hasBefore(position, user);
  }

  /** Whether there is an event of this order hash before `position`. */
  hasBefore(position: Position, pieces: Iterable<Piece>, hash: number): boolean {
    for (const { record, start, end } of pieces) {
      if (record.first + start >= position) return false;
      for (let at = start; at < end && record.first + at < position; at++)
        if (this.#of.order.hashAt(record, at) === hash) return true;
    }
    return false;
  }

  /**
   * The order hash of each event of a batch: one for all whose order a tie in the batch makes one,
   * so that no part of it goes before another that it has to follow.
   */
  hashesOf(pieces: readonly Piece[]): (record: LogRecord, at: number) => number {
    const { order } = this.#of;
    let joined: ReadonlyMap<number, number> | undefined;
    return (record, at) => {
      joined ??= this.#joinedBy(pieces);
      return rootOf(order.hashAt(record, at), joined);
    };
  }

  #joinedBy(pieces: readonly Piece[]): ReadonlyMap<number, number> {
    const { order } = this.#of;
    const joined = new Map<number, number>();
    if (!pieces.some(({ record }) => order.hasTies(record))) return joined;
    const seen = new Set<number>();
    for (const { record, start, end } of pieces)
      for (let at = start; at < end; at++) {
        const hash = order.hashAt(record, at);
        const tie = order.tieAt(record, at);
        seen.add(hash);
        if (tie === 0 || !seen.has(tie)) continue;
        const [one, other] = [rootOf(hash, joined), rootOf(tie, joined)];
        if (one !== other) joined.set(one, other);
      }
    return joined;
  }

  /** Whether many events of a strand wait for others of it. */
  areMany({ queue }: Strand): boolean {
    const seen = new Set<number>();
    let waits = 0;
    let events = 0;
    for (const { record, start, end } of queue)
      for (let at = start; at < end; at++) {
        const tie = this.#of.order.tieAt(record, at);
        if (tie !== 0 && seen.has(tie)) waits += 1;
        seen.add(this.#of.order.hashAt(record, at));
        events += 1;
      }
    return waits * WAITS_EVERY_MIN > events;
  }

  /** A parked user who is to be tried now: not while its first event waits for others. */
  due(now: number): ParkedUser | undefined {
    return this.#of.parked.due(now, (user) => {
      const [held] = user.events;
      return user.tie === 0 || held === undefined || !this.#waitsFor(user.tie, held.position, user);
    });
  }

  /**
   * The first events of a parked user, read again: none when the first one cannot be read,
   * `undefined` when it has to wait for another user.
   */
  async piecesOf(user: ParkedUser, limits: BatchLimits): Promise<readonly Piece[] | undefined> {
    const pieces: Piece[] = [];
    for (const { position, byte } of user.events.slice(0, limits.maxEvents)) {
      const piece = await pieceAt(this.#of.log, { position, byte });
      if (piece === undefined) break;
      const tie = this.#of.order.tieAt(piece.record, piece.start);
      if (tie !== 0 && this.#waitsFor(tie, position, user)) {
        if (pieces.length > 0) return pieces;
        user.tie = tie;
        return undefined;
      }
      pieces.push(piece);
      if (fitting(pieces, limits, { gaps: "are chosen" }) < pieces.length) return pieces.slice(0, -1);
    }
    return pieces;
  }
}

function rootOf(hash: number, joined: ReadonlyMap<number, number>): number {
  let root = hash;
  for (let next = joined.get(root); next !== undefined; next = joined.get(root)) root = next;
  return root;
}
