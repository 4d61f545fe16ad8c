/**
 * Decompresses bodies that have come whole: few at a time, so that they neither take the memory of
 * many windows (16 MiB each for brotli) nor all threads that the disk needs too; shares in turn.
 * What comes out is charged piece by piece, so that a bomb is stopped at the limit and not after
 * it.
 */
import type { Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate, gunzipSync, inflateSync } from "node:zlib";
import { FairQueue, type Waiting } from "./fair-queue.ts";
import type { Pool, ShareRefusal } from "./shares.ts";

interface Coding {
  readonly create: (options: { readonly chunkSize: number }) => Transform;
  /** Where a small body is cheap to decode at once. */
  readonly sync?: (bytes: Buffer, options: { readonly maxOutputLength: number }) => Buffer;
}

const GZIP: Coding = { create: createGunzip, sync: gunzipSync };
const CODINGS: ReadonlyMap<string, Coding> = new Map<string, Coding>([
  ["gzip", GZIP],
  ["x-gzip", GZIP],
  ["deflate", { create: createInflate, sync: inflateSync }],
  // Never at once: 49 bytes may fill a window of 16 MiB before anything comes out.
  ["br", { create: createBrotliDecompress }],
]);
const CHUNK_BYTES = 64 * 1024;
/** A body of so many bytes, decoded to so many, costs less than to hand it to another thread. */
const SYNC_INPUT_MAX_BYTES = 4 * 1024;
const SYNC_OUTPUT_MAX_BYTES = 64 * 1024;
/** What a body that waits costs beside its bytes. */
export const WAITING_BYTES: number = 32 * 1024;

/** `undefined` for bodies as they are, `"unknown"` for a coding that we do not know, or several. */
export function codingOf(header: string | undefined): Coding | "unknown" | undefined {
  if (header === undefined) return undefined;
  const name = header.trim().toLowerCase();
  return name === "" || name === "identity" ? undefined : (CODINGS.get(name) ?? "unknown");
}

export type DecodeRefusal = "body_too_large" | "damaged_encoding" | ShareRefusal;

/** A body to decode. */
export interface Encoded extends Waiting {
  readonly coding: Coding;
  readonly body: Buffer;
  readonly maxBytes: number;
  /** Charges what came out, or says why not. */
  readonly charge: (bytes: number) => ShareRefusal | undefined;
  readonly done: (result: Buffer | DecodeRefusal) => void;
}

/** A small body decoded at once; `undefined` when it is not that small. */
export function decodeNow({ sync }: Coding, body: Buffer, maxBytes: number): Buffer | DecodeRefusal | undefined {
  if (sync === undefined || body.length > SYNC_INPUT_MAX_BYTES) return undefined;
  try {
    return sync(body, { maxOutputLength: Math.min(maxBytes, SYNC_OUTPUT_MAX_BYTES) });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_BUFFER_TOO_LARGE") return "damaged_encoding";
    return maxBytes <= SYNC_OUTPUT_MAX_BYTES ? "body_too_large" : undefined;
  }
}

export class Decoders {
  readonly #queues = new Map<Pool, FairQueue<Encoded>>();
  readonly #running = new Map<Pool, number>();

  /** Bodies that wait for a decoder. */
  get waiting(): number {
    let waiting = 0;
    for (const queue of this.#queues.values()) waiting += queue.size;
    return waiting;
  }

  /** `done` is called once, later. */
  decode(encoded: Encoded): void {
    const { pool } = encoded.share;
    let queue = this.#queues.get(pool);
    if (queue === undefined) {
      queue = new FairQueue();
      this.#queues.set(pool, queue);
    }
    queue.push(encoded);
    this.#startNext(pool);
  }

  #startNext(pool: Pool): void {
    const running = this.#running.get(pool) ?? 0;
    if (running >= pool.decoders) return;
    const encoded = this.#queues.get(pool)?.next();
    if (encoded === undefined) return;
    this.#running.set(pool, running + 1);
    run(encoded, () => {
      this.#running.set(pool, (this.#running.get(pool) ?? 1) - 1);
      this.#startNext(pool);
    });
  }
}

function run({ coding, body, maxBytes, charge, done }: Encoded, closed: () => void): void {
  const stream = coding.create({ chunkSize: CHUNK_BYTES });
  const chunks: Buffer[] = [];
  let bytes = 0;
  let isDone = false;
  const finish = (result: Buffer | DecodeRefusal): void => {
    if (isDone) return;
    isDone = true;
    chunks.length = 0;
    stream.destroy();
    done(result);
  };
  stream.on("data", (chunk: Buffer) => {
    if (isDone) return;
    bytes += chunk.length;
    if (bytes > maxBytes) return finish("body_too_large");
    const refusal = charge(chunk.length);
    if (refusal !== undefined) return finish(refusal);
    chunks.push(chunk);
  });
  stream.on("end", () => finish(Buffer.concat(chunks, bytes)));
  stream.on("error", () => finish("damaged_encoding"));
  stream.on("close", closed);
  stream.end(body);
}
