/** What is made of totals that are read once a second: rates, and what came lately. */

/** Points in time, a second apart: the rate is that of the last ten seconds. */
const POINTS = 11;
const SECOND_MS = 1_000;

/** The rate of a total over the last ten seconds, or the time since it is known. */
export class Rate {
  readonly #totals = new Float64Array(POINTS);
  readonly #times = new Float64Array(POINTS);
  #noted = 0;

  /** `atMs` is monotonic. A total that has shrunk begins anew. */
  note(total: number, atMs: number): void {
    if (this.#noted > 0 && total < (this.#totals[(this.#noted - 1) % POINTS] as number)) this.#noted = 0;
    this.#totals[this.#noted % POINTS] = total;
    this.#times[this.#noted % POINTS] = atMs;
    this.#noted += 1;
  }

  get perSecond(): number {
    if (this.#noted < 2) return 0;
    const last = (this.#noted - 1) % POINTS;
    const first = this.#noted > POINTS ? this.#noted % POINTS : 0;
    const tookMs = (this.#times[last] as number) - (this.#times[first] as number);
    if (tookMs <= 0) return 0;
    const perSecond = (((this.#totals[last] as number) - (this.#totals[first] as number)) * SECOND_MS) / tookMs;
    return Number(perSecond.toFixed(1));
  }
}

/** So many parts a window has: what is counted is forgotten by parts. */
const PARTS = 12;

interface Part {
  readonly atMs: number;
  grown: number;
}

/** How much a total has grown lately. */
export class RecentGrowth {
  readonly #windowMs: number;
  readonly #parts: Part[] = [];
  #total: number | undefined;
  /** Epoch ms. */
  #firstAt: number | undefined;

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** What there is at the first call is old. */
  note(total: number, { monotonicMs, nowMs }: { readonly monotonicMs: number; readonly nowMs: number }): void {
    const grown = total - (this.#total ?? total);
    this.#total = total;
    while (this.#parts[0] !== undefined && monotonicMs - this.#parts[0].atMs > this.#windowMs) this.#parts.shift();
    if (this.#parts.length === 0) this.#firstAt = undefined;
    if (grown <= 0) return;
    this.#firstAt ??= nowMs;
    const last = this.#parts.at(-1);
    if (last !== undefined && monotonicMs - last.atMs < this.#windowMs / PARTS) last.grown += grown;
    else this.#parts.push({ atMs: monotonicMs, grown });
  }

  get events(): number {
    return this.#parts.reduce((sum, { grown }) => sum + grown, 0);
  }

  /** When it began to grow after a quiet window, epoch ms. */
  get since(): number | undefined {
    return this.#firstAt;
  }
}
