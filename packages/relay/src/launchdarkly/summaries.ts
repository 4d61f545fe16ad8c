/** Old events of LaunchDarkly's SDKs on their way out: one summariser per value of the metadata. */
import { type Rewrite, type Runtime, TextBatch } from "@waybill/core";
import {
  cleanupIntervalOf,
  IdleMap,
  launchdarklyMetadata,
  parseLaunchdarklyMetadata,
  Summariser,
} from "@waybill/vendors";
import type { FlagSource } from "./flags.ts";
import type { LaunchDarklyDestination } from "./options.ts";

const SCHEMA = 3;
/**
 * Values of the metadata that are remembered at once. They are the senders' own: without a limit
 * memory would be theirs too.
 */
const SUMMARISERS_MAX = 100;

export function isSummarised(metadata: string): boolean {
  return (parseLaunchdarklyMetadata(metadata)?.schema ?? SCHEMA) < SCHEMA;
}

export interface Summaries {
  readonly rewrite: Rewrite;
  /** Values of the metadata that are remembered. */
  readonly held: () => number;
  close(): void;
}

/**
 * A summariser that was not used for an interval is forgotten, unless it is the only one; its users
 * are announced again.
 */
export function createSummaries(
  { inlineUsers, eventQueueCleanupInterval }: LaunchDarklyDestination,
  flags: FlagSource,
  { clock }: Runtime,
): Summaries {
  const intervalMs = cleanupIntervalOf(eventQueueCleanupInterval, 0);
  const summarisers = new IdleMap<Summariser>({ clock, intervalMs });
  const summariserFor = (metadata: string, schema: number): Summariser => {
    const known = summarisers.use(metadata);
    if (known !== undefined) return known;
    const flag = (key: string): ReturnType<FlagSource["flag"]> => flags.flag(key);
    const summariser = new Summariser({ schema, inlineUsers, flag, now: () => clock.now() });
    summarisers.add(metadata, summariser);
    if (summarisers.size > SUMMARISERS_MAX) summarisers.deleteOldest();
    return summariser;
  };
  const decoder = new TextDecoder();
  return {
    held: () => summarisers.size,
    close: () => summarisers.close(),
    rewrite(batch) {
      const parsed = parseLaunchdarklyMetadata(batch.metadata) ?? { sdk: "server", schema: 1, tags: "" };
      const events = Array.from({ length: batch.count }, (_, index) => {
        const event = batch.event(index);
        return typeof event === "string" ? event : decoder.decode(event);
      });
      const { texts, rejected, delivered } = summariserFor(batch.metadata, parsed.schema).summarise(events);
      const summarised = new TextBatch({
        key: batch.key,
        metadata: launchdarklyMetadata({ ...parsed, schema: SCHEMA }),
        oldestAtMs: batch.oldestAtMs,
        texts,
        sizes: texts.map((text) => Buffer.byteLength(text)),
      });
      return {
        batch: texts.length === 0 ? undefined : summarised,
        rejected,
        delivered: (attempt) => {
          const date = Date.parse(attempt?.response?.headers["date"] ?? "");
          delivered(Number.isNaN(date) ? undefined : date);
        },
      };
    },
  };
}
