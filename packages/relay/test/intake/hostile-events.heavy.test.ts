/**
 * Whatever JSON is stored, in whatever vendor's wire format, each event has exactly one outcome at
 * each destination, also after a filter, a sample and a redaction; no lane fails or stops, and
 * the event beside it gets through.
 */
import { type HttpRequest, type HttpResponse, printable } from "@waybill/core";
import { Environment, resolveEnvironment } from "@waybill/relay/headless";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { writeTrophy } from "@waybill/vendors";
import { expect, onTestFinished, test } from "vitest";

const VENDORS = [
  "segment",
  "letter",
  "getfluxly",
  "trophy",
  "valued",
  "launchdarkly",
  "posthog",
  "http",
  "file",
] as const;
const CHOICES: Readonly<Record<string, object>> = {
  plain: {},
  filter: { filter: { types: ["track", "identify", "page"], include: ["*", "E*d*"], exclude: ["*never*"] } },
  sample: { sampleRate: 0.5 },
  redact: { redact: ["context.ip", "properties.email", "user", "0", "__proto__.x", "length", "constructor.name"] },
};

const destinations = Object.fromEntries(
  VENDORS.flatMap((vendor) =>
    Object.entries(CHOICES).map(([choice, more]) => [
      `${vendor}-${choice}`,
      {
        vendor,
        batch: { linger: "10ms" },
        ...(vendor === "file"
          ? { path: `/files/${choice}.ndjson` }
          : { url: `http://${vendor}-${choice}.test`, ...(vendor === "http" ? {} : { writeKey: "k" }) }),
        ...(vendor === "launchdarkly" ? { mobileKey: "m", environmentId: "e" } : {}),
        ...more,
      },
    ]),
  ),
);

const deep = `${'{"a":'.repeat(250)}1${"}".repeat(250)}`;
const wide = `{${Array.from({ length: 2_000 }, (_, index) => `"k${index}":${index}`).join(",")}}`;
/**
 * As JSON text, since some of it cannot be written otherwise: names twice, numbers that no number
 * holds, halves of characters.
 */
const VALUES: readonly string[] = [
  "null",
  "true",
  "0",
  "-0",
  "1e300",
  "-1e300",
  "1e999",
  "12345678901234567890123",
  '""',
  '"__proto__"',
  '"constructor"',
  '"toString"',
  '"\\ud800"',
  '"\\u0000\\u001b[2J\\n"',
  '"never\\u2028"',
  `"${"x".repeat(5_000)}"`,
  `"${"/".repeat(2_000)}x"`,
  "[]",
  "[null]",
  "[1,[2]]",
  "{}",
  '{"toString":null}',
  '{"toString":null,"valueOf":null}',
  '{"__proto__":{"toString":null}}',
  '{"__proto__":null,"constructor":null}',
  '{"toJSON":"x"}',
  '{"then":1}',
  '{"length":-1}',
  '{"id":{"toString":null},"key":{"valueOf":null},"ip":1,"ip":2}',
  deep,
  wide,
];

