import type { TopicPartition } from "./broker.ts";

/** A partition that is ours, since the answer that brought it. */
export interface Holding {
  readonly partition: TopicPartition;
  /** The epoch of that answer. */
  readonly epoch: number;
  /** The host is asked to let go of it. */
  isRevoked: boolean;
}

/** What a member holds, and what it is to hold. */
export class Holdings {
  readonly #held = new Map<string, Holding>();
  /** By the broker's last word. */
  #wanted = new Map<string, TopicPartition>();

  get size(): number {
    return this.#held.size;
  }

  get partitions(): readonly TopicPartition[] {
    return [...this.#held.values()].map(({ partition }) => partition);
  }

  set wanted(partitions: readonly TopicPartition[]) {
    this.#wanted = new Map(
      partitions.map(({ topic, partition }) => [keyOf({ topic, partition }), { topic, partition }]),
    );
  }

  /** The one of these that is held: one that was given up and came back is another. */
  anyOf(partition: TopicPartition, holdings: readonly Holding[]): Readonly<Holding> | undefined {
    const held = this.#held.get(keyOf(partition));
    return held !== undefined && holdings.includes(held) ? held : undefined;
  }

  /** What has to be given up and was not asked for yet. */
  revoke(): readonly Holding[] {
    const revoked = [...this.#held].filter(([key, { isRevoked }]) => !isRevoked && !this.#wanted.has(key));
    for (const [, holding] of revoked) holding.isRevoked = true;
    return revoked.map(([, holding]) => holding);
  }

  /** What is to be held and is not yet. */
  gain(epoch: number): readonly Holding[] {
    const gained = [...this.#wanted].filter(([key]) => !this.#held.has(key));
    return gained.map(([key, partition]) => {
      const holding = { partition, epoch, isRevoked: false };
      this.#held.set(key, holding);
      return holding;
    });
  }

  /** They were let go of. False when all of them were gone already. */
  release(holdings: readonly Holding[]): boolean {
    const still = holdings.filter((holding) => this.#held.get(keyOf(holding.partition)) === holding);
    for (const { partition } of still) this.#held.delete(keyOf(partition));
    return still.length > 0;
  }

  clear(): void {
    this.#held.clear();
    this.#wanted.clear();
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}
