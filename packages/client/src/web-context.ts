/**
 * Contexts of platforms that cannot tell two chains of asynchronous calls apart: browsers, workers, edge runtimes.
 *
 * A value that outlived a synchronous task would be seen by whatever else runs meanwhile: the data of one user in the events of another. So only
 * synchronous tasks have a value of their own, and what is asynchronous is refused instead of guessed.
 */
import type { Context } from "./options.ts";

const NO_CHAINS = "this platform cannot tell asynchronous calls apart";

export function createContext<T>(isShared: boolean): Context<T> {
  let current: T | undefined;
  let depth = 0;
  return {
    get: () => current,
    set(value) {
      if (isShared && depth === 0)
        throw new TypeError(
          `${NO_CHAINS}: data that all callers share is set within with() only; bind() gives a scope of your own`,
        );
      current = value;
    },
    run(value, task, ...args) {
      // Before it begins, where that can be seen: nothing is half done then.
      if (isAsyncFunction(task)) throw asynchronous();
      const before = current;
      current = value;
      depth += 1;
      let result: ReturnType<typeof task>;
      try {
        result = task(...args);
      } finally {
        depth -= 1;
        current = before;
      }
      if (!isThenable(result)) return result;
      // The caller gets this error instead of what the promise ends with.
      result.then(undefined, () => undefined);
      throw asynchronous();
    },
  };
}

function asynchronous(): TypeError {
  return new TypeError(
    `${NO_CHAINS}: with() takes synchronous functions only; for others use the scope that bind() returns`,
  );
}

function isAsyncFunction(task: unknown): boolean {
  return Object.prototype.toString.call(task) === "[object AsyncFunction]";
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { readonly then?: unknown } | null | undefined)?.then === "function";
}
