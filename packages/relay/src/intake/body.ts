/**
 * Reads a request's body: whole, decoded, never larger than the limit, whatever the client claims.
 *
 * A body is counted while it arrives and while it is decoded, and charged to a {@link Share}: to
 * the source whose key the request's head has, else to the sender's address. The charge is given
 * back when the body was worked on. A body that does not come on is given up.
 */
import type { IncomingMessage } from "node:http";
import type { Clock } from "@waybill/core";
import { codingOf, type DecodeRefusal, Decoders, decodeNow, WAITING_BYTES } from "./decoders.ts";
import type { ReadGate } from "./read-gate.ts";
import { Pool, type Share } from "./shares.ts";

export type BodyRefusal = DecodeRefusal | "unsupported_encoding" | "too_slow" | "aborted";

export interface BodyLimits {
  /** After decoding. */
  readonly maxBytes: number;
  /** Of all bodies, together. */
  readonly maxTotalBytes: number;
  /** Without one bodies may take as long as they like. */
  readonly clock?: Clock;
  /** Called for each piece of a body. */
  readonly gate?: Pick<ReadGate, "tick">;
}

/** What a body costs until it was worked on. */
export interface Charge {
  /** Those who pay, from now on. */
  moveTo(share: Share): void;
  readonly share: Share;
  release(): void;
}

/**
 * Called exactly once. `true`: the charge is kept until it is released; else it is given back at
 * once.
 */
export type BodyDone = (body: Buffer | BodyRefusal, charge: Charge) => boolean | undefined | void;

/** Of all bodies in memory, for those whose key is known only when they were read. */
const KEYLESS_SHARE = 1 / 6;
/** A pool has room for some of the largest bodies. */
const LARGEST_BODIES = 4;
/** Threads of libuv's pool are four; the disk needs some of them. */
const DECODERS_KEYED = 2;
const DECODERS_KEYLESS = 1;
/** A body that is not whole must bring so much in so long. */
const PROGRESS_BYTES = 8 * 1024;
const PROGRESS_MS = 10_000;
const LOOK_EVERY_MS = 1_000;
/** Smaller pieces are copied together: each would keep all of the memory that was read with it. */
const COPY_BELOW_BYTES = 16 * 1024;
const BLOCK_MIN_BYTES = 4 * 1024;
const BLOCK_MAX_BYTES = 64 * 1024;

