/** What the way in knows of an environment. */
import type { HttpResponse } from "@waybill/core";
import type { Entry, Log, Position } from "@waybill/log";
import type { PassthroughRequest, Vendor } from "@waybill/vendors/registry";
import type { SourceConfig } from "../config/types.ts";
import type { Exchanges } from "../delivery/exchanges.ts";
import type { MemoryRelay } from "../launchdarkly/memory-relay.ts";
import type { KafkaRange } from "../receipt.ts";
import type { StoredIds } from "./stored-ids.ts";

interface AnyEnvironment {
  readonly name: string;
  readonly exchanges: Pick<Exchanges, "answerTo">;
  /** Where a source's events are kept in memory; `undefined` when they are stored. */
  memoryOf(source: SourceConfig): MemoryRelay | undefined;
  /** Sends a request that is not an event to the destination of a vendor. */
  passThrough(
    of: { readonly source: string; readonly vendor: Vendor },
    request: PassthroughRequest,
    deadlineMs: number,
  ): Promise<HttpResponse | undefined>;
}

/** Its log is here, and so are the ids of what was stored. */
export interface StoredHere extends AnyEnvironment {
  readonly cluster?: undefined;
  readonly log: Pick<Log, "append" | "appendAll" | "barrier">;
  readonly ids: StoredIds;
}

/** Its log is on other machines, and finds duplicates by itself. */
export interface StoredInCluster extends AnyEnvironment {
  readonly cluster: ClusterLog;
  readonly ids?: undefined;
}

export interface Stored {
  /** Of the first event that was new, where the log is here. */
  readonly first: Position | undefined;
  /** Of the first event, where the log is on other machines. */
  readonly place?: KafkaRange | undefined;
  readonly kept: number;
  readonly duplicates: number;
  /** `undefined` when it is not known where any of them is. */
  readonly receipt: string | undefined;
}

/** Events to store, as far as a cluster has to know of them. */
export interface ClusterEvents {
  readonly source: { readonly config: Pick<SourceConfig, "name">; readonly counters: { accepted: number } };
  readonly receivedAtMs: number;
  readonly count: number;
  /** As `InboundPart.idPrefix`. */
  readonly idPrefix?: string | undefined;
  /** The record of those that are kept, all of them by default. */
  readonly entry: (keep: readonly boolean[] | undefined) => Omit<Entry, "source" | "receivedAtMs">;
}

export interface ClusterLog {
  /**
   * Stores the records of one request; resolves once each is on as many machines as it has to be.
   * **Errors**: retryable ones of the log, after which some of it may be stored, and duplicates
   * with it when it comes again; `WAYBILL_EVENT`.
   */
  ingest(parts: readonly ClusterEvents[]): Promise<readonly Stored[]>;
}

export type SourceEnvironment = StoredHere | StoredInCluster;
