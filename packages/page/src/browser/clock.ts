/** The one place of the page that reads the real clock and sets timers. */

export interface Timer {
  cancel(): void;
}

export function now(): number {
  return Date.now();
}

export function after(ms: number, run: () => void): Timer {
  const id = setTimeout(run, ms);
  return { cancel: () => clearTimeout(id) };
}

let lastTurn: Promise<void> = Promise.resolve();

/**
 * Resolves in a task of its own, each caller after the one before: what each does then does not
 * add up to one long task.
 */
export function ownTask(): Promise<void> {
  lastTurn = lastTurn.then(
    () =>
      new Promise((resolve) => {
        after(0, resolve);
      }),
  );
  return lastTurn;
}

export function every(ms: number, run: () => void): Timer {
  const id = setInterval(run, ms);
  return { cancel: () => clearInterval(id) };
}
