import type { Clock, Random } from "@waybill/core";
import {
  type Broker,
  BrokerError,
  type CommitRequest,
  type CommittedOffset,
  type CommittedRequest,
  type Deadline,
  type Heartbeat,
  type HeartbeatAnswer,
} from "@waybill/log-kafka";
import type { RelayClock } from "./relay-clock.ts";

/**
 * - `request`: it never arrives, and nothing comes back.
 * - `answer`: done, but the connection breaks before the answer.
 * - `late`: no answer in time; done some time after that.
 * - `moved`: nothing was done.
 */
export type Fault = "request" | "answer" | "late" | "moved";
type Kind = "heartbeat" | "commit" | "committed";

export interface UncertainBrokerOptions {
  readonly broker: Broker;
  readonly world: Clock;
  readonly clock: RelayClock;
  readonly random: Random;
  readonly onCommitted?: (request: CommitRequest) => void;
}

const LATE_MAX_MS = 60_000;
const FAULTS: readonly Fault[] = ["request", "answer", "late", "moved"];

/** One process's way to the cluster, with faults: at random, or the next ones of a kind. */
export class UncertainBroker implements Pick<Broker, Kind> {
  /** Of each call; 0 to 1. */
  rate = 0;
  /** Nothing gets through. */
  isCutOff = false;
  readonly commits: CommitRequest[] = [];
  readonly counts: Record<Fault, number> = { request: 0, answer: 0, late: 0, moved: 0 };
  readonly #options: UncertainBrokerOptions;
  readonly #next: { readonly kind: Kind; readonly fault: Fault; readonly lateMs: number }[] = [];

  constructor(options: UncertainBrokerOptions) {
    this.#options = options;
  }

  /** The next call of a kind meets a fault. */
  fail(kind: Kind, fault: Fault, lateMs = LATE_MAX_MS): void {
    this.#next.push({ kind, fault, lateMs });
  }

  heartbeat(asked: Heartbeat): Promise<HeartbeatAnswer> {
    return this.#call("heartbeat", asked, (broker) => broker.heartbeat(asked));
  }

  commit(asked: CommitRequest): Promise<void> {
    this.commits.push(asked);
    return this.#call("commit", asked, async (broker) => {
      await broker.commit(asked);
      this.#options.onCommitted?.(asked);
    });
  }

  committed(asked: CommittedRequest): Promise<readonly CommittedOffset[]> {
    return this.#call("committed", asked, (broker) => broker.committed(asked));
  }

  async #call<T>(kind: Kind, { deadlineMs }: Deadline, run: (broker: Broker) => Promise<T>): Promise<T> {
    const { broker, world, clock, random } = this.#options;
    const { fault, lateMs } = this.#faultOf(kind);
    if (fault !== undefined) this.counts[fault] += 1;
    if (fault === "moved") throw new BrokerError("not_leader", "the coordinator has moved");
    if (fault === "request" || fault === "late") {
      if (fault === "late") world.after(random.next() * lateMs, () => void run(broker).catch(() => undefined));
      await clock.wait(deadlineMs);
      throw new BrokerError("timeout", "no answer in time");
    }
    const outcome = await run(broker).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    await new Promise<void>((resume) => clock.do(resume));
    if (fault === "answer") throw new BrokerError("unreachable", "the connection broke");
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  }

  #faultOf(kind: Kind): { readonly fault: Fault | undefined; readonly lateMs: number } {
    if (this.isCutOff) return { fault: "request", lateMs: 0 };
    const at = this.#next.findIndex((one) => one.kind === kind);
    const [next] = at < 0 ? [] : this.#next.splice(at, 1);
    if (next !== undefined) return next;
    const { random } = this.#options;
    if (random.next() >= this.rate) return { fault: undefined, lateMs: 0 };
    return { fault: FAULTS[Math.floor(random.next() * FAULTS.length)], lateMs: LATE_MAX_MS };
  }
}
