/** Offset commits of a group: what is dirty shares a request, and one is under way at a time. */
import { type Clock, messageOf } from "@waybill/core";
import { type Broker, BrokerError, type CommittedOffset, type TopicPartition } from "./broker.ts";
import type { Tenure } from "./member.ts";

/** Whose state is committed. */
export interface CommittingLane {
  readonly partition: TopicPartition;
  readonly tenure: Tenure;
  isOurs(): boolean;
  /** Nothing may be written any more in this tenure. */
  lose(error: Error): void;
}

export interface LaneCommitsOptions {
  readonly broker: Pick<Broker, "commit" | "committed">;
  readonly group: string;
  readonly clock: Clock;
  readonly deadlineMs: number;
  /** Called when a call failed that is made again. */
  readonly onRetry: (error: unknown) => void;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Write {
  readonly lane: CommittingLane;
  readonly next: CommittedOffset;
  readonly waiters: readonly Waiter[];
  /** The same was sent before, and refused: a broker may have kept it all the same. */
  readonly isRepeated: boolean;
}

/**
 * Of one request: brokers write it as one batch, whose size they limit (1 MiB by default). The rest
 * goes with the next one.
 */
const REQUEST_MAX_CHARACTERS = 512 * 1024;
/** Before a call is made again: leaders are elected within seconds. */
const RETRY_MS = 200;

export class LaneCommits {
  readonly #options: LaneCommitsOptions;
  /** In the order in which they became dirty. */
  readonly #dirty = new Map<CommittingLane, Write>();
  #isRunning = false;

  constructor(options: LaneCommitsOptions) {
    this.#options = options;
  }

  /**
   * Resolves when this, or what was written after it, is acknowledged. **Errors**: why the lane is
   * lost; of a {@link BrokerError} what the broker does not take.
   */
  write(lane: CommittingLane, next: CommittedOffset): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiters = [...(this.#dirty.get(lane)?.waiters ?? []), { resolve, reject }];
      this.#dirty.set(lane, { lane, next, waiters, isRepeated: false });
      if (this.#isRunning) return;
      this.#isRunning = true;
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    // Lanes that become dirty in the same turn share the commit.
    await Promise.resolve();
    while (this.#dirty.size > 0) {
      const writes = this.#take();
      if (writes.length > 0) await this.#commit(writes);
    }
    this.#isRunning = false;
  }

  /** What goes with one request: of one epoch, the oldest first. */
  #take(): readonly Write[] {
    const taken: Write[] = [];
    let characters = 0;
    for (const [lane, write] of this.#dirty) {
      if (!lane.isOurs()) {
        this.#dirty.delete(lane);
        reject([write], lost("it is another member's now"));
        continue;
      }
      const { memberId, memberEpoch } = taken[0]?.lane.tenure ?? lane.tenure;
      if (lane.tenure.memberId !== memberId || lane.tenure.memberEpoch !== memberEpoch) continue;
      characters += write.next.metadata.length;
      if (taken.length > 0 && characters > REQUEST_MAX_CHARACTERS) break;
      this.#dirty.delete(lane);
      taken.push(write);
    }
    return taken;
  }

  async #commit(writes: readonly Write[]): Promise<void> {
    const { broker, group, deadlineMs } = this.#options;
    const { memberId, memberEpoch } = (writes[0] as Write).lane.tenure;
    const offsets = writes.map(({ next }) => next);
    try {
      await broker.commit({ group, memberId, memberEpoch, offsets, deadlineMs });
    } catch (error) {
      await this.#failed(writes, error);
      return;
    }
    resolve(writes);
  }

  async #failed(writes: readonly Write[], error: unknown): Promise<void> {
    if (!(error instanceof BrokerError) || error.isUncertain) return this.#decide(writes, error);
    if (error.isTransient) {
      this.#putBack(writes);
      return this.#retry(error);
    }
    // Which of them it was only shows when each goes alone. To store the same again does no harm.
    if (writes.length > 1) {
      for (const write of writes) await this.#commit([{ ...write, isRepeated: true }]);
      return;
    }
    if (error.code === "fenced") for (const { lane } of writes) lane.lose(error);
    reject(writes, error);
  }

  /** They were refused: what they are to hold now goes again. */
  #putBack(writes: readonly Write[]): void {
    for (const write of writes) {
      const newer = this.#dirty.get(write.lane);
      const again = newer ?? { ...write, isRepeated: true };
      this.#dirty.set(write.lane, { ...again, waiters: [...write.waiters, ...(newer?.waiters ?? [])] });
    }
  }

  /** No answer came: what is stored tells whether it was written. */
  async #decide(writes: readonly Write[], error: unknown): Promise<void> {
    const { broker, group, deadlineMs } = this.#options;
    this.#options.onRetry(error);
    for (;;) {
      const gone = writes.filter(({ lane }) => !lane.isOurs());
      if (gone.length === writes.length) return reject(writes, lost(messageOf(error)));
      try {
        const partitions = writes.map(({ lane }) => lane.partition);
        return compare(writes, await broker.committed({ group, partitions, deadlineMs }), error);
      } catch (failure) {
        if (failure instanceof BrokerError && !failure.isTransient) return compare(writes, [], failure);
        await this.#retry(failure);
      }
    }
  }

  #retry(error: unknown): Promise<void> {
    this.#options.onRetry(error);
    return new Promise((resume) => this.#options.clock.after(RETRY_MS, resume));
  }
}

/**
 * What is not stored as it was sent may still come, and so may what was sent twice: it may be the
 * first one that is stored. The lane is lost.
 */
function compare(writes: readonly Write[], stored: readonly CommittedOffset[], error: unknown): void {
  for (const write of writes) {
    const { lane, next, isRepeated } = write;
    const found = stored.find(({ topic, partition }) => topic === next.topic && partition === next.partition);
    if (!isRepeated && found?.metadata === next.metadata && found.offset === next.offset) {
      resolve([write]);
      continue;
    }
    const doubt = lost(`nobody knows what became of its last commit: ${messageOf(error)}`);
    lane.lose(doubt);
    reject([write], doubt);
  }
}

function lost(why: string): BrokerError {
  return new BrokerError("fenced", `the lane is lost: ${why}`);
}

function resolve(writes: readonly Write[]): void {
  for (const { waiters } of writes) for (const waiter of waiters) waiter.resolve();
}

function reject(writes: readonly Write[], error: Error): void {
  for (const { waiters } of writes) for (const waiter of waiters) waiter.reject(error);
}
