/** The way in of an environment whose log is on Kafka. */
import { type Part, type Place, type Producer, partsOf, withNumberedIds } from "@waybill/log-kafka";
import { partitionKeysOf } from "@waybill/vendors/registry";
import { memberScanner } from "../intake/segment/batch-scanner.ts";
import type { ClusterEvents, ClusterLog, Stored } from "../intake/source-environment.ts";
import { printReceipt } from "../receipt.ts";

export interface ClusterIngestOptions {
  readonly environment: string;
  readonly partitions: number;
  readonly producer: Pick<Producer, "append">;
}

export class ClusterIngest implements ClusterLog {
  readonly #options: ClusterIngestOptions;

  constructor(options: ClusterIngestOptions) {
    this.#options = options;
  }

  /**
   * Everything is acknowledged, or the request is refused: what is stored of it then meets its
   * copies in the same partitions when it comes again.
   */
  async ingest(events: readonly ClusterEvents[]): Promise<readonly Stored[]> {
    const { producer } = this.#options;
    const [only] = events;
    if (only !== undefined && events.length === 1)
      // Not awaited: its parts would be in memory until the answer, with those of all that wait.
      return producer.append(this.#partsOf(only)).then((places) => [this.#stored(only, places)]);
    const split = events.map((one) => this.#partsOf(one));
    const places = await producer.append(split.flat());
    let at = 0;
    return events.map((one, index) => {
      const own: Place[] = [];
      for (const { entry } of split[index] as readonly Part[]) {
        // A part that is too large for one record has several.
        for (let left = entry.ends.length; left > 0; at++) {
          const place = places[at] as Place;
          own.push(place);
          left -= place.count;
        }
      }
      return this.#stored(one, own);
    });
  }

  #partsOf({ source, receivedAtMs, entry, idPrefix }: ClusterEvents): readonly Part[] {
    const plain = { source: source.config.name, receivedAtMs, ...entry(undefined) };
    const { metadata } = plain;
    // A copy of the request has the same events in the same partition.
    const whole = idPrefix === undefined ? plain : withNumberedIds(plain, { prefix: idPrefix, first: 0 });
    return partsOf(whole, this.#options.partitions, ({ body, ends }) =>
      partitionKeysOf({ body, ends, metadata }, memberScanner()),
    );
  }

  #stored({ source, count }: ClusterEvents, places: readonly Place[]): Stored {
    source.counters.accepted += count;
    // Which of them are copies is found when the log is read.
    const receipt = printReceipt(this.#options.environment, places);
    return { first: undefined, place: places[0], kept: count, duplicates: 0, receipt };
  }
}
