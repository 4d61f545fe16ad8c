/** What a case says when something did not hold. */
export class Broken extends Error {}

/** Why a case cannot run here. It is not counted then. */
export class Skipped extends Error {}

/** **Errors**: {@link Broken} with `seen` unless `holds`. */
export function check(holds: boolean, seen: string): asserts holds {
  if (!holds) throw new Broken(seen);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const LOOK_EVERY_MS = 25;

/** Waits until `look` is true. **Errors**: {@link Broken} with `seen` after `ms`. */
export async function until(
  look: () => boolean | Promise<boolean>,
  ms: number,
  seen: string | (() => string),
): Promise<void> {
  const endsAtMs = performance.now() + ms;
  for (;;) {
    if (await look()) return;
    if (performance.now() > endsAtMs) throw new Broken(typeof seen === "string" ? seen : seen());
    await pause(LOOK_EVERY_MS);
  }
}

/** `work`, or {@link Broken} with `seen` when it takes longer than `ms`. */
export async function within<T>(ms: number, work: Promise<T>, seen: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Broken(seen)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** At most the first `max` characters. */
export function cut(text: string, max = 200): string {
  return text.length <= max ? text : `${text.slice(0, max)}… (${text.length} characters)`;
}

/** `work` for each item, `parallel` at once. */
export async function inParallel<T>(
  items: readonly T[],
  parallel: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) await work(items[next++] as T);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}
