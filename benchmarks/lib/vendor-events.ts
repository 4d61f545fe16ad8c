/**
 * For each vendor: an event as the relay's log has it when the vendor's own client sent it, and the
 * vendor's success. `distance.test.ts` holds both against the adapters and the emulators.
 */
import { type Mark, markMember } from "./marks.ts";

export const BENCH_VENDORS = [
  "segment",
  "posthog",
  "launchdarkly",
  "getfluxly",
  "letter",
  "trophy",
  "valued",
  "amplitude",
  "mixpanel",
  "http",
] as const;
export type BenchVendor = (typeof BENCH_VENDORS)[number];

/** What was in a request, as far as answers depend on it. */
export interface AnsweredRequest {
  readonly events: number;
  readonly bytes: number;
  readonly idempotencyKey?: string | undefined;
}

export interface VendorAnswer {
  readonly status: number;
  readonly body: string;
}

export interface VendorEvents {
  /** How the source of these events is configured. */
  readonly protocol: string;
  /** How the destination is, beside its vendor. */
  readonly destination: (origin: string) => Readonly<Record<string, unknown>>;
  /** Where the vendor's own client sends its events to the relay. */
  readonly path: string;
  /** What is stored with the events of one request. */
  readonly metadata: string;
  /** How many events its client puts into one request. */
  readonly perRequest: number;
  readonly event: (mark: Mark) => string;
  /** Its success. */
  readonly answer: (request: AnsweredRequest) => VendorAnswer;
}

/** Makes an event about 300 bytes long. */
const NOTE: string = "x".repeat(96);
const AT = "2026-11-21T00:00:00.000Z";
const DAY = "2026-11-21";
const AT_MS = 1_795_219_200_000;
const PROPERTIES: string = `"total":42,"currency":"EUR","note":"${NOTE}"`;

/** A UUID that says which event it is. */
function idOf({ ordinal }: Mark): string {
  return `01a1fbe8-3ed8-4000-8000-${String(ordinal).padStart(12, "0")}`;
}

function userOf({ user }: Mark): string {
  return `user-${String(user).padStart(6, "0")}`;
}

const withKey = (origin: string): Readonly<Record<string, unknown>> => ({ url: origin, writeKey: "bench" });

const segment: VendorEvents = {
  protocol: "segment",
  destination: withKey,
  path: "/v1/batch",
  metadata: "",
  perRequest: 100,
  event: (mark) =>
    `{"type":"track","messageId":"${idOf(mark)}","timestamp":"${AT}","userId":"${userOf(mark)}",` +
    `"event":"Order Completed","properties":{${markMember(mark)},${PROPERTIES}}}`,
  answer: () => ({ status: 200, body: '{"success":true}' }),
};

const posthog: VendorEvents = {
  protocol: "posthog",
  destination: withKey,
  path: "/batch/",
  metadata: "posthog",
  perRequest: 100,
  event: (mark) =>
    `{"event":"order_completed","distinct_id":"${userOf(mark)}","uuid":"${idOf(mark)}","timestamp":"${AT}",` +
    `"properties":{${markMember(mark)},${PROPERTIES}}}`,
  answer: () => ({ status: 200, body: '{"status":1}' }),
};

const launchdarkly: VendorEvents = {
  protocol: "launchdarkly",
  destination: withKey,
  path: "/bulk",
  metadata: "launchdarkly server 4 ",
  perRequest: 100,
  event: (mark) =>
    `{"kind":"custom","creationDate":${AT_MS},"key":"order-completed","context":{"kind":"user","key":"${userOf(mark)}"},` +
    `"data":{${markMember(mark)},${PROPERTIES}}}`,
  answer: () => ({ status: 202, body: "" }),
};

