import type { Readable } from "node:stream";
import {
  type Attempt,
  createSender,
  createUuidV7,
  fullJitter,
  type Outcome,
  type SendContext,
  type Sender,
  TextBatch,
  type Transport,
  VERSION,
  WaybillError,
} from "@waybill/core";
import { createNodeTransport, createOutboundTransport, nodeRuntime } from "@waybill/node";
import { segmentProtocol } from "@waybill/vendors";
import { counted } from "./counted.ts";
import { linesOf } from "./lines.ts";

export interface SendProgress {
  /** Of the input. */
  readonly bytes: number;
  /** Answered. */
  readonly events: number;
}

export interface SendLinesOptions {
  readonly url: string;
  readonly writeKey: string;
  readonly batch: number;
  readonly concurrency: number;
  readonly attempts: number;
  readonly skipBad: boolean;
  /** Certificates that are trusted beside Node's. */
  readonly ca?: readonly string[];
  readonly onProgress: (progress: SendProgress) => void;
  /** A line that is not an event, or why events were refused. */
  readonly onProblem: (message: string) => void;
}

export interface SendResult {
  readonly accepted: number;
  /** Refused for good. */
  readonly rejected: number;
  /** Not taken within the attempts; sending them again is safe. */
  readonly failed: number;
  /** Lines that are not events. */
  readonly bad: number;
  /** Why the rest of the input was not read. */
  readonly stopped?: WaybillError;
}

const TIMEOUT_MS = 30_000;
const BACKOFF_BASE_MS = 200;
const BACKOFF_MAX_MS = 10_000;
/** Most bytes of events in one request: what Segment takes. */
const BATCH_MAX_BYTES = 498_000;
const PROBLEMS_SHOWN = 20;

/** The process is held by the command as long as it runs. */
function transportOf({ ca }: SendLinesOptions): Transport {
  return ca === undefined ? createNodeTransport({ keepProcessAlive: true }) : createOutboundTransport({ ca });
}

interface Line {
  readonly text: string;
  readonly bytes: number;
}

/**
 * Sends each line of `input` as an event. A line that is not an event ends it, unless such lines
 * are skipped; so does whatever would refuse the other lines too: nobody there, a wrong key.
 */
export async function sendLines(input: Readable, options: SendLinesOptions): Promise<SendResult> {
  const runtime = nodeRuntime({ transport: transportOf(options) });
  const sender = createSender({
    protocol: segmentProtocol({
      url: options.url,
      writeKey: options.writeKey,
      library: { name: "waybill-cli", version: VERSION },
    }),
    runtime,
    timeoutMs: TIMEOUT_MS,
    backoff: fullJitter(BACKOFF_BASE_MS, BACKOFF_MAX_MS),
    maxAttempts: options.attempts,
  });
  const sending = new Sending(sender, options);
  const makeId = createUuidV7(runtime.clock, runtime.random);
  let number = 0;
  for await (const raw of linesOf(input)) {
    number += 1;
    sending.bytesRead += Buffer.byteLength(raw) + 1;
    if (raw.trim() === "") continue;
    const line = eventOf(raw, makeId);
    if ("text" in line) await sending.add(line);
    else if (options.skipBad) sending.noteBad(`Line ${number} ${line.problem}`);
    else sending.endWith(wrongLine(`Line ${number} ${line.problem}`));
    if (sending.isOver) break;
  }
  return sending.finish();
}

function wrongLine(message: string): WaybillError {
  return new WaybillError("WAYBILL_INPUT", message, {
    hint: "Correct the line, or go on without such lines with --skip-bad.",
  });
}

class Sending {
  readonly #sender: Sender;
  readonly #options: SendLinesOptions;
  readonly #context: SendContext;
  readonly #soon = new AbortController();
  readonly #inFlight = new Set<Promise<void>>();
  readonly #shown = new Set<string>();
  #lines: Line[] = [];
  #bytes = 0;
  #batches = 0;
  #wasAnswered = false;
  #lastWasAnswered = false;
  #stopped: WaybillError | undefined;
  #accepted = 0;
  #rejected = 0;
  #failed = 0;
  #bad = 0;
  bytesRead = 0;

