/**
 * The states of a destination's lanes, each the metadata of its partition's offset commit.
 *
 * All lanes that have something to write share a commit, those of one epoch at a time; one commit
 * is under way per group, and the next one takes what has become dirty meanwhile. A commit names
 * the member and the epoch at which the partition came (its tenure), so a broker refuses it once
 * the partition was lost, even when it has come back since.
 *
 * An answer of a commit that is certain is simple: written, refused (the lane is lost), or not done
 * (it is sent again). One that does not come leaves two ways:
 *
 *   - the stored state is what was sent: it was written;
 *   - it is not: the commit may have been lost on its way, or still be on it, in the buffer of a
 *     broken connection, and overwrite what we would write next. No time is long enough to be
 *     certain. So nothing is written again in this tenure: the lane is lost, and the host has the
 *     member leave (answered, or refused as unknown) before it joins under a new id. A broker
 *     decides commits and leaving in one order: the late commit is then either stored, and what the
 *     next owner reads, or refused for ever.
 *
 * Each commit has the next number: so two of them with the same state differ, and an old one that
 * is still on its way is never taken for the last. One that goes again after a refusal has the same
 * number; as brokers may have kept the first all the same, what is stored says nothing of the
 * second, and without an answer its lane is lost.
 *
 * No second commit of a partition is ever sent while it is unknown what became of the first; so the
 * stored state is always the last acknowledged one, or the one after it.
 */
import type { Clock } from "@waybill/core";
import type { DurableState, ParseState } from "@waybill/log";
import { type Broker, BrokerError, type CommittedOffset, type Offset, type TopicPartition } from "./broker.ts";
import { type CommittingLane, LaneCommits } from "./lane-commits.ts";
import type { Tenure } from "./member.ts";
import { fitsMetadata, isShort, parseStateText, type StatePlace, stateJson, stateText } from "./state-text.ts";

export interface LaneStatesOptions {
  readonly broker: Pick<Broker, "commit" | "committed">;
  readonly group: string;
  readonly clock: Clock;
  /** Of a commit, and of reading one, ms. Default 10,000: coordinators move within seconds. */
  readonly deadlineMs?: number;
  /**
   * A commit was refused, or nobody knows what became of it: the partition's lane must end, and the
   * member has to be renewed ({@link Member.renew}). Called once per lane and tenure. Must not
   * throw.
   */
  readonly onLost: (partition: TopicPartition, tenure: Tenure, error: Error) => void;
  /** Called when a call failed that is made again. Must not throw. */
  readonly onRetry?: (error: unknown) => void;
}

export interface OpenStateOptions<T extends object> {
  readonly partition: TopicPartition;
  /** As the partition was assigned. */
  readonly tenure: Tenure;
  /** The state that a JSON value is; `undefined` when it is none. */
  readonly parse: ParseState<T>;
  /**
   * The first state of a lane for which nothing is committed; it is written before {@link open}
   * resolves. An error where the lane is known to have had a state: it is never made up.
   */
  readonly first: () => T | Promise<T>;
  /** The offset of the record that holds the cursor of a state. */
  readonly offsetOf: (state: T) => Offset | Promise<Offset>;
}

const DEADLINE_MS = 10_000;
/** Before a state is read again. */
const RETRY_MS = 200;

export class LaneStates {
  readonly #options: LaneStatesOptions;
  readonly #commits: LaneCommits;
  readonly #deadlineMs: number;

  constructor(options: LaneStatesOptions) {
    const { broker, group, clock, deadlineMs = DEADLINE_MS, onRetry = () => undefined } = options;
    this.#options = options;
    this.#deadlineMs = deadlineMs;
    this.#commits = new LaneCommits({ broker, group, clock, deadlineMs, onRetry });
  }

