import type { Readable } from "node:stream";
import {
  createSender,
  createUuidV7,
  fullJitter,
  type Outcome,
  type SendContext,
  type Sender,
  TextBatch,
  WaybillError,
} from "@waybill/core";
import { createNodeTransport, nodeRuntime } from "@waybill/node";
import { segmentProtocol } from "@waybill/vendors";
import { linesOf } from "./lines.ts";
import { VERSION } from "./version.ts";

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
  readonly onProgress: (progress: SendProgress) => void;
  /** A line that is not an event, or a batch that was refused. */
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
}

const TIMEOUT_MS = 30_000;
const BACKOFF_BASE_MS = 200;
const BACKOFF_MAX_MS = 10_000;
/** Most bytes of events in one request: what Segment takes. */
const BATCH_MAX_BYTES = 498_000;
const PROBLEMS_SHOWN = 20;

interface Line {
  readonly text: string;
  readonly bytes: number;
}

/**
 * Sends each line of `input` as an event. **Errors**: `WAYBILL_INPUT` for a line that is not an
 * event, unless they are skipped; then nothing more is read.
 */
export async function sendLines(input: Readable, options: SendLinesOptions): Promise<SendResult> {
  const runtime = nodeRuntime({ transport: createNodeTransport({ keepProcessAlive: true }) });
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
  let failure: WaybillError | undefined;
  for await (const raw of linesOf(input)) {
    number += 1;
    sending.bytesRead += Buffer.byteLength(raw) + 1;
    if (raw.trim() === "") continue;
    const line = eventOf(raw, makeId);
    if ("problem" in line) {
      const message = `Line ${number} ${line.problem}`;
      if (!options.skipBad) {
        failure = new WaybillError("WAYBILL_INPUT", message, {
          hint: "Correct the line, or go on without such lines with --skip-bad.",
        });
        break;
      }
      sending.noteBad(message);
    } else await sending.add(line);
  }
  const result = await sending.finish();
  if (failure !== undefined)
    throw new WaybillError(failure.code, `${failure.message} (${result.accepted} events before it were accepted)`, {
      hint: failure.hint ?? "",
    });
  return result;
}

class Sending {
  readonly #sender: Sender;
  readonly #options: SendLinesOptions;
  readonly #context: SendContext;
  readonly #inFlight = new Set<Promise<void>>();
  #lines: Line[] = [];
  #bytes = 0;
  #batches = 0;
  #problems = 0;
  #accepted = 0;
  #rejected = 0;
  #failed = 0;
  #bad = 0;
  bytesRead = 0;

  constructor(sender: Sender, options: SendLinesOptions) {
    this.#sender = sender;
    this.#options = options;
    const never = new AbortController().signal;
    const ignore = (): void => undefined;
    this.#context = { soon: never, now: never, watch: { attempted: ignore, waiting: ignore, resumed: ignore } };
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
    this.#problem(message);
  }

  async finish(): Promise<SendResult> {
    await this.#send();
    await Promise.all(this.#inFlight);
    return { accepted: this.#accepted, rejected: this.#rejected, failed: this.#failed, bad: this.#bad };
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
    const sent: Promise<void> = this.#sender.send(batch, this.#context).then((outcomes) => {
      this.#inFlight.delete(sent);
      this.#count(outcomes);
    });
    this.#inFlight.add(sent);
  }

  #count(outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) {
      if (outcome.status === "delivered") {
        this.#accepted += 1;
        continue;
      }
      // Attempts that are used up end as rejected; the vendor said nothing final about those.
      if (outcome.status === "rejected" && !outcome.reason.startsWith("gave up")) this.#rejected += 1;
      else this.#failed += 1;
      this.#problem(`${outcome.status}: ${outcome.reason}`);
    }
    this.#options.onProgress({ bytes: this.bytesRead, events: this.#accepted + this.#rejected + this.#failed });
  }

  #problem(message: string): void {
    this.#problems += 1;
    if (this.#problems <= PROBLEMS_SHOWN) this.#options.onProblem(message);
    if (this.#problems === PROBLEMS_SHOWN) this.#options.onProblem("Further problems are only counted.");
  }
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
