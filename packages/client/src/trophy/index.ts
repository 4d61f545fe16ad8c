/**
 * Trophy's own client: metric events and the rest of the application API. Source: the vendor's
 * Ruby, Node and Python clients, read November 2026.
 */
import { createVendorHost } from "#host";
import { type TrophyClient as Client, createTrophyClientOn, type TrophyClientOptions } from "./client.ts";

export type { CanonicalEvent, EventMap, TrophyEvent, TrophyIdentify, TrophyMetric, TrophyUser } from "@waybill/vendors";
export type { RequestOptions, TrophyClientOptions, TrophyMetricEvent } from "./client.ts";
export { TrophyApiEnvironment, type TrophyApiEnvironmentUrls } from "./environment.ts";
export * from "./error.ts";
export type * from "./types.ts";

export type TrophyClient = Client;
export type { TrophyOptions } from "./destination.ts";
export { trophy } from "./destination.ts";

/**
 * @example
 * const trophy = new TrophyClient({ apiKey: "…" });
 * const { total, currentStreak } = await trophy.metrics.event({ key: "words-written", user: { id:
 * "u-7" }, value: 250 });
 */
export const TrophyClient: new (options: TrophyClientOptions) => TrophyClient = class {
  constructor(options: TrophyClientOptions) {
    // The methods come from a table.
    return createTrophyClientOn(createVendorHost(), options);
  }
} as new (
  options: TrophyClientOptions,
) => TrophyClient;