  /**
   * Reads the state of a partition that has come to us. **Errors**: those of {@link parseStateText}
   * and of `first`; a {@link BrokerError}, `fenced` when the partition has gone again meanwhile.
   */
  async open<T extends object>(options: OpenStateOptions<T>): Promise<DurableState<T>> {
    const { partition, parse, first } = options;
    const place = { ...partition, group: this.#options.group };
    const stored = await this.#read(options);
    const parts = { ...options, place, commits: this.#commits, onLost: this.#options.onLost };
    if (stored !== undefined) {
      let number = 0;
      const parseNumbered = (value: unknown): T | undefined => {
        number = numberOf(value);
        return parse(value);
      };
      const initial = parseStateText(stored.metadata, place, { offset: stored.offset, parse: parseNumbered });
      return new CommittedState(parts, initial, number);
    }
    const initial = await first();
    const state = new CommittedState(parts, initial, 0);
    await state.write(initial);
    return state;
  }

  async #read({
    partition,
    tenure,
  }: Pick<OpenStateOptions<never>, "partition" | "tenure">): Promise<CommittedOffset | undefined> {
    const { broker, group, clock, onRetry } = this.#options;
    for (;;) {
      if (!tenure.isOurs(partition)) throw new BrokerError("fenced", "the partition has gone again");
      const member = { memberId: tenure.memberId, memberEpoch: tenure.epochNow() };
      const deadlineMs = this.#deadlineMs;
      try {
        const [stored] = await broker.committed({ group, partitions: [partition], member, deadlineMs });
        return stored;
      } catch (error) {
        // The epoch may go on meanwhile, and whoever was asked may be deposed: heartbeats show it.
        const isPassing = error instanceof BrokerError && (error.isTransient || error.code === "fenced");
        if (!isPassing) throw error;
        onRetry?.(error);
        await new Promise<void>((resume) => clock.after(RETRY_MS, resume));
      }
    }
  }
}

interface StateParts<T extends object> extends OpenStateOptions<T> {
  readonly place: StatePlace;
  readonly commits: LaneCommits;
  readonly onLost: LaneStatesOptions["onLost"];
}

/** That of a commit, 0 for one of before they had any. */
function numberOf(value: unknown): number {
  const { commit } = (value ?? {}) as { readonly commit?: unknown };
  return Number.isSafeInteger(commit) ? (commit as number) : 0;
}

/** The state of one lane while its partition is ours. */
class CommittedState<T extends object> implements DurableState<T>, CommittingLane {
  readonly initial: T;
  readonly partition: TopicPartition;
  readonly tenure: Tenure;
  readonly #parts: StateParts<T>;
  /** The last one that was encoded: first asked whether it fits, then written. */
  #encoded: { readonly value: T; readonly json: string } | undefined;
  /** Of the last commit. */
  #number: number;
  /** Offsets are found one after another, so that states are written in the order of the calls. */
  #placing: Promise<unknown> = Promise.resolve();
  #last: Promise<unknown> = Promise.resolve();
  #isLost = false;

  constructor(parts: StateParts<T>, initial: T, number: number) {
    this.#parts = parts;
    this.initial = initial;
    this.#number = number;
    this.partition = parts.partition;
    this.tenure = parts.tenure;
  }

  fits(value: T): boolean {
    return isShort(this.#jsonOf(value));
  }

  #jsonOf(value: T): string {
    if (this.#encoded?.value !== value)
      this.#encoded = { value, json: stateJson({ ...value, commit: this.#number + 1 }) };
    return this.#encoded.json;
  }

  readonly isOurs = (): boolean => !this.#isLost && this.tenure.isOurs(this.partition);

  write(value: T): Promise<void> {
    const json = this.#jsonOf(value);
    this.#encoded = undefined;
    this.#number += 1;
    const written = this.#write(value, json);
    this.#last = Promise.allSettled([this.#last, written]);
    return written;
  }

  async #write(value: T, json: string): Promise<void> {
    const { place, commits, offsetOf } = this.#parts;
    const placed = this.#placing.then(() => offsetOf(value));
    this.#placing = placed.catch(() => undefined);
    const offset = await placed;
    if (!this.isOurs()) throw new BrokerError("fenced", "the lane is lost");
    if (!fitsMetadata(json)) throw new BrokerError("metadata_too_large", `a state of ${json.length} characters`);
    const metadata = stateText(json, place, offset);
    // Also when nothing has changed: an acknowledgement shows whose the lane is.
    await commits.write(this, { ...this.partition, offset, metadata });
  }

  /** What is written is acknowledged by all replicas in sync. */
  sync(): Promise<void> {
    return Promise.resolve();
  }

  lose(error: Error): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#parts.onLost(this.partition, this.tenure, error);
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await this.#last;
  }
}
