import { monitorEventLoopDelay } from "node:perf_hooks";

/** How often the loop is looked at; a block shorter than this may be missed. */
const RESOLUTION_MS = 10;
const NANOSECONDS_PER_MS = 1e6;

/** Calls `run` once the event loop has come round: timers and sockets had their turn. */
export function defer(run: () => void): void {
  setImmediate(run);
}

export interface EventLoopWatch {
  /** The longest time that the loop was blocked since the last call. */
  takeMaxMs(): number;
  stop(): void;
}

/**
 * Measures how long the event loop is blocked, until it is stopped. Does not keep the process
 * alive.
 */
export function watchEventLoop(): EventLoopWatch {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  return {
    takeMaxMs() {
      const maxMs = delays.max / NANOSECONDS_PER_MS;
      delays.reset();
      // What is measured contains the time between two looks. Before the first one there is
      // nothing.
      return Math.max(0, maxMs - RESOLUTION_MS);
    },
    stop() {
      delays.disable();
    },
  };
}
