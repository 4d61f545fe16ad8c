import type { Batch } from "./delivery.ts";

export interface TextBatchOptions {
  readonly key: string;
  readonly metadata: string;
  readonly oldestAtMs: number;
  readonly texts: readonly string[];
  readonly sizes: readonly number[];
  /** The batch whose events these are translations of, and the index of each in it. */
  readonly source?: BatchSource | undefined;
}

export interface BatchSource {
  readonly batch: Batch;
  readonly indexes: readonly number[];
}

/** A batch over texts in memory; `sizes` are their bytes as UTF-8. */
export class TextBatch implements Batch {
  readonly #options: TextBatchOptions;
  readonly bytes: number;

  constructor(options: TextBatchOptions) {
    this.#options = options;
    this.bytes = options.sizes.reduce((total, size) => total + size, options.sizes.length - 1);
  }

  get key(): string {
    return this.#options.key;
  }

  get count(): number {
    return this.#options.texts.length;
  }

  get metadata(): string {
    return this.#options.metadata;
  }

  get oldestAtMs(): number {
    return this.#options.oldestAtMs;
  }

  get body(): readonly string[] {
    return [this.#options.texts.join(",")];
  }

  get source(): BatchSource | undefined {
    return this.#options.source;
  }

  event(index: number): string {
    return this.#options.texts[index] as string;
  }

  eventKey(index: number): string {
    return `${this.#options.key}-${index}`;
  }

  slice(start: number, end: number): Batch {
    const { key, texts, sizes, source } = this.#options;
    return new TextBatch({
      ...this.#options,
      key: `${key}.${start}-${end}`,
      texts: texts.slice(start, end),
      sizes: sizes.slice(start, end),
      source: source && { ...source, indexes: source.indexes.slice(start, end) },
    });
  }
}
