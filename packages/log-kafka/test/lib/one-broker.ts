import type { DurableState } from "@waybill/log";
import {
  type BrokerError,
  type CommitRequest,
  type CommittedOffset,
  LaneStates,
  type Tenure,
} from "@waybill/log-kafka";
import { settle, VirtualClock } from "@waybill/testing";

export interface Numbered {
  readonly n: number;
}

/** A group's coordinator whose commits wait until the test answers them. */
export class OneBroker {
  readonly clock = new VirtualClock();
  readonly commits: { readonly request: CommitRequest; readonly answer: (error?: BrokerError) => void }[] = [];
  readonly stored = new Map<number, CommittedOffset>();
  readonly lost: { readonly partition: number; readonly error: Error }[] = [];
  readonly retries: unknown[] = [];
  /** Answers what is committed, in turn; then what is stored. */
  readonly reads: (BrokerError | readonly CommittedOffset[])[] = [];
  readonly ours = new Set<number>([0, 1, 2, 3]);
  readonly states: LaneStates;

  constructor() {
    this.states = new LaneStates({
      broker: {
        commit: (request) =>
          new Promise((resolve, reject) => {
            const answer = (error?: BrokerError): void => {
              if (error !== undefined) return reject(error);
              this.store(request);
              resolve();
            };
            this.commits.push({ request, answer });
          }),
        committed: async ({ partitions }) => {
          const read = this.reads.shift();
          if (Array.isArray(read)) return read as readonly CommittedOffset[];
          if (read !== undefined) throw read;
          return partitions.flatMap(({ partition }) => this.stored.get(partition) ?? []);
        },
      },
      group: "g",
      clock: this.clock,
      onLost: ({ partition }, _tenure, error) => void this.lost.push({ partition, error }),
      onRetry: (error) => void this.retries.push(error),
    });
  }

  store({ offsets }: CommitRequest): void {
    for (const one of offsets) this.stored.set(one.partition, one);
  }

  tenure(memberEpoch = 1): Tenure {
    return {
      memberId: "m",
      memberEpoch,
      epochNow: () => memberEpoch,
      isOurs: ({ partition }) => this.ours.has(partition),
      mayBegin: ({ partition }) => this.ours.has(partition),
    };
  }

  /** Opened with a first state of 0 that was written. */
  async open(partition: number, memberEpoch = 1): Promise<DurableState<Numbered>> {
    const opened = this.states.open<Numbered>({
      partition: { topic: "t", partition },
      tenure: this.tenure(memberEpoch),
      parse: (value) => value as Numbered,
      first: () => ({ n: 0 }),
      offsetOf: ({ n }) => n,
    });
    await settle();
    if (!this.stored.has(partition)) this.next().answer();
    return opened;
  }

  /** The oldest commit that waits. */
  next(): { readonly request: CommitRequest; readonly answer: (error?: BrokerError) => void } {
    const next = this.commits.shift();
    if (next === undefined) throw new Error("no commit waits");
    return next;
  }
}

/** What a commit holds: partition and number of each. */
export function numbersIn({ offsets }: CommitRequest): readonly string[] {
  return offsets.map(({ partition, metadata }) => `${partition}=${/"n":(\d+)/.exec(metadata)?.[1]}`);
}
