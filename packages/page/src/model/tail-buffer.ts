/** The newest events of a tail. Texts are parsed when they are shown: most of a burst never is. */
import type { TailEvent } from "../api/types.ts";

export interface TailRow {
  readonly key: number;
  readonly event: TailEvent;
}

export interface TailView {
  /** Newest first. */
  readonly rows: readonly TailRow[];
  readonly seen: number;
  /** What the relay left out because this reader was too slow. */
  readonly skipped: number;
}

export interface TailBuffer {
  add(text: string): void;
  skip(events: number): void;
  view(): TailView;
}

export function createTailBuffer(kept: number): TailBuffer {
  let texts: string[] = [];
  let rows: readonly TailRow[] = [];
  let seen = 0;
  let skipped = 0;
  return {
    add: (text) => {
      seen += 1;
      texts.push(text);
      // Twice, so that not each event moves all the others.
      if (texts.length >= 2 * kept) texts = texts.slice(-kept);
    },
    skip: (events) => {
      skipped += events;
    },
    view: () => {
      const newest = texts.slice(-kept);
      const first = seen - newest.length;
      const added = newest.map((text, index) => ({ key: first + index, event: JSON.parse(text) as TailEvent }));
      texts = [];
      rows = [...added.reverse(), ...rows].slice(0, kept);
      return { rows, seen, skipped };
    },
  };
}
