/** Old events of LaunchDarkly's SDKs on their way out: one summariser per value of the metadata. */
import { type Rewrite, type Runtime, TextBatch } from "@waybill/core";
import { launchdarklyFormOf, launchdarklyMetadata, Summariser } from "@waybill/vendors";
import type { DestinationConfig } from "./config/types.ts";
import type { FlagSource } from "./flags.ts";

const SCHEMA = 3;
/** A summariser that was not used for so long is forgotten, unless it is the only one; its users are told of again. */
const UNUSED_MS = 3_600_000;
/** Values of the metadata that are remembered at once. They are the senders' own: without a limit memory would be theirs too. */
const SUMMARISERS_MAX = 100;

export function isSummarised(metadata: string): boolean {
  return (launchdarklyFormOf(metadata)?.schema ?? SCHEMA) < SCHEMA;
}

interface Used {
  readonly summariser: Summariser;
  atMs: number;
}

export function createSummaries({ inlineUsers }: DestinationConfig, flags: FlagSource, { clock }: Runtime): Rewrite {
  const summarisers = new Map<string, Used>();
  const summariserFor = (metadata: string, schema: number): Summariser => {
    const nowMs = clock.monotonic();
    for (const [key, { atMs }] of summarisers)
      if (summarisers.size > 1 && key !== metadata && nowMs - atMs > UNUSED_MS) summarisers.delete(key);
    let used = summarisers.get(metadata);
    if (used === undefined) {
      const options = { schema, inlineUsers, flag: (key: string) => flags.flag(key), now: () => clock.now() };
      used = { summariser: new Summariser(options), atMs: nowMs };
    }
    used.atMs = nowMs;
    // The one that was used last is at the end.
    summarisers.delete(metadata);
    summarisers.set(metadata, used);
    if (summarisers.size > SUMMARISERS_MAX) summarisers.delete(summarisers.keys().next().value as string);
    return used.summariser;
  };
  const decoder = new TextDecoder();
  return (batch) => {
    const form = launchdarklyFormOf(batch.metadata) ?? { sdk: "server", schema: 1, tags: "" };
    const events = Array.from({ length: batch.count }, (_, index) => {
      const event = batch.event(index);
      return typeof event === "string" ? event : decoder.decode(event);
    });
    const { texts, rejected, delivered } = summariserFor(batch.metadata, form.schema).summarise(events);
    const said = new TextBatch({
      key: batch.key,
      metadata: launchdarklyMetadata({ ...form, schema: SCHEMA }),
      oldestAtMs: batch.oldestAtMs,
      texts,
      sizes: texts.map((text) => Buffer.byteLength(text)),
    });
    return {
      batch: texts.length === 0 ? undefined : said,
      rejected,
      delivered: (attempt) => {
        const date = Date.parse(attempt?.response?.headers["date"] ?? "");
        delivered(Number.isNaN(date) ? undefined : date);
      },
    };
  };
}
