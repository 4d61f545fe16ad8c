/**
 * Contexts of platforms that cannot distinguish two chains of asynchronous calls: browsers,
 * workers, edge runtimes.
 *
 * A value that outlived a synchronous task would be seen by whatever else runs meanwhile: the data
 * of one user in the events of another. So only synchronous tasks have a value of their own, and
 * what is asynchronous is refused instead of guessed.
 */
import type { Context } from "../options.ts";

export function createContext<T>(): Context<T> {
  let current: T | undefined;
  return {
    get: () => current,
    run(value, task, ...args) {
      // Before it begins, where that can be seen: nothing is half done then.
      if (isAsyncFunction(task)) throw asynchronous();
      const before = current;
      current = value;
      let result: ReturnType<typeof task>;
      try {
        result = task(...args);
      } finally {
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
    "this platform cannot distinguish asynchronous calls: with() takes synchronous functions only; for others use the scope that bind() returns",
  );
}

function isAsyncFunction(task: unknown): boolean {
  return Object.prototype.toString.call(task) === "[object AsyncFunction]";
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { readonly then?: unknown } | null | undefined)?.then === "function";
}
