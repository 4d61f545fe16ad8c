/**
 * Which request brought which events, for as long as this process remembers: a delivery links to
 * the spans of the requests whose events it holds. In memory alone, and bounded: the oldest are
 * forgotten first, and a start begins with none.
 */
import type { SpanContext } from "@opentelemetry/api";
import type { Position, Run } from "@waybill/log";

/** Requests remembered of an environment: some 3 MB. */
const REQUESTS_MAX = 10_000;

interface Stored {
  readonly first: Position;
  readonly end: Position;
  readonly span: SpanContext;
}

export class SpanIndex {
  /** In the order of positions. */
  #stored: Stored[] = [];

  /** The events of a request are stored from `first` on. */
  note({ first, count }: Run, span: SpanContext): void {
    const noted = { first, end: first + count, span };
    // What was appended together comes one after another, nearly always in its order.
    let at = this.#stored.length;
    while (at > 0 && (this.#stored[at - 1] as Stored).first > first) at -= 1;
    this.#stored.splice(at, 0, noted);
    // Halved at once: to remove the oldest each time would move all others.
    if (this.#stored.length > REQUESTS_MAX) this.#stored = this.#stored.slice(REQUESTS_MAX / 2);
  }

  /**
   * The requests of the events in `runs`, each once, at most `max`. `isWhole`: of every event the
   * request is among them.
   */
  of(runs: readonly Run[], max: number): { readonly spans: readonly SpanContext[]; readonly isWhole: boolean } {
    const spans = new Set<SpanContext>();
    let isWhole = true;
    for (const { first, count } of runs) {
      let covered = 0;
      for (let at = this.#firstAfter(first); at < this.#stored.length; at++) {
        const stored = this.#stored[at] as Stored;
        if (stored.first >= first + count) break;
        if (spans.size >= max && !spans.has(stored.span)) return { spans: [...spans], isWhole: false };
        spans.add(stored.span);
        covered += Math.min(stored.end, first + count) - Math.max(stored.first, first);
      }
      if (covered < count) isWhole = false;
    }
    return { spans: [...spans], isWhole };
  }

  /** The first that ends after `position`. */
  #firstAfter(position: Position): number {
    let low = 0;
    let high = this.#stored.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#stored[middle] as Stored).end > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