/** An event that its vendor takes, with every field that a converter reads. */
const BASES: Readonly<Record<string, object>> = {
  "": {
    type: "track",
    userId: "u",
    anonymousId: "a",
    messageId: "m",
    event: "Ended",
    timestamp: "2026-03-01T10:00:00.123Z",
    properties: { value: 1, email: "e", url: "u" },
    traits: {},
    context: { ip: "1", groupId: "g", timezone: "UTC", page: {} },
    integrations: { All: true },
    name: "n",
    category: "c",
    groupId: "g",
    previousId: "p",
  },
  letter: {
    type: "track",
    userId: "u",
    event: "Ended",
    email: "e",
    timezone: "UTC",
    traits: {},
    properties: {},
    accountId: "a",
    name: "n",
    messageId: "m",
  },
  getfluxly: {
    event: "ended",
    user_id: "u",
    external_id: "x",
    anonymous_id: "a",
    message_id: "m",
    occurred_at: "t",
    timestamp: "t",
    properties: {},
    traits: {},
    context: {},
  },
  "getfluxly alias:k": { user_id: "u", previous_id: "p", anonymous_id: "a" },
  valued: {
    category: "action",
    key: "Ended",
    user: { id: "u" },
    customer: { id: "c" },
    attributes: { source: {} },
    occured_at: "t",
    occurred_at: "t",
  },
  posthog: {
    event: "Ended",
    distinct_id: "u",
    properties: { $set: {}, distinct_id: "u", name: "n" },
    timestamp: "t",
    uuid: "m",
  },
  "launchdarkly server 4 ": {
    kind: "custom",
    key: "Ended",
    user: { key: "u" },
    userKey: "u",
    context: { key: "u" },
    contextKeys: { user: "u" },
    creationDate: 1,
    data: {},
    metricValue: 1,
  },
  "launchdarkly js 1 ": {
    kind: "feature",
    key: "flag",
    user: { key: "u", custom: {}, name: "n" },
    creationDate: 1,
    version: 1,
    variation: 1,
    value: 1,
    default: 1,
    trackEvents: true,
    debugEventsUntilDate: 1,
    reason: {},
  },
};
const TYPES = [
  "identify",
  "group",
  "page",
  "screen",
  "alias",
  "sync",
  "pageview",
  "$identify",
  "$pageview",
  "$screen",
  "$create_alias",
  "$groupidentify",
  "custom",
  "feature",
  "constructor",
  "__proto__",
];

interface Stored {
  readonly metadata: string;
  readonly texts: readonly string[];
}

function hostileEvents(): Stored[] {
  const stored = Object.entries(BASES).map(([metadata, base]): Stored => {
    const names = Object.keys(base);
    const changed = (name: string, value: string): string =>
      `{${Object.entries(base)
        .map(([key, own]) => `${JSON.stringify(key)}:${key === name ? value : JSON.stringify(own)}`)
        .join(",")}}`;
    const kind = names.find((name) => ["type", "category", "kind"].includes(name)) ?? "event";
    const typed = TYPES.flatMap((type) => [
      changed(kind, JSON.stringify(type)),
      changed(kind, JSON.stringify(type)).replaceAll(/"(?:u|g|p|a)"/g, '{"toString":null}'),
    ]);
    return {
      metadata,
      texts: [...VALUES, ...names.flatMap((name) => VALUES.map((value) => changed(name, value))), ...typed],
    };
  });
  const heads = VALUES.slice(0, -2).map((value) => JSON.parse(value) as unknown);
  const trophy = [
    ...heads
      .flatMap((value) => [
        { metric: value, key: "k" },
        { metric: "m", key: value },
        { metric: "m", tenant: value },
        { user: value },
        { metric: "m", key: value, user: value },
      ])
      .map((head) => writeTrophy(head as never, '{"user":{"id":"u"},"value":1}')),
    ...VALUES.map((value) => writeTrophy({ metric: "m", key: "k" }, value)),
    ...VALUES.flatMap((value) =>
      ["id", "name", "tz"].map((name) =>
        writeTrophy(
          { metric: "m", key: "k" },
          `{"user":{"id":"u","${name}":${value}},"value":${value},"attributes":${value}}`,
        ),
      ),
    ),
    '{"metric":"no body"}',
    ...VALUES,
  ];
  const shared = VALUES.map(
    (value): Stored => ({
      metadata: `{"context":${value.startsWith("{") ? value : "{}"},"integrations":{"All":${value}},"skewMs":-5000}`,
      texts: [JSON.stringify(BASES[""]), "[1]"],
    }),
  );
  const odd = [
    "{not json",
    "nobody knows",
    "constructor",
    "launchdarkly server 99999999999999999999999 ",
    `launchdarkly server 4 ${"t".repeat(9_000)}`,
    'launchdarkly diagnostic server {"a b":"c"}',
    "launchdarkly diagnostic server {}",
    "launchdarkly diagnostic js not json",
    "launchdarkly",
  ];
  return [
    ...stored,
    { metadata: "trophy", texts: trophy },
    ...shared,
    ...odd.map((metadata) => ({ metadata, texts: ["{}", "[null]", "5"] })),
  ];
}

