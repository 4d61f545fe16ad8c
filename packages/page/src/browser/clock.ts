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

export function every(ms: number, run: () => void): Timer {
  const id = setInterval(run, ms);
  return { cancel: () => clearInterval(id) };
}
