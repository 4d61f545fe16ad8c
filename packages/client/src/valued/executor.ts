/** Runs tasks. Replaceable: any object with `post`. */
export interface Executor {
  post(task: () => Promise<void>): void;
}

/** Starts each task at once, in the caller. */
export const immediate: Executor = {
  post(task) {
    void task();
  },
};

/** At most `size` tasks at a time; the others wait, in order. No limit to how many wait. */
export function pool(size: number): Executor {
  const waiting: (() => Promise<void>)[] = [];
  let running = 0;
  const next = (): void => {
    const task = running < size ? waiting.shift() : undefined;
    if (task === undefined) return;
    running += 1;
    void task().finally(() => {
      running -= 1;
      next();
    });
  };
  return {
    post(task) {
      waiting.push(task);
      // Not in the caller: that is what a pool is for.
      queueMicrotask(next);
    },
  };
}

const POOL_SIZE = 10;
const NAMES = ["VALUED_ENV", "RAILS_ENV", "APP_ENV", "RACK_ENV", "ENV", "NODE_ENV"] as const;

/** The first of {@link NAMES} that is set and not empty; `undefined` for none. */
export function environmentOf(read: (name: string) => string | undefined): string | undefined {
  return NAMES.map(read).find((value) => value !== undefined && value !== "");
}

/** `test`: immediate; `development`: one at a time; else a pool of ten. */
export function executorFor(environment: string | undefined): Executor {
  if (environment === "test") return immediate;
  return pool(environment === "development" ? 1 : POOL_SIZE);
}
