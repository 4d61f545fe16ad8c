/**
 * What became of dead letters since they were kept: a small log beside theirs, in which the last
 * mark of each counts, but that what was delivered stays so. All marks up to
 * {@link DeadLetterMarks.count} are known, and none after it: also where one of an owner that was
 * replaced comes late, in front of those that are written here.
 */
import type { Clock } from "@waybill/core";
import { recordsFrom } from "../records.ts";
import type { Log, Position, RetentionLimits } from "../types.ts";
import { type DeadLetterState, type Mark, parseMark } from "./dead-letter-values.ts";

/** `at`: its position in the log of marks. */
export interface MarkAt extends Pick<Mark, "state" | "atMs"> {
  readonly at: Position;
}

export class DeadLetterMarks {
  readonly #log: Log;
  readonly #deadLetters: Pick<Log, "first" | "head">;
  readonly #clock: Clock;
  /** 100 bytes for each that has a mark, as long as retention keeps it. */
  readonly #last = new Map<Position, MarkAt>();
  #count: Position;
  /** Of {@link add}, under way. */
  #adding = 0;
  /** Some state has changed. */
  onChange: () => void = () => undefined;

  private constructor(log: Log, deadLetters: Pick<Log, "first" | "head">, clock: Clock) {
    this.#log = log;
    this.#deadLetters = deadLetters;
    this.#clock = clock;
    this.#count = log.first;
  }

  /** **Errors**: those of a reader. */
  static async open(log: Log, deadLetters: Pick<Log, "first" | "head">, clock: Clock): Promise<DeadLetterMarks> {
    const marks = new DeadLetterMarks(log, deadLetters, clock);
    await marks.#read();
    // What cannot be read now is read with the next one.
    log.onCommit(() => void (marks.#adding === 0 && marks.#read().catch(() => undefined)));
    return marks;
  }

  /** How many there have been. */
  get count(): number {
    return this.#count;
  }

  get(deadLetterId: Position): MarkAt | undefined {
    return this.#last.get(deadLetterId);
  }

  /** Of each dead letter that has one. */
  entries(): Iterable<readonly [Position, MarkAt]> {
    return this.#last;
  }

  /** Durable when it resolves. **Errors**: those of `Log.append` and of a reader. */
  async add(deadLetterIds: readonly Position[], state: DeadLetterState): Promise<void> {
    const atMs = this.#clock.now();
    this.#adding += 1;
    try {
      await Promise.all(deadLetterIds.map((id) => this.#append({ letter: id, state, atMs })));
    } finally {
      this.#adding -= 1;
    }
    await this.#read();
  }

  async #append(mark: Mark): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(mark));
    const ends = Uint32Array.of(bytes.length);
    const at = await this.#log.append({ source: "", receivedAtMs: mark.atMs, metadata: "", body: [bytes], ends });
    // One after another: appends are answered in their order.
    if (at === this.#count) this.#note(mark, at);
  }

  #note(mark: Mark | undefined, at: Position): void {
    this.#count = at + 1;
    if (mark === undefined) return;
    const { letter: id, state, atMs } = mark;
    if (id < this.#deadLetters.first || id >= this.#deadLetters.head) return;
    // What was delivered cannot be given up any more: the operator's look was older.
    if (state === "discarded" && this.#last.get(id)?.state === "retried") return;
    this.#last.set(id, { state, atMs, at });
    this.onChange();
  }

  /** What others have written. */
  async #read(): Promise<void> {
    for (let to = this.#log.head; this.#count < to; to = this.#log.head) {
      for await (const { body, first } of recordsFrom(this.#log, Math.max(this.#count, this.#log.first)))
        if (first >= this.#count) this.#note(parseMark(Buffer.from(body).toString()), first);
      this.#count = Math.max(this.#count, to);
    }
  }

  /** A mark is never needed longer than its dead letter. */
  async retain(limits: RetentionLimits, nowMs: number): Promise<void> {
    for (const id of this.#last.keys()) if (id < this.#deadLetters.first) this.#last.delete(id);
    await this.#log.retain(limits, nowMs, this.#log.head);
  }

  close(): Promise<void> {
    return this.#log.close();
  }
}