  constructor(sender: Sender, options: SendLinesOptions) {
    this.#sender = sender;
    this.#options = options;
    this.#context = {
      soon: this.#soon.signal,
      now: new AbortController().signal,
      watch: {
        attempted: (attempt) => this.#attempted(attempt),
        waiting: (_, reason) => this.#showOnce(`${reason}; trying again`),
        resumed: () => undefined,
      },
    };
  }

  get isOver(): boolean {
    return this.#stopped !== undefined;
  }

  /** Resolves when there is room for more: memory holds `concurrency` batches. */
  async add(line: Line): Promise<void> {
    if (this.#bytes + line.bytes + 1 > BATCH_MAX_BYTES) await this.#send();
    this.#lines.push(line);
    this.#bytes += line.bytes + 1;
    if (this.#lines.length >= this.#options.batch) await this.#send();
  }

  noteBad(message: string): void {
    this.#bad += 1;
    this.#showOnce(message);
  }

  /** What was read before is still sent. */
  endWith(error: WaybillError): void {
    this.#stopped ??= error;
  }

  async finish(): Promise<SendResult> {
    await this.#send();
    await Promise.all(this.#inFlight);
    const stopped = this.#stopped === undefined ? {} : { stopped: this.#stopped };
    return { accepted: this.#accepted, rejected: this.#rejected, failed: this.#failed, bad: this.#bad, ...stopped };
  }

  async #send(): Promise<void> {
    if (this.#lines.length === 0) return;
    const batch = new TextBatch({
      key: `send-${this.#batches++}`,
      metadata: "",
      oldestAtMs: 0,
      texts: this.#lines.map(({ text }) => text),
      sizes: this.#lines.map(({ bytes }) => bytes),
    });
    this.#lines = [];
    this.#bytes = 0;
    while (this.#inFlight.size >= this.#options.concurrency) await Promise.race(this.#inFlight);
    if (this.#soon.signal.aborted) {
      this.#failed += batch.count;
      return;
    }
    const sent: Promise<void> = this.#sender.send(batch, this.#context).then((outcomes) => {
      this.#inFlight.delete(sent);
      this.#count(outcomes);
    });
    this.#inFlight.add(sent);
  }

  #attempted({ status, reason = "" }: Attempt): void {
    this.#lastWasAnswered = status !== undefined;
    this.#wasAnswered ||= this.#lastWasAnswered;
    if (!this.#wasAnswered && !MAY_PASS.test(reason)) this.#stop(nobodyThere(reason, this.#options.url));
  }

  #count(outcomes: readonly Outcome[]): void {
    const problems = new Map<string, number>();
    for (const outcome of outcomes) {
      if (outcome.status === "delivered") {
        this.#accepted += 1;
        continue;
      }
      // Attempts that are used up end as rejected; the vendor said nothing final about those.
      const gaveUp = outcome.status === "rejected" && outcome.reason.startsWith("gave up");
      if (outcome.status === "rejected" && !gaveUp) this.#rejected += 1;
      else this.#failed += 1;
      if (gaveUp && !this.#lastWasAnswered) this.#stop(goneAway(outcome.reason));
      else if (outcome.status === "halted") this.#stop(wrongKey(outcome.reason));
      else if (outcome.status === "rejected") problems.set(outcome.reason, (problems.get(outcome.reason) ?? 0) + 1);
    }
    for (const [reason, count] of problems) this.#showOnce(`rejected: ${reason}`, ` (${counted(count, "event")})`);
    this.#options.onProgress({ bytes: this.bytesRead, events: this.#accepted + this.#rejected + this.#failed });
  }

  /** Ends it at once: what waits for another attempt does not get one. */
  #stop(error: WaybillError): void {
    this.endWith(error);
    this.#soon.abort();
  }

  /** The same message again is only counted, and so are more than any person reads. */
  #showOnce(message: string, more = ""): void {
    if (this.isOver || this.#shown.has(message) || this.#shown.size >= PROBLEMS_SHOWN) return;
    this.#shown.add(message);
    this.#options.onProblem(`${message}${more}`);
    if (this.#shown.size === PROBLEMS_SHOWN) this.#options.onProblem("Further problems are only counted.");
  }
}

/** What passes by itself: the other reasons for no answer at all are those of a wrong address. */
const MAY_PASS = /: (?:reset|timeout|aborted|interrupted)$/;

function nobodyThere(reason: string, url: string): WaybillError {
  const message = reason.endsWith(": refused")
    ? `Nobody listens at ${url}`
    : /EPROTO|ERR_SSL/.test(reason)
      ? `${url} does not speak TLS: write it with http://`
      : reason;
  return new WaybillError("WAYBILL_TRANSPORT", message, {
    hint: "Start a relay with waybill dev, or give the URL where it takes events with --url.",
  });
}

function goneAway(reason: string): WaybillError {
  return new WaybillError("WAYBILL_TRANSPORT", reason, {
    hint: "Run it again when there is an answer; what has a messageId is not stored twice.",
  });
}

function wrongKey(reason: string): WaybillError {
  return new WaybillError("WAYBILL_INPUT", reason, {
    hint: "Give a write key of one of the relay's sources with --write-key; --url is where it takes events, not its admin API.",
  });
}

/**
 * A line as an event; one without an id gets one, so that a repeated attempt stores nothing twice.
 */
function eventOf(raw: string, makeId: () => string): Line | { readonly problem: string } {
  let value: unknown;
  try {
    value = JSON.parse(raw);
  } catch (error) {
    return { problem: `is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { problem: "is not a JSON object" };
  const { messageId, type } = value as Record<string, unknown>;
  if (typeof type !== "string") return { problem: 'is an event without "type"' };
  const text = raw.trim();
  const named = messageId === undefined ? `{"messageId":"${makeId()}",${text.slice(1)}` : text;
  return { text: named, bytes: Buffer.byteLength(named) };
}
