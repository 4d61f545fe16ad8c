/**
 * Makes one run of bytes of everything that waits for the disk.
 *
 * Each entry is encoded on its own: one that fails, for whatever defect of ours, is refused alone
 * and leaves no byte among those of the others.
 */
import { assert, messageOf, WaybillError } from "@waybill/core";
import { encodeHead, paddingOf, type SizedEntry } from "./record.ts";
import type { Position } from "./types.ts";

/** Most bytes of one wave: bounds the time its first entry waits for the fsync. */
export const WAVE_MAX_BYTES: number = 1024 * 1024;

/**
 * Pieces that are smaller on average are copied beside their heads: one buffer to write is cheaper
 * than three.
 */
const COPY_BELOW_BYTES = 4 * 1024;
/** What the heads and small bodies of a full wave need. One larger entry gets memory of its own. */
const SCRATCH_MAX_BYTES = 1024 * 1024;
/** Most logs are small ones of a lane: memory comes with the waves that need it. */
const SCRATCH_MIN_BYTES = 16 * 1024;

/** What waits for the next wave. */
export interface Waiting {
  /** `undefined` for a barrier: it is answered with its wave and writes nothing. */
  readonly sized: SizedEntry | undefined;
  /** A barrier that tries the disk. */
  readonly isProbe?: true;
  /** Belongs to the entry before it: they are in one wave. */
  readonly joins?: boolean;
  readonly resolve: (first: Position) => void;
  readonly reject: (error: WaybillError) => void;
}

export interface EncodedWave {
  readonly buffers: readonly Uint8Array[];
  readonly bytes: number;
  /** Per entry its first position, or why it was left out. */
  readonly places: readonly (Position | WaybillError)[];
  /** After the last event. */
  readonly head: Position;
}

export class WaveEncoder {
  #scratch = Buffer.alloc(0);

  /**
   * The entries' records from position `first` on; `undefined` for one without events. The buffers
   * are valid until the next call.
   */
  encode(entries: readonly (SizedEntry | undefined)[], first: Position): EncodedWave {
    let needed = 0;
    for (const sized of entries) if (sized !== undefined) needed += scratchBytes(sized);
    const scratch = this.#scratchFor(needed);
    const buffers: Uint8Array[] = [];
    const places: (Position | WaybillError)[] = [];
    let head = first;
    let bytes = 0;
    let at = 0;
    let pieceAt = 0;
    for (const sized of entries) {
      if (sized === undefined) {
        places.push(head);
        continue;
      }
      try {
        assert(bytesOf(sized.body) === sized.bodyBytes, "a body keeps its size until it is written");
        encodeHead(sized, head, scratch, at);
        if (isCopied(sized)) copyBody(sized, scratch, at + sized.headBytes);
      } catch (error) {
        places.push(refusalOf(error));
        continue;
      }
      places.push(head);
      at += scratchBytes(sized);
      if (!isCopied(sized)) {
        buffers.push(scratch.subarray(pieceAt, at));
        for (const piece of sized.body) buffers.push(piece);
        pieceAt = at;
        if (sized.paddingBytes > 0) buffers.push(paddingOf(sized));
      }
      bytes += sized.sizeBytes;
      head += sized.entry.ends.length;
    }
    if (at > pieceAt) buffers.push(scratch.subarray(pieceAt, at));
    return { buffers, bytes, places, head };
  }

  #scratchFor(needed: number): Buffer {
    if (needed <= this.#scratch.length) return this.#scratch;
    if (needed > SCRATCH_MAX_BYTES) return Buffer.allocUnsafeSlow(needed);
    this.#scratch = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(Math.max(needed, SCRATCH_MIN_BYTES))));
    return this.#scratch;
  }
}

function bytesOf(pieces: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.length;
  return bytes;
}

function isCopied({ bodyBytes, body }: SizedEntry): boolean {
  return bodyBytes < COPY_BELOW_BYTES * body.length;
}

function scratchBytes(sized: SizedEntry): number {
  return isCopied(sized) ? sized.sizeBytes : sized.headBytes;
}

function copyBody(sized: SizedEntry, target: Buffer, at: number): void {
  let offset = at;
  for (const piece of sized.body) {
    target.set(piece, offset);
    offset += piece.length;
  }
  target.fill(0, offset, offset + sized.paddingBytes);
}

function refusalOf(error: unknown): WaybillError {
  return new WaybillError("WAYBILL_EVENT", `A record cannot be stored: ${messageOf(error)}`, {
    reason: "invalid",
    cause: error,
  });
}
