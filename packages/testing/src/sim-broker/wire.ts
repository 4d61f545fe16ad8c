import type { Clock } from "@waybill/core";
import { BrokerError } from "@waybill/log-kafka";
import type { ClusterCore } from "./cluster-core.ts";

/** One call of a relay, while it lasts. */
export interface Call {
  readonly kind: string;
  /** On the clock's monotonic time. */
  readonly endsAtMs: number;
  /** Rejects when the call ends, however it does. */
  readonly over: Promise<never>;
  isOver: boolean;
}

/** At most: a slow answer, and how long after its deadline a late request arrives. */
const SLOW_MS = 2_000;
const LATE_MS = 10_000;
/** Kinds of calls that may be done twice, and what that would do is known. */
const DUPLICABLE = ["produce", "commit"];

/** A relay's connections to the brokers: each call has a deadline, and is settled once. */
export class Wire {
  readonly name: string;
  readonly #core: ClusterCore;
  readonly #clock: Clock;
  readonly #isAuthorized: boolean;
  readonly #open = new Set<(error: BrokerError) => void>();
  #isClosed = false;

  constructor(name: string, core: ClusterCore, isAuthorized: boolean) {
    this.name = name;
    this.#core = core;
    this.#clock = core.settings.clock;
    this.#isAuthorized = isAuthorized;
  }

  /** Runs `work` until the deadline; what it does later is still done. */
  call<T>(kind: string, deadlineMs: number, work: (call: Call) => Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(new BrokerError("unreachable", "the connection is closed"));
    return new Promise((resolve, reject) => {
      const [over, end] = endingPromise();
      const call: Call = { kind, endsAtMs: this.#clock.monotonic() + deadlineMs, over, isOver: false };
      const settle = (act: () => void): void => {
        if (call.isOver) return;
        call.isOver = true;
        timer.cancel();
        end(new BrokerError("timeout", `${kind}: it is over`));
        this.#open.delete(fail);
        this.#core.faults.whenRunning(this.name, act);
      };
      const fail = (error: unknown): void => settle(() => reject(error as BrokerError));
      const timer = this.#clock.after(deadlineMs, () => fail(new BrokerError("timeout", `${kind}: no answer in time`)));
      this.#open.add(fail);
      work(call).then((value) => settle(() => resolve(value)), fail);
    });
  }

  /** One request to one broker, there and back. */
  async exchange<T>(call: Call, broker: number, serve: (broker: number) => T | Promise<T>): Promise<T> {
    await new Promise<void>((resolve) => {
      this.#core.faults.whenRunning(this.name, resolve);
    });
    if (call.isOver) throw new BrokerError("timeout", `${call.kind}: it is over`);
    await this.#there(call, broker);
    const incarnation = this.#core.incarnationOf(broker);
    if (incarnation === undefined) throw new BrokerError("unreachable", `broker ${broker} is down`);
    if (!this.#isAuthorized) throw new BrokerError("unauthorized", `${this.name} is not allowed to`);
    const { faults } = this.#core;
    if (DUPLICABLE.includes(call.kind) && faults.strikes("duplicate")) void outcomeOf(() => serve(broker));
    const working = outcomeOf(() => serve(broker));
    const answer = await this.#core.whileUp(broker, working);
    await this.#back(call, broker, incarnation);
    if (answer === undefined) throw new BrokerError("unreachable", `broker ${broker} went down`);
    if ("error" in answer) throw answer.error;
    return answer.value;
  }

  close(): void {
    this.#isClosed = true;
    for (const fail of this.#open) fail(new BrokerError("unreachable", "the connection was closed"));
  }

  async #there(call: Call, broker: number): Promise<void> {
    const { faults, settings } = this.#core;
    await this.#checkReach(call, broker);
    if (faults.strikes("refuse")) throw new BrokerError("unreachable", `broker ${broker} refused the connection`);
    if (faults.strikes("stuck")) await call.over;
    if (faults.strikes("late"))
      await this.#wait(call.endsAtMs - this.#clock.monotonic() + LATE_MS * settings.random.next());
    await this.#travel();
    // What was sent before the network broke does not arrive.
    await this.#checkReach(call, broker);
  }

  async #back(call: Call, broker: number, incarnation: number): Promise<void> {
    const { faults, settings } = this.#core;
    if (this.#core.isUp(broker) && faults.strikes("slow")) await this.#wait(SLOW_MS * settings.random.next());
    if (faults.isolation(this.name, broker) !== undefined) await call.over;
    if (this.#core.incarnationOf(broker) !== incarnation)
      throw new BrokerError("unreachable", `the connection to broker ${broker} broke`);
    if (faults.strikes("loseAnswer")) {
      if (settings.random.next() < 0.5) await call.over;
      throw new BrokerError("unreachable", `the connection to broker ${broker} broke`);
    }
    await this.#travel();
    if (faults.isolation(this.name, broker) !== undefined) await call.over;
  }

  async #checkReach(call: Call, broker: number): Promise<void> {
    const isolation = this.#core.faults.isolation(this.name, broker);
    if (isolation === "silent") await call.over;
    if (isolation === "refused") throw new BrokerError("unreachable", `${this.name} does not reach broker ${broker}`);
  }

  async #travel(): Promise<void> {
    const { latencyMs, random } = this.#core.settings;
    if (latencyMs > 0) await this.#wait(latencyMs * (0.5 + 0.5 * random.next()));
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(ms, resolve);
    });
  }
}

type Outcome<T> = { readonly value: T } | { readonly error: unknown };

async function outcomeOf<T>(serve: () => T | Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await serve() };
  } catch (error) {
    return { error };
  }
}

function endingPromise(): readonly [Promise<never>, (error: BrokerError) => void] {
  let end: (error: BrokerError) => void = () => undefined;
  const over = new Promise<never>((_, reject) => {
    end = reject;
  });
  over.catch(() => undefined);
  return [over, end];
}
