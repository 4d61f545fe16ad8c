import type { Batch, BatchLimits, DropReason, Outcome, Stage } from "../delivery.ts";
import { isOpen } from "../delivery.ts";
import { messageOf } from "../errors.ts";
import type { Chunk, Clock } from "../runtime.ts";
import { TextBatch } from "../text-batch.ts";

/** An event in a vendor's wire format, with the metadata of its request; or why there is none. */
export type Translated =
  | { readonly text: string; readonly metadata: string }
  | { readonly dropped: DropReason }
  /** It should have an equivalent there but cannot be encoded: it becomes a dead letter. */
  | { readonly rejected: string };

/**
 * Must be pure: the same event has the same translation at every attempt. `metadata` is that of the
 * event's batch; `key` identifies the event where it has no id.
 */
export type Translate = (event: Chunk, metadata: string, key: string) => Translated;

const encoder = new TextEncoder();
/**
 * Translated in one step, which nothing can interrupt; each event counts for more than its bytes.
 */
const STEP_MAX_BYTES = 256 * 1024;
const EVENT_COSTS_BYTES = 256;
/** What its metadata may cost each event, however long it is. */
const METADATA_COSTS_MAX_BYTES = 64 * 1024;

/**
 * A run of translated events that fits one request: `indexes` are their places in the batch they
 * came from.
 */
interface Run {
  readonly metadata: string;
  readonly texts: string[];
  readonly sizes: number[];
  readonly indexes: number[];
  bytes: number;
}

/**
 * Encodes each event in the vendor's wire format and sends the runs of equal metadata that fit its
 * limits, in order. Once a run could not be delivered now, the later ones are not tried. An event
 * whose translation throws is rejected alone.
 */
export function translating(translate: Translate): Stage {
  return (next, { limits }, clock) => ({
    async send(batch, context) {
      const outcomes = new Array<Outcome>(batch.count);
      let stopped: Outcome | undefined;
      for await (const run of runsOf(batch, outcomes, { translate, limits, clock, parked: context.parked ?? NOBODY })) {
        if (context.soon.aborted) stopped = { status: "retryable", reason: "interrupted" };
        const results: readonly Outcome[] = stopped === undefined ? await next.send(batchOf(run, batch), context) : [];
        for (const [at, index] of run.indexes.entries()) outcomes[index] = results[at] ?? (stopped as Outcome);
        stopped ??= results.find(isOpen);
        if (stopped !== undefined) break;
      }
      if (stopped !== undefined) for (let index = 0; index < batch.count; index++) outcomes[index] ??= stopped;
      return outcomes;
    },
  });
}

interface Rules {
  readonly translate: Translate;
  readonly limits: BatchLimits;
  readonly clock: Clock;
  /** Whose earlier event fails. */
  readonly parked: ReadonlySet<number>;
}

const NOBODY: ReadonlySet<number> = new Set();
const PARKED: Outcome = { status: "parked", reason: "it waits for an earlier event of its user, which fails" };

/**
 * Gives an outcome to each event without a translation; the others come in runs, one after another:
 * a translation may be far larger than its event.
 */
async function* runsOf(
  batch: Batch,
  outcomes: Outcome[],
  { translate, limits, clock, parked }: Rules,
): AsyncGenerator<Run> {
  let run: Run | undefined;
  let stepBytes = 0;
  const eventBytes = EVENT_COSTS_BYTES + Math.min(batch.metadata.length, METADATA_COSTS_MAX_BYTES);
  for (let index = 0; index < batch.count; index++) {
    if (parked.size > 0 && parked.has(batch.orderHash?.(index) ?? 0)) {
      outcomes[index] = PARKED;
      continue;
    }
    const event = batch.event(index);
    stepBytes += event.length + eventBytes;
    if (stepBytes > STEP_MAX_BYTES && index > 0) {
      await new Promise<void>((resolve) => clock.after(0, resolve, true));
      stepBytes = 0;
    }
    const translated = translatedEvent(translate, event, batch, index);
    if ("dropped" in translated) outcomes[index] = { status: "dropped", reason: translated.dropped };
    else if ("rejected" in translated) outcomes[index] = { status: "rejected", reason: translated.rejected };
    else {
      const size = encoder.encode(translated.text).length;
      stepBytes += size;
      const fits =
        run?.metadata === translated.metadata &&
        run.texts.length < limits.maxEvents &&
        run.bytes + 1 + size <= limits.maxBytes;
      if (run === undefined || !fits) {
        if (run !== undefined) yield run;
        run = { metadata: translated.metadata, texts: [], sizes: [], indexes: [], bytes: -1 };
      }
      run.texts.push(translated.text);
      run.sizes.push(size);
      run.indexes.push(index);
      run.bytes += 1 + size;
    }
  }
  if (run !== undefined) yield run;
}

/** The boundary of an event: whatever the translation throws is its own fault. */
function translatedEvent(translate: Translate, event: Chunk, batch: Batch, index: number): Translated {
  const key = batch.eventKey(index);
  try {
    const translated = translate(event, batch.metadata, key);
    if ("text" in translated && typeof translated.text !== "string")
      return { rejected: "cannot be translated: it has no text" };
    return translated;
  } catch (error) {
    return { rejected: `cannot be translated: ${messageOf(error)}` };
  }
}

/** The same events have the same key at every attempt, because they are translated the same. */
function batchOf({ metadata, texts, sizes, indexes }: Run, batch: Batch): Batch {
  const { key, oldestAtMs, count } = batch;
  const whole = texts.length === count;
  return new TextBatch({
    key: whole ? key : `${key}.${indexes[0]}-${(indexes.at(-1) as number) + 1}`,
    metadata,
    oldestAtMs,
    texts,
    sizes,
    source: { batch, indexes },
  });
}
