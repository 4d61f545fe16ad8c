/**
 * What a Segment request carries beside its events: `context` and `integrations`, which the vendor
 * merges into each event, and the sender's clock. Events are batched with others of equal metadata
 * only, so their bytes need no change.
 *
 * As text: `{"context":…,"integrations":…,"skewMs":…}` in this order, absent members left out, ""
 * when all are.
 */

export interface SegmentMetadata {
  /** Raw JSON of an object. */
  readonly context?: string | undefined;
  /** Raw JSON of an object. */
  readonly integrations?: string | undefined;
  /** How far the sender's clock was behind ours, whole seconds. */
  readonly skewMs?: number | undefined;
}

/** Clocks closer than this are taken for equal: the time on the way is in the difference too. */
const SKEW_MIN_MS = 2_000;
const SECOND_MS = 1_000;
const SKEW_MEMBER = /(?:^\{|,)"skewMs":(-?\d+)\}$/;

export function encodeMetadata({ context, integrations, skewMs }: SegmentMetadata): string {
  const members: string[] = [];
  if (context !== undefined) members.push(`"context":${context}`);
  if (integrations !== undefined) members.push(`"integrations":${integrations}`);
  if (skewMs !== undefined && skewMs !== 0) members.push(`"skewMs":${skewMs}`);
  return members.length === 0 ? "" : `{${members.join(",")}}`;
}

/** The members to send beside the events (each with a comma before it) and the skew. */
export function decodeMetadata(metadata: string): { readonly members: string; readonly skewMs: number } {
  const skew = SKEW_MEMBER.exec(metadata);
  // Up to the comma before the skew; alone it has none. Without it up to the closing brace.
  const members = metadata.slice(1, skew === null ? -1 : skew.index || 1);
  return { members: members && `,${members}`, skewMs: Number(skew?.[1] ?? 0) };
}

/** With the members beside the events changed. **Errors**: throws when they are not JSON. */
export function redactShared(
  metadata: string,
  change: (shared: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>,
): string {
  if (!metadata.startsWith("{")) return metadata;
  const { skewMs, ...shared } = JSON.parse(metadata) as { readonly skewMs?: number };
  const { context, integrations } = change(shared);
  return encodeMetadata({
    context: context === undefined ? undefined : JSON.stringify(context),
    integrations: integrations === undefined ? undefined : JSON.stringify(integrations),
    skewMs,
  });
}

/**
 * Received minus sent, rounded to whole seconds so that few values occur; 0 below two seconds or
 * for a text that is not a time.
 */
export function skewOf(sentAt: string | undefined, receivedAtMs: number): number {
  const sentAtMs = sentAt === undefined ? undefined : parseTime(sentAt);
  if (sentAtMs === undefined) return 0;
  const skewMs = Math.round((receivedAtMs - sentAtMs) / SECOND_MS) * SECOND_MS;
  return Math.abs(skewMs) < SKEW_MIN_MS ? 0 : skewMs;
}

const TIME = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(\.\d{1,9})?(Z|[+-]\d{2}:?\d{2})?$/i;

/**
 * ISO 8601 with any precision up to nanoseconds, with or without an offset (then UTC), in epoch ms.
 */
export function parseTime(text: string): number | undefined {
  const match = TIME.exec(text);
  if (match === null) return undefined;
  const [, date, time, fraction = "", offset = "Z"] = match;
  const zone = /^[+-]\d{4}$/.test(offset) ? `${offset.slice(0, 3)}:${offset.slice(3)}` : offset.toUpperCase();
  const ms = Date.parse(`${date}T${time}${fraction.slice(0, 4)}${zone}`);
  return Number.isNaN(ms) ? undefined : ms;
}
