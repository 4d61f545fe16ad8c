import type { Clock } from "@waybill/core";
import type { TopicPartition } from "../broker.ts";
import type { Library } from "./library.ts";
import type { Address } from "./link.ts";
import type { Links } from "./links.ts";
import { batchMaxBytes, type Records } from "./record-batches.ts";
import { type ProduceAnswer, type ProduceAnswers, placeName, produceCall } from "./requests.ts";
import type { Within } from "./within.ts";

interface Batch extends TopicPartition {
  readonly records: Records;
  readonly within: Within;
}

interface WaitingBatch extends Batch {
  readonly maxBytes: number;
  readonly resolve: (answer: ProduceAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** A broker takes 100 MiB by default. */
const REQUEST_MAX_BYTES = 8 * 1024 * 1024;
/** Of what requests are written to, one after another. */
const MEMORY_BYTES = 1024 * 1024;
/**
 * So many microtasks a request waits for batches that come at the same moment, or next of the
 * partitions that were just answered: about twenty lie between.
 */
const GATHER_TURNS = 64;

/**
 * Batches for partitions that one broker leads share a request: it costs a broker and its followers
 * about as much for one partition as for many. One such request is under way to each broker; what
 * comes meanwhile goes with the next.
 *
 * A broker answers when the slowest partition of a request is done. So a partition whose last batch
 * was not acknowledged has requests of its own until one is: others do not wait for it.
 */
export class SharedProduce {
  readonly #library: Library;
  readonly #links: Links;
  /** By broker, while a request is under way to it. */
  readonly #waiting = new Map<string, WaitingBatch[]>();
  /** Partitions that have a batch under way, or whose last one was not acknowledged. */
  readonly #unacknowledged = new Set<string>();
  readonly #clock: Clock;
  #memory: Buffer | undefined;

  constructor(library: Library, links: Links, clock: Clock) {
    this.#library = library;
    this.#links = links;
    this.#clock = clock;
  }

  /** One attempt. **Errors**: `timeout`, and those of the connection. */
  async send(address: Address, batch: Batch): Promise<ProduceAnswer> {
    const name = placeName(batch);
    const isAlone = this.#unacknowledged.has(name);
    this.#unacknowledged.add(name);
    const answered = new Promise<ProduceAnswer>((resolve, reject) => {
      const waiting = { ...batch, maxBytes: batchMaxBytes(batch.records), resolve, reject };
      if (isAlone) void this.#request(address, [waiting]);
      else this.#share(address, waiting);
    });
    const answer = await batch.within.wait(answered);
    if (answer.errorCode === 0) this.#unacknowledged.delete(name);
    return answer;
  }

  #share(address: Address, waiting: WaitingBatch): void {
    const broker = `${address.host}:${address.port}`;
    const queue = this.#waiting.get(broker);
    if (queue !== undefined) {
      queue.push(waiting);
      return;
    }
    const started = [waiting];
    this.#waiting.set(broker, started);
    void this.#run(address, broker, started);
  }

  /** Until nothing waits. Never rejects. */
  async #run(address: Address, broker: string, queue: WaitingBatch[]): Promise<void> {
    do {
      // What comes at the same moment goes with it.
      for (let turn = 0; turn < GATHER_TURNS; turn++) await Promise.resolve();
      await this.#request(address, takeFrom(queue));
    } while (queue.length > 0);
    this.#waiting.delete(broker);
  }

  /** Has the time of the batch that has the most left. Never rejects. */
  async #request(address: Address, batches: readonly WaitingBatch[]): Promise<void> {
    const [first, ...others] = batches;
    if (first === undefined) return;
    const within = others.reduce((most, one) => (one.within.leftMs > most.leftMs ? one.within : most), first.within);
    try {
      const call = produceCall(this.#library, batches, {
        timeoutMs: within.leftWholeMs,
        nowMs: this.#clock.now(),
        memory: (bytes) => this.#memoryOf(bytes),
      });
      const answers: ProduceAnswers = await this.#links.to(address, "produce").call(call, within);
      for (const batch of batches) batch.resolve(answers.get(placeName(batch)) as ProduceAnswer);
    } catch (error) {
      for (const { reject } of batches) reject(error);
    }
  }

  /** The library copies what it sends at once. */
  #memoryOf(bytes: number): Buffer {
    if (bytes > MEMORY_BYTES) return Buffer.allocUnsafe(bytes);
    this.#memory ??= Buffer.allocUnsafeSlow(MEMORY_BYTES);
    return this.#memory;
  }
}

/**
 * The next request's: of each partition the first, for an answer tells no two of them apart. Those
 * whose time is over were answered.
 */
function takeFrom(queue: WaitingBatch[]): readonly WaitingBatch[] {
  const taken = new Map<string, WaitingBatch>();
  const left: WaitingBatch[] = [];
  let bytes = 0;
  for (const waiting of queue.splice(0)) {
    if (waiting.within.leftMs === 0) continue;
    const name = placeName(waiting);
    bytes += waiting.maxBytes;
    const fits = taken.size === 0 || bytes <= REQUEST_MAX_BYTES;
    if (fits && !taken.has(name)) taken.set(name, waiting);
    else left.push(waiting);
  }
  queue.push(...left);
  return [...taken.values()];
}
