import type { Share } from "./shares.ts";

/** What waits for its turn. */
export interface Waiting {
  readonly share: Share;
  /** In bytes of work. */
  readonly cost: number;
}

interface Line<Item> {
  readonly share: Share;
  items: Item[];
  /** The first of `items` that still waits. */
  head: number;
  credit: number;
}

/** What a share may do before it is the next one's turn. */
const QUANTUM_BYTES = 64 * 1024;

/**
 * Lines of work, one for each share, served in turn so that each gets the same number of bytes
 * done, whatever the size of its pieces (deficit round robin: Shreedhar and Varghese, 1996). Within
 * a line order holds.
 */
export class FairQueue<Item extends Waiting> {
  readonly #lines = new Map<Share, Line<Item>>();
  #activeLines: Line<Item>[] = [];
  #at = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: Item): void {
    const { share } = item;
    let line = this.#lines.get(share);
    if (line === undefined) {
      line = { share, items: [], head: 0, credit: 0 };
      this.#lines.set(share, line);
      this.#activeLines.push(line);
    }
    line.items.push(item);
    share.waiting += 1;
    this.#size += 1;
  }

  /** The next one, which waits no longer. */
  next(): Item | undefined {
    if (this.#size === 0) return undefined;
    for (;;) {
      if (this.#at >= this.#activeLines.length) this.#at = 0;
      const line = this.#activeLines[this.#at] as Line<Item>;
      const item = line.items[line.head] as Item;
      if (line.credit < item.cost) {
        line.credit += QUANTUM_BYTES;
        this.#at += 1;
        continue;
      }
      line.credit -= item.cost;
      line.head += 1;
      this.#size -= 1;
      item.share.waiting -= 1;
      if (line.head === line.items.length) this.#remove(line);
      else if (line.head > line.items.length / 2) {
        line.items = line.items.slice(line.head);
        line.head = 0;
      }
      return item;
    }
  }

  #remove(line: Line<Item>): void {
    this.#lines.delete(line.share);
    this.#activeLines.splice(this.#at, 1);
  }
}
