/**
 * The vendors that `waybill dev` delivers to: emulators of Segment with bad moments, each in its
 * own way, so that there is something to watch. What they do follows from the seed and the time
 * since they were made.
 */
import type { Clock } from "@waybill/core";
import {
  SeededRandom,
  SegmentEmulator,
  type ServerHandler,
  type ServerRequest,
  type ServerResponse,
} from "@waybill/testing";

export const VENDORS = ["analytics", "warehouse", "marketing"] as const;
export type VendorName = (typeof VENDORS)[number];

export interface DevVendors {
  readonly handlers: Readonly<Record<VendorName, ServerHandler>>;
  /** From now on they answer at once; what they refuse for good they still refuse. */
  recover(): void;
}

/** What each does, for a person to read. */
export const HABITS: readonly string[] = [
  "analytics answers now fast, now slowly, and fails now and then",
  "warehouse is down for 6 s of every 20 s",
  "marketing refuses some events, and too many requests at once",
];

type Event = Readonly<Record<string, unknown>>;

interface Refusal {
  readonly code: string;
  readonly message: string;
}

const KEEPS_IDS = 1_000_000;
/** The warehouse is down in this part of each cycle. */
const OUTAGE = { everyMs: 20_000, fromMs: 8_000, toMs: 14_000 };
const WAVE_MS = 45_000;
const LATENCY_MS = { least: 10, wave: 60, jitter: 30 };
const FAILS = 0.03;
const THROTTLES = 0.04;
const TOTAL_MAX = 40;
/** In every second of these spans the tracking plan lacks an event: a retry later works. */
const PLAN_CHANGES_MS = 30_000;

export function createDevVendors({ clock, seed }: { readonly clock: Clock; readonly seed: number }): DevVendors {
  const startedAt = clock.monotonic();
  const elapsed = (): number => clock.monotonic() - startedAt;
  let isWell = false;
  const vendor = (
    index: number,
    answer: (serve: ServerHandler, random: SeededRandom) => ServerHandler,
  ): ServerHandler => {
    const emulator = new SegmentEmulator({ clock, keepEvents: 0, keepIds: KEEPS_IDS });
    return answer(emulator.handle, new SeededRandom(seed + index));
  };
  return {
    handlers: {
      analytics: vendor(0, (serve, random) => async (request) => {
        if (isWell) return serve(request);
        const { least, wave, jitter } = LATENCY_MS;
        const height = 1 + Math.sin((2 * Math.PI * elapsed()) / WAVE_MS);
        const delayMs = least + wave * height + jitter * random.next();
        if (random.next() < FAILS) return { ...failure(500, "internal", "something broke"), delayMs };
        return { ...(await serve(request)), delayMs };
      }),
      warehouse: vendor(1, (serve) => (request) => {
        const at = elapsed() % OUTAGE.everyMs;
        const isDown = !isWell && at >= OUTAGE.fromMs && at < OUTAGE.toMs;
        return isDown ? failure(503, "unavailable", "down for maintenance") : serve(request);
      }),
      marketing: vendor(2, (serve, random) => (request) => {
        if (!isWell && random.next() < THROTTLES)
          return { ...failure(429, "too_many_requests", "slow down"), headers: { "retry-after": "1" } };
        const isInPlan = isWell || Math.floor(elapsed() / PLAN_CHANGES_MS) % 2 === 1;
        return partly(request, serve, (event) => refusalOf(event, isInPlan));
      }),
    },
    recover() {
      isWell = true;
    },
  };
}

function refusalOf({ event, userId, properties }: Event, isInPlan: boolean): Refusal | undefined {
  if (userId === "user-13") return { code: "user_suppressed", message: "this user asked not to be contacted" };
  if (event === "Product Shared" && !isInPlan)
    return { code: "unknown_event", message: "Product Shared is not in the tracking plan" };
  const { total } = (properties ?? {}) as { readonly total?: unknown };
  if (typeof total === "number" && total > TOTAL_MAX)
    return { code: "value_out_of_range", message: `total must be at most ${TOTAL_MAX}` };
  return undefined;
}

/** Takes a batch but for the events that are refused, and says which those are. */
async function partly(
  request: ServerRequest,
  serve: ServerHandler,
  refuse: (event: Event) => Refusal | undefined,
): Promise<ServerResponse> {
  const body = JSON.parse(new TextDecoder().decode(request.body)) as { readonly batch?: readonly Event[] };
  const batch = body.batch ?? [];
  const rejected = batch.flatMap((event, index) => {
    const refusal = refuse(event);
    return refusal === undefined ? [] : [{ index, ...refusal }];
  });
  if (rejected.length === 0) return serve(request);
  const refused = new Set(rejected.map(({ index }) => index));
  const kept = { ...body, batch: batch.filter((_, index) => !refused.has(index)) };
  const response = await serve({ ...request, body: new TextEncoder().encode(JSON.stringify(kept)) });
  return response.status === 200 ? { ...response, body: JSON.stringify({ success: true, rejected }) } : response;
}

function failure(status: number, code: string, message: string): ServerResponse {
  return {
    status,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ success: false, code, message }),
  };
}
