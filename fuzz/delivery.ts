/** Events as the log gives them, sent through a destination's chain on a virtual clock. */
import assert from "node:assert";
import { validateHeaderName, validateHeaderValue } from "node:http";
import { type HttpRequest, isFinal, Limiter, type Outcome, type SendContext, type Transport } from "@waybill/core";
import { LogBatch } from "@waybill/log";
import {
  createDestinationSender,
  type DestinationConfig,
  FileWriter,
  type RawDestination,
  resolveEnvironment,
} from "@waybill/relay/headless";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { VENDORS } from "@waybill/vendors/registry";

/** Longer than any Retry-After is honoured, and a few backoffs. */
export const PATIENCE_MS: number = 2 * 3_600_000;
const STATUSES: readonly Outcome["status"][] = ["delivered", "retryable", "rejected", "dropped", "halted"];
const COMMA = Buffer.from(",");

/** A destination of every vendor, and of each kind of thing that looks into events. */
const CHOOSY = {
  filter: { include: ["*a*", "E*", "*Order*Completed*"], exclude: ["*secret*", "x*y*z"] },
  sampleRate: 0.5,
  redact: ["context.ip", "properties.email", "user.email", "a.b.c", "toString", "__proto__.a"],
};
const MAPPED = { events: { E: "renamed", $identify: false, constructor: "c" } } as const;
const BASES: Readonly<Record<string, RawDestination>> = {
  ...Object.fromEntries(VENDORS.map((vendor) => [vendor, { vendor, writeKey: "k" }])),
  trophy: { vendor: "trophy", writeKey: "k", tenantId: "t" },
  launchdarkly: { vendor: "launchdarkly", writeKey: "k", mobileKey: "m", environmentId: "e" },
  http: { vendor: "http", url: "http://hook.test/?a=b", headers: { "X-A": "b" }, signingSecret: "long-secret" },
  array: { vendor: "http", url: "http://hook.test", format: "json" },
  file: { vendor: "file", path: "/files/events.ndjson", rotateBytes: 4_000 },
  "launchdarkly-server": { vendor: "launchdarkly", writeKey: "k", inlineUsers: true },
};
/** Few attempts within the time that is waited at most. */
const SLOW = { backoff: { base: 60_000, max: 60_000 }, timeout: 60_000 };

export const CHAINS: ReadonlyMap<string, DestinationConfig> = new Map(
  resolveEnvironment("fuzz", {
    sources: {},
    destinations: Object.fromEntries(
      Object.entries(BASES).flatMap(([name, base]) => [
        [name, { ...base, ...SLOW }],
        [`${name}-choosy`, { ...base, ...SLOW, ...CHOOSY }],
        [`${name}-mapped`, { ...base, ...SLOW, ...MAPPED, redact: ["properties"] }],
      ]),
    ),
  }).destinations.map((config) => [config.name, config]),
);

export interface Stored {
  readonly metadata: string;
  readonly events: readonly string[];
}

/**
 * **Errors**: the chain throws, ends without an outcome for each event, or does not end within
 * hours of virtual time.
 */
export async function sendThrough(
  config: DestinationConfig,
  stored: Stored,
  transport: Transport,
): Promise<readonly Outcome[]> {
  const clock = new VirtualClock();
  const runtime = { clock, random: new SeededRandom(1), transport, disk: new SimDisk() };
  const writer = new FileWriter(runtime);
  const limiter = new Limiter(clock, { maxInFlight: config.maxInFlight });
  const sender = createDestinationSender({ config, runtime, settings: { strict: false }, writer, limiter });
  const soon = new AbortController();
  const context: SendContext = {
    soon: soon.signal,
    now: soon.signal,
    watch: { attempted: (attempt) => void JSON.stringify(attempt), waiting: () => undefined, resumed: () => undefined },
  };
  let outcomes: readonly Outcome[] | undefined;
  let failure: { readonly error: unknown } | undefined;
  sender.send(batchOf(stored), context).then(
    (ended) => (outcomes = ended),
    (error: unknown) => (failure = { error }),
  );
  await clock.advance(0);
  if (outcomes === undefined && failure === undefined) await clock.advance(PATIENCE_MS);
  assert.ok(outcomes !== undefined || failure !== undefined, `no outcome after ${PATIENCE_MS} virtual ms`);
  sender.close();
  if (failure !== undefined) throw failure.error;
  const ended = outcomes as readonly (Outcome | undefined)[];
  assert.equal(ended.length, stored.events.length, "an outcome for each event");
  for (const outcome of Array.from(ended)) {
    assert.ok(outcome !== undefined && STATUSES.includes(outcome.status), `an outcome: ${JSON.stringify(outcome)}`);
    if ("reason" in outcome) assert.equal(typeof outcome.reason, "string");
  }
  return ended as readonly Outcome[];
}

/** What a vendor that takes everything can be blamed for: nothing. */
export function assertFinal(outcomes: readonly Outcome[]): void {
  for (const outcome of outcomes)
    assert.ok(isFinal(outcome), `stuck although the vendor takes everything: ${JSON.stringify(outcome)}`);
}

/** Refuses what `node:http` refuses, as it does. */
export function assertSpeakable({ method, url, headers, body }: HttpRequest): void {
  if (!/^[A-Z]+$/.test(method)) throw new TypeError(`Method must be a valid HTTP token ["${method}"]`);
  const { pathname, search } = new URL(url);
  if (/[^\u0021-\u00ff]/.test(`${pathname}${search}`))
    throw new TypeError("Request path contains unescaped characters");
  for (const [name, value] of Object.entries(headers)) {
    validateHeaderName(name);
    validateHeaderValue(name, value);
  }
  for (const chunk of body) Buffer.byteLength(chunk);
}

function batchOf({ metadata, events }: Stored): LogBatch {
  const bytes = events.map((event) => Buffer.from(event));
  const ends: number[] = [];
  let at = -1;
  for (const event of bytes) ends.push((at += 1 + event.length));
  const body = Buffer.concat(bytes.flatMap((event, index) => (index === 0 ? [event] : [COMMA, event])));
  const record = {
    first: 1_000,
    count: events.length,
    source: "fuzz",
    receivedAtMs: 1_767_225_600_000,
    metadata,
    body,
    ends: Uint32Array.from(ends),
    sizeBytes: body.length,
  };
  return new LogBatch("fuzz", [{ record, start: 0, end: events.length }]);
}
