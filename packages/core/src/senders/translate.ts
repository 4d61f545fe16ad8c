import type { Attempt, Batch, BatchLimits, DropReason, Outcome, SendContext, Sender } from "../delivery.ts";
import { isFinal } from "../delivery.ts";
import type { Chunk } from "../runtime.ts";
import { TextBatch } from "../text-batch.ts";

/** An event in a vendor's own words, with what its request says beside it; or why there is none. */
export type Translated =
  | { readonly text: string; readonly metadata: string }
  | { readonly dropped: DropReason }
  /** It should have a meaning there but cannot be said: it becomes a dead letter. */
  | { readonly rejected: string };

/** Must be pure: the same event has the same words at every attempt. `metadata` is that of the event's batch; `key` stands for the event where it has no id. */
export type Translate = (event: Chunk, metadata: string, key: string) => Translated;

const encoder = new TextEncoder();

/** A run of translated events that fits one request: `indexes` are their places in the batch they came from. */
interface Run {
  readonly metadata: string;
  readonly texts: string[];
  readonly sizes: number[];
  readonly indexes: number[];
  bytes: number;
}

/**
 * Says each event in the vendor's words and sends the runs of equal metadata that fit its limits, in order. Once a run
 * could not be delivered now, those behind it are not tried.
 */
export function translate(say: Translate, limits: BatchLimits, next: Sender): Sender {
  return {
    async send(batch, context) {
      const outcomes = new Array<Outcome>(batch.count);
      let stopped: Outcome | undefined;
      for (const run of runsOf(batch, outcomes, say, limits)) {
        if (stopped === undefined && context.soon.aborted) stopped = { status: "retryable", reason: "interrupted" };
        const results: readonly Outcome[] =
          stopped === undefined ? await next.send(batchOf(run, batch), watching(run, batch, context)) : [];
        for (const [at, index] of run.indexes.entries()) outcomes[index] = results[at] ?? (stopped as Outcome);
        stopped ??= results.find((outcome) => !isFinal(outcome));
      }
      return outcomes;
    },
  };
}

/** Gives an outcome to each event without words, and collects the others. */
function runsOf(batch: Batch, outcomes: Outcome[], say: Translate, limits: BatchLimits): readonly Run[] {
  const runs: Run[] = [];
  for (let index = 0; index < batch.count; index++) {
    const said = say(batch.event(index), batch.metadata, batch.eventKey(index));
    if ("dropped" in said) outcomes[index] = { status: "dropped", reason: said.dropped };
    else if ("rejected" in said) outcomes[index] = { status: "rejected", reason: said.rejected };
    else {
      const size = encoder.encode(said.text).length;
      let run = runs.at(-1);
      const fits =
        run?.metadata === said.metadata &&
        run.texts.length < limits.maxEvents &&
        run.bytes + 1 + size <= limits.maxBytes;
      if (run === undefined || !fits) {
        run = { metadata: said.metadata, texts: [], sizes: [], indexes: [], bytes: -1 };
        runs.push(run);
      }
      run.texts.push(said.text);
      run.sizes.push(size);
      run.indexes.push(index);
      run.bytes += 1 + size;
    }
  }
  return runs;
}

/** The same events have the same key at every attempt, because they are translated the same. */
function batchOf({ metadata, texts, sizes, indexes }: Run, { key, oldestAtMs, count }: Batch): Batch {
  const whole = texts.length === count;
  return new TextBatch({
    key: whole ? key : `${key}.${indexes[0]}-${(indexes.at(-1) as number) + 1}`,
    metadata,
    oldestAtMs,
    texts,
    sizes,
  });
}

/** The watcher hears of the events as it knows them: those of the run, first to last. */
function watching({ indexes }: Run, batch: Batch, context: SendContext): SendContext {
  const source = batch.slice(indexes[0] as number, (indexes.at(-1) as number) + 1);
  const attempted = (attempt: Attempt): void => context.watch.attempted(attempt, source);
  return { ...context, watch: { ...context.watch, attempted } };
}
