/**
 * Answers without an end: tails and exports, and live views. They are few, each holds one chunk in
 * memory, and each ends when its reader goes away, takes nothing for too long, or the relay stops.
 */
import type { ServerResponse } from "node:http";
import type { Clock } from "@waybill/core";
import { problem } from "../intake/answers.ts";
import { Refusal } from "./refusal.ts";

/** Those of one kind: how many there may be, and what they are called. */
export interface StreamLimit {
  readonly max: number;
  readonly what: string;
}

/** Each holds at most one record of the log, 10 MiB at the default limits. */
const TAILS_AND_EXPORTS: StreamLimit = { max: 8, what: "tails and exports" };
/** They share what they send: each holds at most one message that its reader has not taken. */
export const LIVE_VIEWS: StreamLimit = { max: 64, what: "live views" };
/** A reader that takes nothing for so long is gone, or does harm. */
const STALLED_MS = 60_000;

/** Each reads as fast as the disk gives, and is looked through in turns of its own. */
export const SCANS: StreamLimit = { max: 4, what: "searches" };

/** Each may have 2 MiB of body, and a thread with 128 MiB. */
export const CHECKS: StreamLimit = { max: 2, what: "checks of configurations" };

/** Each holds a connection: of those that the server takes, others are left for people. */
export const EXCHANGES: StreamLimit = { max: 128, what: "requests of relays that wait for a vendor" };

/** Requests of a kind that go on at the same time. */
export class Slots {
  readonly #limit: StreamLimit;
  #taken = 0;

  constructor(limit: StreamLimit) {
    this.#limit = limit;
  }

  /** Throws a refusal when there are too many already. */
  async use<T>(run: () => Promise<T>): Promise<T> {
    if (this.#taken >= this.#limit.max) throw tooMany(this.#limit);
    this.#taken += 1;
    try {
      return await run();
    } finally {
      this.#taken -= 1;
    }
  }
}

/**
 * Reads and looks through a megabyte at a time; the others wait, as many as there are connections.
 */
const READS_MAX = 4;

/** Requests that wait for each other. */
export class Line {
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  async use<T>(run: () => Promise<T>): Promise<T> {
    if (this.#taken >= READS_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#taken += 1;
    try {
      return await run();
    } finally {
      // Who waited takes the place over.
      const next = this.#waiting.shift();
      if (next === undefined) this.#taken -= 1;
      else next();
    }
  }
}

function tooMany({ max, what }: StreamLimit): Refusal {
  const message = `There are ${max} ${what} already; end one.`;
  return new Refusal(problem(503, "too_many_streams", message, { "retry-after": "5" }));
}

export interface Stream {
  /** Aborts when the reader is gone. */
  readonly signal: AbortSignal;
  /** Resolves when the reader has room for more; false when it is gone. */
  write(text: string | Buffer): Promise<boolean>;
  end(): void;
}

export class Streams {
  readonly #clock: Clock;
  readonly #open = new Set<ServerResponse>();
  readonly #stopping: AbortSignal;
  readonly #limit: StreamLimit;

  constructor(clock: Clock, stopping: AbortSignal, limit: StreamLimit = TAILS_AND_EXPORTS) {
    this.#clock = clock;
    this.#limit = limit;
    this.#stopping = stopping;
    stopping.addEventListener("abort", () => this.#close(), { once: true });
  }

  /** Begins an answer. Throws a refusal when there are too many already. */
  open(response: ServerResponse, headers: Readonly<Record<string, string>>): Stream {
    const stream = this.claim(response);
    response.writeHead(200, headers);
    return stream;
  }

  /** As {@link open}, for one whose head is not known yet. */
  claim(response: ServerResponse): Stream {
    if (this.#stopping.aborted || this.#open.size >= this.#limit.max) throw tooMany(this.#limit);
    const controller = new AbortController();
    this.#open.add(response);
    response.once("close", () => {
      this.#open.delete(response);
      controller.abort();
    });
    response.on("error", () => response.destroy());
    return {
      signal: controller.signal,
      write: (text) => this.#write(response, text),
      end: () => void response.end(),
    };
  }

  /** Ends them all: a reader that keeps up sees a proper end, one that does not is cut off. */
  #close(): void {
    for (const response of this.#open) {
      if (response.writableNeedDrain || !response.headersSent) response.destroy();
      else response.end();
    }
  }

  #write(response: ServerResponse, text: string | Buffer): Promise<boolean> {
    return written(this.#clock, response, text);
  }
}

/**
 * Resolves when there is room for more; false when the reader is gone, or has taken nothing for a
 * minute.
 */
export async function written(clock: Clock, response: ServerResponse, text: string | Buffer): Promise<boolean> {
  if (response.destroyed || response.writableEnded) return false;
  if (response.write(text)) return true;
  const stalled = clock.after(STALLED_MS, () => response.destroy());
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
  stalled.cancel();
  return !response.destroyed && !response.writableEnded;
}

export const HEARTBEAT_MS = 15_000;

/** A JSON value on each line. */
export const LINES_HEADERS: Readonly<Record<string, string>> = { "content-type": "application/x-ndjson" };

/** Server-sent events. */
export const SSE_HEADERS: Readonly<Record<string, string>> = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  connection: "keep-alive",
};

/** A comment that says that from here on nothing is missed. */
export const LISTENING = ": listening\n\n";

/** Says in a stream of server-sent events that something is not shown from here on, and why. */
export function interruptedText(reason: string): string {
  return `event: interrupted\ndata: ${JSON.stringify({ reason })}\n\n`;
}

/** So often a stream looks whether what it shows is still here. */
export const LOOK_MS = 1_000;

/**
 * Ends a stream of server-sent events once there is a reason to, which is its last message. Returns
 * what stops the looking.
 */
export function endOnce(clock: Clock, stream: Stream, reasonOf: () => string | undefined): () => void {
  let timer = clock.after(LOOK_MS, look);
  function look(): void {
    const reason = reasonOf();
    if (reason === undefined) timer = clock.after(LOOK_MS, look);
    else void stream.write(interruptedText(reason)).then(() => stream.end());
  }
  return () => timer.cancel();
}

/**
 * Keeps proxies on the way from closing a quiet stream, and notices a reader that is gone, or may
 * not look any more: signed out, or with a token that was changed. Returns what ends it.
 */
export function heartbeat(clock: Clock, stream: Stream, isAllowed: () => boolean): () => void {
  let timer = clock.after(HEARTBEAT_MS, next);
  let isOver = false;
  function next(): void {
    if (!isAllowed()) return stream.end();
    void stream.write(": still here\n\n").then((goesOn) => {
      if (goesOn && !isOver) timer = clock.after(HEARTBEAT_MS, next);
    });
  }
  return () => {
    isOver = true;
    timer.cancel();
  };
}