const getfluxly: VendorEvents = {
  protocol: "getfluxly",
  destination: withKey,
  path: "/v1/events/batch",
  metadata: "getfluxly",
  perRequest: 100,
  event: (mark) =>
    `{"event":"order_completed","external_id":"${userOf(mark)}","message_id":"${idOf(mark)}","occurred_at":"${AT}",` +
    `"properties":{${markMember(mark)},${PROPERTIES}}}`,
  answer: ({ events }) => ({
    status: 202,
    body: `{"accepted":${events},"rejected":0,"errors":[],"request_id":"req_1"}`,
  }),
};

const letter: VendorEvents = {
  protocol: "letter",
  destination: withKey,
  path: "/v1/batch",
  metadata: "letter",
  perRequest: 100,
  event: (mark) =>
    `{"type":"track","userId":"${userOf(mark)}","event":"order_completed","messageId":"${idOf(mark)}","timestamp":"${AT}",` +
    `"properties":{${markMember(mark)},${PROPERTIES}}}`,
  answer: ({ events }) => ({ status: 200, body: `{"ok":true,"accepted":${events},"duplicates":0}` }),
};

const trophy: VendorEvents = {
  protocol: "trophy",
  destination: withKey,
  path: "/v1/metrics/orders/event",
  metadata: "trophy",
  perRequest: 1,
  event: (mark) =>
    `{"metric":"orders","key":"${idOf(mark)}","body":` +
    `{"user":{"id":"${userOf(mark)}"},"value":1,"attributes":{${markMember(mark)},"note":"${NOTE}"}}}`,
  answer: ({ idempotencyKey = "" }) => ({
    status: 201,
    body: JSON.stringify({
      eventId: "event-1",
      metricId: "metric-orders",
      total: 1,
      achievements: [],
      currentStreak: { length: 1, frequency: "daily", started: DAY, periodStart: DAY, periodEnd: DAY, extended: true },
      points: {},
      leaderboards: {},
      idempotencyKey,
      idempotentReplayed: false,
    }),
  }),
};

const valued: VendorEvents = {
  protocol: "valued",
  destination: (origin) => ({ url: `${origin}/events`, writeKey: "bench" }),
  path: "/events",
  metadata: "valued",
  perRequest: 1,
  event: (mark) =>
    `{"category":"action","key":"order.completed","user":{"id":"${userOf(mark)}"},"occured_at":"${AT}",` +
    `"attributes":{${markMember(mark)},${PROPERTIES}}}`,
  answer: () => ({ status: 202, body: '{"status":"accepted"}' }),
};

const amplitude: VendorEvents = {
  protocol: "amplitude",
  destination: withKey,
  path: "/2/httpapi",
  metadata: "amplitude",
  perRequest: 100,
  event: (mark) =>
    `{"event_type":"Order Completed","user_id":"${userOf(mark)}","insert_id":"${idOf(mark)}","time":${AT_MS},` +
    `"event_properties":{${markMember(mark)},${PROPERTIES}}}`,
  answer: ({ events, bytes }) => ({
    status: 200,
    body: `{"code":200,"events_ingested":${events},"payload_size_bytes":${bytes},"server_upload_time":${AT_MS}}`,
  }),
};

const mixpanel: VendorEvents = {
  protocol: "mixpanel",
  destination: withKey,
  path: "/import",
  metadata: "mixpanel",
  perRequest: 100,
  event: (mark) =>
    `{"event":"Order Completed","properties":{"time":${AT_MS},"distinct_id":"${userOf(mark)}","$insert_id":"${idOf(mark)}",` +
    `${markMember(mark)},${PROPERTIES},"ip":0}}`,
  answer: ({ events }) => ({ status: 200, body: `{"code":200,"num_records_imported":${events},"status":"OK"}` }),
};

/** Any address, with events of Segment's. */
const http: VendorEvents = {
  ...segment,
  destination: (origin) => ({ url: origin }),
  answer: () => ({ status: 200, body: "" }),
};

export const VENDOR_EVENTS: Readonly<Record<BenchVendor, VendorEvents>> = {
  segment,
  posthog,
  launchdarkly,
  getfluxly,
  letter,
  trophy,
  valued,
  amplitude,
  mixpanel,
  http,
};
