/**
 * The end of a process as its clients see it. There is one for all clients of a process: they must
 * not take each other's signal listeners for those of the application, and the process ends after
 * all of them have closed.
 *
 * | end | what is done |
 * |---|---|
 * | nothing left to do (`beforeExit`) | every client closes |
 * | `process.exit()`, an uncaught exception (`exit`) | nothing can be sent any more: every client reports what is left |
 * | a signal that nobody else listens to | the clients close within their deadlines, then the process ends by the signal; a second signal ends it at once |
 * | a signal that the application listens to too | clients that opted in close; the end is the application's |
 */
import type { EventEmitter } from "node:events";
import type { Clock } from "@waybill/core";
import { EXIT_SIGNALS, type ExitHook, type ExitSignal } from "./exit-hook.ts";

/** What of `process` is used; replaced by tests. */
export type EndingProcess = Pick<EventEmitter, "on" | "off" | "prependListener" | "listenerCount"> & {
  readonly pid: number;
  kill(pid: number, signal: ExitSignal): unknown;
  exit(code: number): unknown;
};

/**
 * Of a container's first process: the system passes signals over that it does not listen to, also
 * those it sends itself.
 */
const FIRST_PROCESS = 1;
/** The exit codes that a shell reports for these signals. */
const CODES: Readonly<Record<ExitSignal, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

/**
 * Not SIGHUP: closing a terminal must not end a process that was started to outlive it (`nohup`).
 */
const UNASKED: readonly ExitSignal[] = ["SIGINT", "SIGTERM"];

export class ProcessExits {
  readonly #process: EndingProcess;
  readonly #clock: Clock;
  readonly #hooks = new Set<ExitHook>();
  readonly #listeners = new Map<ExitSignal, () => void>();
  #ending = false;

  constructor(process: EndingProcess, clock: Clock) {
    this.#process = process;
    this.#clock = clock;
  }

  /** From now on, until the function it gives back is called. */
  add(hook: ExitHook): () => void {
    if (this.#hooks.size === 0) this.#watch("on");
    this.#hooks.add(hook);
    this.#adjustAll();
    return () => this.#remove(hook);
  }

  #remove(hook: ExitHook): void {
    if (!this.#hooks.delete(hook)) return;
    this.#adjustAll();
    if (this.#hooks.size === 0) this.#watch("off");
  }

  #watch(change: "on" | "off"): void {
    this.#process[change]("beforeExit", this.#onBeforeExit);
    this.#process[change]("exit", this.#onExit);
    this.#process[change]("newListener", this.#onNewListener);
  }

  readonly #onBeforeExit = (): void => {
    for (const hook of this.#hooks) void hook.close();
  };

  readonly #onExit = (code: number): void => {
    this.#reportLost(`the process ended with exit code ${code}`);
  };

  /**
   * Called before a listener is added: then the signal is not ours alone any more. Ours goes after
   * it is there: when the last listener of a signal goes, Node gives the signal back to the system,
   * and the one that is being added would never be called.
   */
  readonly #onNewListener = (event: string, listener: unknown): void => {
    const signal = EXIT_SIGNALS.find((known) => known === event);
    if (signal === undefined || this.#listeners.get(signal) === listener) return;
    queueMicrotask(() => {
      if (!this.#ending) this.#adjust(signal);
    });
  };

  #adjustAll(): void {
    for (const signal of EXIT_SIGNALS) this.#adjust(signal);
  }

  /** Listens to a signal exactly while some client wants it. */
  #adjust(signal: ExitSignal): void {
    const listener = this.#listeners.get(signal);
    const isAlone = this.#others(signal) === 0;
    const isWanted = [...this.#hooks].some((hook) => actsOn(hook, signal, isAlone));
    if (isWanted && listener === undefined) {
      const listen = (): void => void this.#onSignal(signal);
      this.#listeners.set(signal, listen);
      // In front: a listener that is there for one call only must still be counted when ours runs.
      this.#process.prependListener(signal, listen);
    } else if (!isWanted && listener !== undefined) {
      this.#listeners.delete(signal);
      this.#process.off(signal, listener);
    }
  }

  #others(signal: ExitSignal): number {
    return this.#process.listenerCount(signal) - (this.#listeners.has(signal) ? 1 : 0);
  }

  async #onSignal(signal: ExitSignal): Promise<void> {
    if (this.#ending) return this.#endBy(signal);
    const isAlone = this.#others(signal) === 0;
    this.#ending = isAlone;
    const hooks = [...this.#hooks].filter((hook) => actsOn(hook, signal, isAlone));
    await Promise.all(hooks.map((hook) => this.#closed(hook)));
    if (this.#ending && isAlone) this.#endBy(signal);
  }

  #closed({ close, deadlineMs }: ExitHook): Promise<void> {
    return new Promise((resolve) => {
      const deadline = this.#clock.after(deadlineMs, resolve, true);
      const done = (): void => {
        deadline.cancel();
        resolve();
      };
      close().then(done, done);
    });
  }

  /**
   * As the signal would have ended it: whoever started the process sees the signal, not an exit
   * code.
   */
  #endBy(signal: ExitSignal): void {
    this.#ending = false;
    this.#reportLost(`the process ended by ${signal}`);
    for (const hook of this.#hooks) this.#remove(hook);
    if (this.#process.pid === FIRST_PROCESS) this.#process.exit(CODES[signal]);
    else this.#process.kill(this.#process.pid, signal);
  }

  #reportLost(reason: string): void {
    for (const hook of this.#hooks) hook.lost(reason);
  }
}

function actsOn({ signals }: ExitHook, signal: ExitSignal, isAlone: boolean): boolean {
  return signals === undefined ? isAlone && UNASKED.includes(signal) : signals.includes(signal);
}
