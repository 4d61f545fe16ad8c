/**
 * What a worker and the main thread tell each other in shared memory, so that an input that never
 * ends can be named.
 */
const FIELDS = ["iteration", "stop", "slowestMicros", "slowestAt", "inputs"] as const;
type Field = (typeof FIELDS)[number];

/** Instead of an iteration: the worker is still setting up, or already taking down. */
export const OPENING = -1;
export const CLOSING = -2;

/** `stop`: 0 go on, 1 stop once enough was run. */
export class Progress {
  readonly shared: SharedArrayBuffer;
  readonly #words: BigInt64Array;

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(FIELDS.length * BigInt64Array.BYTES_PER_ELEMENT)) {
    this.shared = shared;
    this.#words = new BigInt64Array(shared);
  }

  get(field: Field): number {
    return Number(Atomics.load(this.#words, FIELDS.indexOf(field)));
  }

  set(field: Field, value: number): void {
    Atomics.store(this.#words, FIELDS.indexOf(field), BigInt(Math.round(value)));
  }
}
