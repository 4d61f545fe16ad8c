import type { Clock } from "@waybill/core";
import { BrokerError } from "@waybill/log-kafka";
import type { ClusterCore } from "./cluster-core.ts";

/** One call of a relay, while it lasts. */
export interface Call {
  readonly kind: string;
  /** On the clock's monotonic time. */
  readonly endsAtMs: number;
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
  readonly #open = new Set<(error: BrokerError) => void>();
  #isClosed = false;

  constructor(name: string, core: ClusterCore) {
    this.name = name;
    this.#core = core;
    this.#clock = core.settings.clock;
  }

  /** Runs `work` until the deadline; what it does later is still done. */
  call<T>(kind: string, deadlineMs: number, work: (call: Call) => Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(new BrokerError("unreachable", "the connection is closed"));
    return new Promise((resolve, reject) => {
      const call: Call = { kind, endsAtMs: this.#clock.monotonic() + deadlineMs, isOver: false };
      const settle = (act: () => void): void => {
        if (call.isOver) return;
        call.isOver = true;
        timer.cancel();
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
  async ask<T>(call: Call, broker: number, serve: (broker: number) => T | Promise<T>): Promise<T> {
    await new Promise<void>((resolve) => {
      this.#core.faults.whenRunning(this.name, resolve);
    });
    if (call.isOver) throw new BrokerError("timeout", `${call.kind}: it is over`);
    await this.#there(call, broker);
    const incarnation = this.#core.incarnationOf(broker);
    if (incarnation === undefined) throw new BrokerError("unreachable", `broker ${broker} is down`);
    const { faults } = this.#core;
    if (DUPLICABLE.includes(call.kind) && faults.strikes("duplicate")) void outcomeOf(() => serve(broker));
    const answer = await outcomeOf(() => serve(broker));
    await this.#back(broker, incarnation);
    if ("error" in answer) throw answer.error;
    return answer.value;
  }

  close(): void {
    this.#isClosed = true;
    for (const fail of this.#open) fail(new BrokerError("unreachable", "the connection was closed"));
  }

  async #there(call: Call, broker: number): Promise<void> {
    const { faults, settings } = this.#core;
    await this.#checkReach(broker);
    if (faults.strikes("refuse")) throw new BrokerError("unreachable", `broker ${broker} refused the connection`);
    if (faults.strikes("stuck")) await never();
    if (faults.strikes("late"))
      await this.#wait(call.endsAtMs - this.#clock.monotonic() + LATE_MS * settings.random.next());
    await this.#travel();
    // What was sent before the network broke does not arrive.
    await this.#checkReach(broker);
  }

  async #back(broker: number, incarnation: number): Promise<void> {
    const { faults, settings } = this.#core;
    if (faults.strikes("slow")) await this.#wait(SLOW_MS * settings.random.next());
    if (this.#core.incarnationOf(broker) !== incarnation)
      throw new BrokerError("unreachable", `the connection to broker ${broker} broke`);
    if (this.#core.faults.isolation(this.name, broker) !== undefined) await never();
    if (faults.strikes("loseAnswer")) {
      if (settings.random.next() < 0.5) await never();
      throw new BrokerError("unreachable", `the connection to broker ${broker} broke`);
    }
    await this.#travel();
  }

  async #checkReach(broker: number): Promise<void> {
    const isolation = this.#core.faults.isolation(this.name, broker);
    if (isolation === "silent") await never();
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

function never(): Promise<never> {
  return new Promise(() => undefined);
}