const MARK = "the one beside it";
/** An event without a fault in each wire format. */
const GOOD: readonly Stored[] = [
  {
    metadata: "",
    texts: [
      JSON.stringify({
        type: "track",
        event: "Ended",
        userId: "sampled-2",
        messageId: MARK,
        properties: { note: MARK },
      }),
    ],
  },
];

function answerOf({ url }: HttpRequest): HttpResponse {
  return { status: 200, headers: {}, body: url.includes("alias") ? '{"alias":{}}' : "" };
}

test("each has one outcome everywhere, and again after a restart", async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  process.on("unhandledRejection", note);
  onTestFinished(() => void process.off("unhandledRejection", note));
  const clock = new VirtualClock();
  const sent = new Map<string, string[]>();
  const runtime = {
    clock,
    random: new SeededRandom(1),
    disk: new SimDisk(),
    transport: async (request: HttpRequest): Promise<HttpResponse> => {
      const to = new URL(request.url).hostname;
      sent.set(to, [...(sent.get(to) ?? []), ...request.body.map((chunk) => Buffer.from(chunk as string).toString())]);
      return answerOf(request);
    },
  };
  const failed: (string | undefined)[] = [];
  const open = (): Promise<Environment> =>
    Environment.open({
      config: resolveEnvironment("e", { sources: {}, destinations: destinations as never }),
      directory: "/data",
      runtime,
      dedupe: { windowMs: 86_400_000, maxIds: 1_000 },
      observer: {
        attempted: () => undefined,
        modeChanged: ({ destination, mode, reason }) => {
          if (mode === "failed" || mode === "halted" || mode === "waiting")
            failed.push(`${destination} ${mode}: ${reason}`);
        },
        stateNotWritten: () => undefined,
      },
    });
  let environment = await open();
  environment.start();
  const hostile = hostileEvents();
  let count = 0;
  for (const { metadata, texts } of [...hostile, ...GOOD]) {
    const bodies = texts.map((text) => Buffer.from(text));
    const ends = Uint32Array.from(
      bodies.map((_, index) => bodies.slice(0, index + 1).reduce((sum, { length }) => sum + length, index)),
    );
    await environment.log.append({
      source: "s",
      receivedAtMs: clock.now(),
      metadata,
      body: [Buffer.from(texts.join(","))],
      ends,
    });
    count += texts.length;
  }
  expect(count).toBeGreaterThan(2_500);
  const settled = async (): Promise<void> => {
    await clock.until(() => environment.lanes(clock.now()).every(({ account }) => account.pending === 0));
    for (const lane of environment.lanes(clock.now())) {
      expect(lane, lane.destination).toMatchObject({
        mode: "idle",
        account: { accepted: count, balanced: true, expired: 0 },
      });
      expect(lane.account.delivered, lane.destination).toBeGreaterThan(0);
    }
  };
  await settled();
  expect(failed).toEqual([]);

  // Every dead letter says why, in words that are safe to print.
  let deadLetters = 0;
  for (const { destination } of environment.lanes(clock.now()))
    for await (const { reason } of environment.destination(destination)?.deadLetters.list() ?? []) {
      deadLetters += 1;
      expect(reason).not.toBe("");
      expect(printable(reason)).toBe(reason);
    }
  expect(deadLetters).toBeGreaterThan(100);

  // The event without a fault came through everywhere but where it was left out on purpose.
  for (const name of Object.keys(destinations).filter(
    (one) => !one.startsWith("file") && !one.endsWith("sample") && !one.startsWith("trophy"),
  ))
    expect(
      sent.get(`${name}.test`)?.some((body) => body.includes(MARK)),
      name,
    ).toBe(true);

  await environment.close(1_000);
  environment = await open();
  environment.start();
  await settled();
  await environment.close(1_000);
  expect(failed).toEqual([]);
  expect(unhandled).toEqual([]);
}, 120_000);