/** Reads bodies and knows how many bytes all of them hold at the moment. */
export class BodyReader {
  /** For requests whose key is known from their head. */
  readonly keyed: Pool;
  readonly keyless: Pool;
  readonly decoders: Decoders = new Decoders();
  readonly #limits: BodyLimits;
  readonly #unfinished = new Set<BodyRead>();
  #isLooking = false;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
    const { maxBytes, maxTotalBytes } = limits;
    const poolBytes = (share: number): number => Math.max(share * maxTotalBytes, LARGEST_BODIES * maxBytes);
    this.keyed = new Pool({ maxBytes: poolBytes(1 - KEYLESS_SHARE), decoders: DECODERS_KEYED });
    this.keyless = new Pool({ maxBytes: poolBytes(KEYLESS_SHARE), decoders: DECODERS_KEYLESS, isKeyless: true });
  }

  get heldBytes(): number {
    return this.keyed.heldBytes + this.keyless.heldBytes;
  }

  /**
   * `share`: who pays, by default strangers together. After a refusal what else comes of the
   * request is thrown away.
   */
  read(
    request: IncomingMessage,
    done: BodyDone,
    options: { readonly share?: Share; readonly maxBytes?: number } = {},
  ): void {
    const { share = this.keyless.share(""), maxBytes = this.#limits.maxBytes } = options;
    const read = new BodyRead(this, { request, done, share, maxBytes });
    const { gate } = this.#limits;
    request.on("data", (chunk: Buffer) => {
      gate?.tick();
      read.data(chunk);
    });
    request.on("end", () => read.end());
    request.on("error", () => read.finish("aborted"));
    request.on("close", () => {
      if (!request.complete) read.finish("aborted");
    });
    read.begin();
  }

  /** A body that has come in part: it must come on. */
  watch(read: BodyRead): void {
    const { clock } = this.#limits;
    if (clock === undefined) return;
    read.markedAtMs = clock.monotonic();
    this.#unfinished.add(read);
    if (this.#isLooking) return;
    this.#isLooking = true;
    clock.after(LOOK_EVERY_MS, () => this.#look(clock));
  }

  unwatch(read: BodyRead): void {
    this.#unfinished.delete(read);
  }

  #look(clock: Clock): void {
    const nowMs = clock.monotonic();
    for (const read of this.#unfinished) read.look(nowMs);
    this.#isLooking = this.#unfinished.size > 0;
    if (this.#isLooking) clock.after(LOOK_EVERY_MS, () => this.#look(clock));
  }
}

interface Order {
  readonly request: IncomingMessage;
  readonly done: BodyDone;
  readonly share: Share;
  readonly maxBytes: number;
}

class BodyRead implements Charge {
  readonly #reader: BodyReader;
  readonly #order: Order;
  /** Bytes that the head promises; -1 when it does not say. */
  readonly #promisedBytes: number;
  share: Share;
  markedAtMs = 0;
  #markedBytes = 0;
  #chunks: Buffer[] = [];
  /** The block that small pieces are copied to, and how far it is full. */
  #block: Buffer | undefined;
  #blockBytes = 0;
  #receivedBytes = 0;
  #chargedBytes = 0;
  #isWatched = false;
  /** No more is read. */
  #isEnded = false;
  #isDone = false;
  #isReleased = false;

  constructor(reader: BodyReader, order: Order) {
    this.#reader = reader;
    this.#order = order;
    this.share = order.share;
    this.share.enter();
    const length = order.request.headers["content-length"];
    this.#promisedBytes = length === undefined ? -1 : Number(length);
  }

  /** Refuses what the head alone says is too much. */
  begin(): void {
    const coding = codingOf(this.#order.request.headers["content-encoding"]);
    if (coding === "unknown") this.finish("unsupported_encoding");
    else if (this.#promisedBytes > this.#order.maxBytes) this.finish("body_too_large");
  }

  data(chunk: Buffer): void {
    if (this.#isEnded) return;
    const bytes = this.#receivedBytes + chunk.length;
    if (bytes > this.#order.maxBytes) return this.finish("body_too_large");
    const refusal = this.#charge(chunk.length);
    if (refusal !== undefined) return this.finish(refusal);
    this.#receivedBytes = bytes;
    if (bytes === this.#promisedBytes && this.#chunks.length === 0 && this.#block === undefined) {
      this.#chunks.push(chunk);
      return;
    }
    this.#gather(chunk);
    if (this.#isWatched || bytes === this.#promisedBytes) return;
    this.#isWatched = true;
    this.#markedBytes = bytes;
    this.#reader.watch(this);
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#stopWatching();
    this.#closeBlock();
    const chunks = this.#chunks;
    const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, this.#receivedBytes);
    this.#chunks = [];
    const coding = codingOf(this.#order.request.headers["content-encoding"]);
    if (coding === undefined || coding === "unknown") return this.#done(body);
    const { maxBytes } = this.#order;
    const decoded = decodeNow(coding, body, maxBytes);
    const refusal = typeof decoded === "string" ? decoded : this.#charge(decoded?.length ?? WAITING_BYTES);
    if (refusal !== undefined) return this.#done(refusal);
    const paidBytes = body.length + (decoded === undefined ? WAITING_BYTES : 0);
    const done = (result: Buffer | DecodeRefusal): void => {
      this.#chargedBytes -= paidBytes;
      this.share.giveBack(paidBytes);
      this.#done(result);
    };
    if (Buffer.isBuffer(decoded)) return done(decoded);
    this.#reader.decoders.decode({
      share: this.share,
      cost: body.length,
      coding,
      body,
      maxBytes,
      charge: (bytes) => this.#charge(bytes),
      done,
    });
  }

  /** Gives a body up that does not come on. */
  look(nowMs: number): void {
    if (nowMs - this.markedAtMs < PROGRESS_MS) return;
    if (this.#receivedBytes - this.#markedBytes < PROGRESS_BYTES) return this.finish("too_slow");
    this.markedAtMs = nowMs;
    this.#markedBytes = this.#receivedBytes;
  }

  /** Ends the reading with a refusal. */
  finish(refusal: BodyRefusal): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#stopWatching();
    this.#chunks = [];
    this.#block = undefined;
    this.#done(refusal);
  }

  moveTo(share: Share): void {
    if (share === this.share) return;
    share.enter();
    share.adopt(this.#chargedBytes);
    this.share.giveBack(this.#chargedBytes);
    this.share.leave();
    this.share = share;
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.share.giveBack(this.#chargedBytes);
    this.share.leave();
  }

  #done(result: Buffer | BodyRefusal): void {
    if (this.#isDone) return;
    this.#isDone = true;
    let isKept: boolean | undefined | void;
    try {
      isKept = this.#order.done(result, this);
    } finally {
      if (isKept !== true) this.release();
    }
  }

  #charge(bytes: number): ReturnType<Share["take"]> {
    const refusal = this.share.take(bytes);
    if (refusal === undefined) this.#chargedBytes += bytes;
    return refusal;
  }

  #stopWatching(): void {
    if (this.#isWatched) this.#reader.unwatch(this);
  }

  #gather(chunk: Buffer): void {
    if (chunk.length >= COPY_BELOW_BYTES) {
      this.#closeBlock();
      this.#chunks.push(chunk);
      return;
    }
    if (this.#block === undefined || this.#block.length - this.#blockBytes < chunk.length) {
      this.#closeBlock();
      const wanted = Math.min(BLOCK_MAX_BYTES, Math.max(BLOCK_MIN_BYTES, this.#receivedBytes));
      this.#block = Buffer.allocUnsafeSlow(Math.max(wanted, chunk.length));
    }
    this.#blockBytes += chunk.copy(this.#block, this.#blockBytes);
  }

  #closeBlock(): void {
    if (this.#block !== undefined) this.#chunks.push(this.#block.subarray(0, this.#blockBytes));
    this.#block = undefined;
    this.#blockBytes = 0;
  }
}
