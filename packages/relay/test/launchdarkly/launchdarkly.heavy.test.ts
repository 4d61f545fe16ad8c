/**
 * The relay's event paths for LaunchDarkly's SDKs. Names are those of the original's tests; numbers
 * those of docs/conformance.md.
 */
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import type { Clock } from "@waybill/core";
import { emulators, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { RawConnection } from "../lib/raw.ts";
import { steadyClock } from "../lib/steady-clock.ts";
import { type Answered, configOf, type RelayWorld, send, startWorld, until } from "../lib/world.ts";

const SOURCE = { protocol: "launchdarkly", writeKeys: ["sdk-in"], mobileKeys: ["mob-in"], environmentId: "env-in" };
const FLAGS = { flagkey: { variations: ["a", "b"], version: 22 } };

interface World extends RelayWorld {
  readonly flags: emulators.LaunchDarklyEmulator;
  post(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Answered>;
  settled(): Promise<void>;
  destinations(more?: object): Record<string, unknown>;
}

async function setUp(
  options: {
    readonly source?: object;
    readonly destination?: object;
    readonly extra?: Readonly<Record<string, unknown>>;
    readonly clock?: Clock;
  } = {},
): Promise<World> {
  const flags = new emulators.LaunchDarklyEmulator({ flags: FLAGS });
  const server = await startServer(flags.handle);
  onTestFinished(() => server.close());
  const destinations = (more: object = {}): Record<string, unknown> => ({
    launchdarkly: {
      vendor: "launchdarkly",
      url: server.url,
      writeKey: "sdk-out",
      mobileKey: "mob-out",
      environmentId: "env-out",
      backoff: { base: "10ms", max: "50ms" },
      batch: { linger: "30ms" },
      ...options.destination,
      ...more,
    },
  });
  const world = await startWorld({
    sources: { flags: { ...SOURCE, ...options.source } },
    destinations: () => destinations(),
    ...(options.extra === undefined ? {} : { extra: options.extra }),
    ...(options.clock === undefined ? {} : { clock: options.clock }),
  });
  return {
    ...world,
    flags,
    destinations,
    post: (path, body, headers = {}) => send(world.relay.intakeUrl, "POST", path, body, headers),
    settled: () => until(() => world.relay.accounts().lanes.every(({ account }) => account.pending === 0)),
  };
}

/** Each kind of SDK: how it sends, and where that ends. */
const KINDS = [
  ["server", "/bulk", "/diagnostic", { authorization: "sdk-in" }, "/bulk", "/diagnostic", "sdk-out"],
  [
    "mobile",
    "/mobile",
    "/mobile/events/diagnostic",
    { authorization: "mob-in" },
    "/mobile",
    "/mobile/events/diagnostic",
    "mob-out",
  ],
  [
    "js",
    "/events/bulk/env-in",
    "/events/diagnostic/env-in",
    {},
    "/events/bulk/env-out",
    "/events/diagnostic/env-out",
    undefined,
  ],
] as const;

test("[launchdarkly-relay 1] EventDispatcherCreatesHandlersOnlyForConfiguredCredentials", async () => {
  const { post } = await setUp({ source: { mobileKeys: [], environmentId: "other" } });
  expect((await post("/bulk", "[1]", { authorization: "sdk-in" })).status).toBe(202);
  expect((await post("/mobile", "[1]", { authorization: "mob-in" })).status).toBe(401);
  expect((await post("/mobile", "[1]", { authorization: "sdk-in" })).status).toBe(401);
  expect((await post("/events/bulk/env-in", "[1]")).status).toBe(404);
});

test.each(KINDS)(
  "[launchdarkly-relay 2] VerbatimEventHandlers (%s): path, credential and bytes",
  async (_kind, path, _diagnostic, headers, upstream, _d, key) => {
    const { post, flags, settled } = await setUp();
    const body = '["one",  {"a":1.0,"a":1.00}, "\\u0041"]';
    expect(await post(path, body, { ...headers, "x-launchdarkly-event-schema": "3" })).toMatchObject({
      status: 202,
      text: "",
    });
    await settled();
    expect(flags.payloads).toMatchObject([{ path: upstream, body }]);
    expect(flags.payloads[0]?.headers["authorization"]).toBe(key);
    expect(flags.payloads[0]?.headers["x-launchdarkly-event-schema"]).toBe("3");
  },
);

const FEATURES = [1_000, 1_001].map((creationDate) => ({
  kind: "feature",
  creationDate,
  key: "flagkey",
  version: 11,
  user: { key: "userkey" },
  value: "b",
  default: "c",
}));

test.each(KINDS)(
  "[launchdarkly-relay 3] SummarizingEventHandlers (%s): old events leave as index and summary",
  async (_kind, path, _diagnostic, headers, upstream, _d, key) => {
    const { post, flags, settled } = await setUp();
    expect((await post(path, FEATURES, headers)).status).toBe(202);
    await settled();
    expect(flags.payloads).toMatchObject([{ path: upstream, headers: { "x-launchdarkly-event-schema": "3" } }]);
    expect(flags.payloads[0]?.headers["authorization"]).toBe(key);
    expect(flags.payloads[0]?.events).toEqual([
      { kind: "index", creationDate: 1_000, user: { key: "userkey" } },
      {
        kind: "summary",
        startDate: 1_000,
        endDate: 1_001,
        features: { flagkey: { default: "c", counters: [{ version: 11, value: "b", count: 2 }] } },
      },
    ]);
  },
);

test("flag data come from LaunchDarkly through its SDK", async () => {
  const world = await setUp();
  const { url } = world.destinations()["launchdarkly"] as { url: string };
  const result = await world.relay.reload(
    configOf(world.directory, "", {
      sources: { flags: SOURCE },
      destinations: () => world.destinations({ flagsFromVendor: true, flagsUrl: url }),
    }),
  );
  expect(result.errors).toEqual([]);
  await until(() => world.flags.posts.some(({ path }) => path.startsWith("/sdk/latest-all")));
  await until(async () => {
    world.flags.payloads.splice(0);
    await world.post("/bulk", FEATURES, { authorization: "sdk-in" });
    await world.settled();
    return JSON.stringify(world.flags.payloads).includes('\\"variation\\":1');
  });
});

test.each(KINDS)(
  "[launchdarkly-relay 4] DiagnosticEventForwarding (%s): the body and the sender's headers go along",
  async (_kind, _path, diagnostic, headers, _upstream, upstream, key) => {
    const { post, flags, settled } = await setUp();
    const body = '{"kind":"diagnostic-init",  "id":{}}';
    const sent = { ...headers, "user-agent": "SDK/1", "x-launchdarkly-wrapper": "w", cookie: "c=1" };
    expect((await post(diagnostic, body, sent)).status).toBe(202);
    await settled();
    expect(flags.diagnostics).toMatchObject([
      { path: upstream, body, headers: { "user-agent": "SDK/1", "x-launchdarkly-wrapper": "w" } },
    ]);
    expect(flags.diagnostics[0]?.headers["authorization"]).toBe(key);
    for (const name of ["cookie", "x-launchdarkly-event-schema", "x-launchdarkly-payload-id"])
      expect(flags.diagnostics[0]?.headers).not.toHaveProperty(name);
  },
);

test("[launchdarkly-relay 5] EventDispatcherReplaceCredential: replaced keys are used from the next post on, without restart", async () => {
  const { relay, post, flags, settled, directory, destinations } = await setUp();
  await post("/bulk", FEATURES, { authorization: "sdk-in" });
  await post("/mobile", "[1]", { authorization: "mob-in", "x-launchdarkly-event-schema": "4" });
  await settled();
  const config = configOf(directory, "", {
    sources: { flags: SOURCE },
    destinations: () => destinations({ writeKey: "sdk-2", mobileKey: "mob-2" }),
  });
  expect((await relay.reload(config)).errors).toEqual([]);
  flags.rotate(["sdk-2", "mob-2"]);
  await post("/bulk", FEATURES, { authorization: "sdk-in" });
  await post("/mobile", "[1]", { authorization: "mob-in", "x-launchdarkly-event-schema": "4" });
  await settled();
  expect(flags.payloads.map(({ headers }) => headers["authorization"]).toSorted()).toEqual([
    "mob-2",
    "mob-out",
    "sdk-2",
    "sdk-out",
  ]);
});

test.each(KINDS)(
  "[launchdarkly-relay 6] EventHandlersRejectMalformedJSON (%s): 400 by default, 202 and dropped in strict mode; nothing is sent",
  async (_kind, path, _d, headers) => {
    for (const [strict, status] of [
      [false, 400],
      [true, 202],
    ] as const) {
      const { post, flags, relay } = await setUp({ extra: { compat: { strict } } });
      for (const schema of ["", "2", "3"])
        for (const body of ['[{"no', '{"not":"an array"}'])
          expect((await post(path, body, { ...headers, "x-launchdarkly-event-schema": schema })).status).toBe(status);
      expect(relay.accounts().lanes[0]?.account.accepted).toBe(0);
      expect(flags.requests).toBe(0);
    }
  },
);

test.each(KINDS)(
  "[launchdarkly-relay 7] EventHandlersRejectEmptyBody (%s)",
  async (_kind, path, diagnostic, headers) => {
    const { post } = await setUp();
    for (const one of [path, diagnostic])
      expect(await post(one, "", headers)).toMatchObject({ status: 400, json: { message: "body may not be empty" } });
  },
);

test("[launchdarkly-relay 21] SummarizingRelayProcessesEventsSeparatelyForDifferentTags: two posts, each with its own index", async () => {
  const { post, flags, settled } = await setUp();
  for (const tags of ["a", "b"])
    await post("/bulk", FEATURES, { authorization: "sdk-in", "x-launchdarkly-tags": tags });
  await settled();
  expect(
    flags.payloads.map(({ headers, events }) => [headers["x-launchdarkly-tags"], events[0]?.["kind"], events.length]),
  ).toEqual([
    ["a", "index", 2],
    ["b", "index", 2],
  ]);
});

test("[launchdarkly-relay 22] SummarizingRelayPeriodicallyClosesInactiveEventProcessors: both are sent without a flush and forgotten; a tag that comes back has a new one, which tells of the user again", async () => {
  const { post, flags } = await setUp({
    source: { memory: { flushInterval: "1h" } },
    destination: { eventQueueCleanupInterval: "10ms" },
  });
  for (let round = 1; round <= 2; round++) {
    for (const tags of ["a", "b"])
      await post("/bulk", FEATURES, { authorization: "sdk-in", "x-launchdarkly-tags": tags });
    await until(() => flags.payloads.length === 2 * round);
    expect(
      flags.payloads
        .slice(2 * (round - 1))
        .map(({ headers, events }) => `${headers["x-launchdarkly-tags"]} ${events.map(({ kind }) => kind)}`)
        .toSorted(),
    ).toEqual(["a index,summary", "b index,summary"]);
  }
});

test("on disk a summariser is kept over requests: each user has one index event", async () => {
  const { post, flags, settled } = await setUp();
  for (const tags of ["a", "b", "a"]) {
    await post("/bulk", FEATURES, { authorization: "sdk-in", "x-launchdarkly-tags": tags });
    await settled();
  }
  expect(flags.payloads.map(({ events }) => events.map(({ kind }) => kind))).toEqual([
    ["index", "summary"],
    ["index", "summary"],
    ["summary"],
  ]);
});

test("old events that are malformed are rejected, each alone; the others are delivered", async () => {
  const { post, flags, settled, relay } = await setUp();
  const malformed = [{ kind: "wrong" }, 1, { ...FEATURES[0], creationDate: "x" }, { ...FEATURES[0], user: {} }];
  expect(
    (await post("/bulk", [malformed[0], ...FEATURES, ...malformed.slice(1)], { authorization: "sdk-in" })).status,
  ).toBe(202);
  await settled();
  expect(flags.payloads.map(({ events }) => events.map(({ kind }) => kind))).toEqual([["index", "summary"]]);
  expect(relay.accounts().lanes[0]?.account).toMatchObject({ accepted: 6, delivered: 2, rejected: 4, balanced: true });
});

test("the schema header is a whole decimal number or counts as 1: events of 3abc are summarised", async () => {
  const { post, flags, settled } = await setUp();
  for (const schema of ["3abc", "4.0", "", "0", "-4"])
    await post("/bulk", FEATURES, {
      authorization: "sdk-in",
      "x-launchdarkly-event-schema": schema,
      "x-launchdarkly-tags": `of ${schema}`,
    });
  await settled();
  expect(flags.payloads.map(({ events }) => events.at(-1)?.["kind"])).toEqual(Array(5).fill("summary"));
  await post("/bulk", FEATURES, { authorization: "sdk-in", "x-launchdarkly-event-schema": "+4" });
  await settled();
  expect(flags.payloads.at(-1)?.headers["x-launchdarkly-event-schema"]).toBe("4");
  expect(flags.payloads.at(-1)?.events).toEqual(FEATURES);
});

test("every answer has a Date, by which SDKs know the time of the server", async () => {
  const { post, relay } = await setUp();
  const now = Date.parse(new Date().toUTCString());
  const answers = [
    await post("/bulk", "[1]", { authorization: "sdk-in" }),
    await post("/diagnostic", "{}", { authorization: "sdk-in" }),
    await post("/bulk", "", { authorization: "sdk-in" }),
    await post("/bulk", "[1]", { authorization: "nobody" }),
    await send(relay.intakeUrl, "OPTIONS", "/events/bulk/env-in", "", {}),
  ];
  expect(answers.map(({ status }) => status)).toEqual([202, 202, 400, 401, 200]);
  for (const { headers } of answers) {
    const date = Date.parse(String(headers["date"]));
    expect(date - now).toBeGreaterThanOrEqual(0);
    expect(date - now).toBeLessThan(60_000);
  }
});

test("[launchdarkly-relay 24] server routes: bulk, an unknown or missing key, a disabled environment, wrong methods", async () => {
  const { post, relay } = await setUp();
  expect((await post("/bulk", "[1]", { authorization: "api_key sdk-in" })).status).toBe(202);
  const unknown = await post("/bulk", "[1]", { authorization: "nobody" });
  expect(unknown).toMatchObject({
    status: 401,
    text: "Relay Proxy does not recognize the client credential (missing or invalid Authorization header)",
  });
  expect(await post("/bulk", "[1]")).toMatchObject({ status: 401, text: "" });
  expect(await post("/bulk", "[1]", { authorization: "two words" })).toMatchObject({ status: 401, text: "" });
  expect((await send(relay.intakeUrl, "GET", "/bulk", "", { authorization: "sdk-in" })).status).toBe(405);
  const disabled = await setUp({ source: { sendEvents: false } });
  for (const path of ["/bulk", "/diagnostic"])
    expect(await disabled.post(path, "[1]", { authorization: "sdk-in" })).toMatchObject({
      status: 503,
      json: { message: "Event proxy is not enabled for this environment" },
    });
});

test("[launchdarkly-relay 25] mobile routes: every path ends at /mobile with the mobile key; unknown keys, diagnostics, a disabled environment", async () => {
  const { post, flags, settled } = await setUp();
  const paths = ["/mobile", "/mobile/events", "/mobile/events/bulk"];
  for (const [n, path] of paths.entries())
    expect(
      await post(path, [{ n, userKey: "u" }], { authorization: "mob-in", "x-launchdarkly-event-schema": "3" }),
      path,
    ).toMatchObject({ status: 202, text: "" });
  await settled();
  expect(new Set(flags.payloads.map(({ path, headers }) => `${path} ${headers["authorization"]}`))).toEqual(
    new Set(["/mobile mob-out"]),
  );
  expect(flags.events.map(({ n }) => n)).toEqual([0, 1, 2]);
  for (const path of [...paths, "/mobile/events/diagnostic"])
    for (const authorization of ["nobody", "sdk-in"])
      expect((await post(path, "[1]", { authorization })).status, `${path} ${authorization}`).toBe(401);
  expect((await post("/mobile/events/diagnostic", "{}", { authorization: "mob-in" })).status).toBe(202);
  await until(() => flags.diagnostics.length === 1);
  expect(flags.diagnostics[0]).toMatchObject({ path: "/mobile/events/diagnostic", body: "{}" });
  expect(flags.diagnostics[0]?.headers["authorization"]).toBe("mob-out");
  const disabled = await setUp({ source: { sendEvents: false } });
  for (const path of [...paths, "/mobile/events/diagnostic"])
    expect((await disabled.post(path, "[1]", { authorization: "mob-in" })).status).toBe(503);
});

const PIXEL = Buffer.from("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "base64");

test("[launchdarkly-relay 26] JavaScript routes: bulk, diagnostic and pixel, in both alphabets; unknown ids are 404 without CORS; disabled is 503", async () => {
  const { post, relay, flags, settled } = await setUp();
  const schema = { "x-launchdarkly-event-schema": "3" };
  expect((await post("/events/bulk/env-in", '[{"key":"bulk"}]', schema)).status).toBe(202);
  expect((await post("/events/diagnostic/env-in", '{"kind":"diagnostic"}')).status).toBe(202);
  await settled();
  expect(flags.payloads).toMatchObject([{ path: "/events/bulk/env-out", body: '[{"key":"bulk"}]' }]);
  expect(flags.diagnostics).toMatchObject([{ path: "/events/diagnostic/env-out", body: '{"kind":"diagnostic"}' }]);
  for (const { headers } of [...flags.payloads, ...flags.diagnostics])
    expect(headers).not.toHaveProperty("authorization");
  const unknown = await post("/events/bulk/nobody", "[1]", { origin: "https://page.test" });
  expect(unknown).toMatchObject({ status: 404, text: "URL did not contain an environment ID" });
  expect(unknown.headers["access-control-allow-origin"]).toBeUndefined();
  for (const [method, path] of [
    ["POST", "/events/diagnostic/nobody"],
    ["GET", "/a/nobody.gif"],
    ["OPTIONS", "/events/bulk/nobody"],
  ] as const) {
    const answer = await send(relay.intakeUrl, method, path, "", { origin: "https://page.test" });
    expect([answer.status, answer.headers["access-control-allow-origin"]], path).toEqual([404, undefined]);
  }
  const disabled = await setUp({ source: { sendEvents: false } });
  for (const [method, path] of [
    ["POST", "/events/bulk/env-in"],
    ["POST", "/events/diagnostic/env-in"],
    ["GET", "/a/env-in.gif"],
  ] as const)
    expect((await send(disabled.relay.intakeUrl, method, path, "", {})).status, path).toBe(503);
});

test("the pixel: events in both alphabets with and without padding, as schema 3 under the environment's id; what cannot be read is left out", async () => {
  const { relay, flags, settled } = await setUp();
  const [standard, urlSafe] = ["base64", "base64url"].map((alphabet) =>
    Buffer.from('[{"kind":"custom","key":"ü>?~~>?ÿ"}]').toString(alphabet as "base64"),
  ) as [string, string];
  // Every character in which the alphabets differ, and the padding.
  for (const character of ["+", "/", "="]) expect(standard).toContain(character);
  for (const character of ["-", "_"]) expect(urlSafe).toContain(character);
  for (const [n, data] of [standard, standard.replaceAll("=", ""), urlSafe].entries()) {
    const response = await fetch(`${relay.intakeUrl}/a/env-in.gif?d=${encodeURIComponent(data)}`);
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "image/gif"]);
    expect(Buffer.from(await response.arrayBuffer())).toEqual(PIXEL);
    await settled();
    expect(flags.events).toHaveLength(n + 1);
  }
  for (const query of ["", "?d=%%%", "?d=W3s"]) {
    const response = await fetch(`${relay.intakeUrl}/a/env-in.gif${query}`);
    expect(response.status).toBe(200);
    expect(Buffer.from(await response.arrayBuffer())).toEqual(PIXEL);
  }
  await settled();
  expect(flags.events.map(({ key }) => key)).toEqual(Array(3).fill("ü>?~~>?ÿ"));
  for (const { path, headers } of flags.payloads)
    expect([path, headers["x-launchdarkly-event-schema"], headers["authorization"]]).toEqual([
      "/events/bulk/env-out",
      "3",
      undefined,
    ]);
});

test("[launchdarkly-relay 27] CORS: origin, headers and methods, by default and as configured", async () => {
  const { relay } = await setUp();
  const ask = (url: string, path: string, origin?: string): Promise<Answered> =>
    send(url, "OPTIONS", path, "", origin === undefined ? {} : { origin });
  const preflight = await ask(relay.intakeUrl, "/events/bulk/env-in", "https://page.test");
  expect(preflight.status).toBe(200);
  expect(preflight.headers).toMatchObject({
    "access-control-allow-origin": "https://page.test",
    "access-control-allow-credentials": "false",
    "access-control-max-age": "300",
    "access-control-expose-headers": "Date",
    "access-control-allow-methods": "POST,OPTIONS",
    "access-control-allow-headers":
      "Cache-Control,Content-Type,Content-Length,Accept-Encoding,X-LaunchDarkly-User-Agent,X-LaunchDarkly-Payload-ID,X-LaunchDarkly-Wrapper,X-LaunchDarkly-Event-Schema,X-LaunchDarkly-Tags",
  });
  expect((await ask(relay.intakeUrl, "/events/diagnostic/env-in")).headers["access-control-allow-origin"]).toBe("*");
  expect((await ask(relay.intakeUrl, "/a/env-in.gif")).headers["access-control-allow-methods"]).toBe("GET,OPTIONS");
  const own = await setUp({
    source: { allowedOrigins: ["https://a.test", "https://b.test"], allowedHeaders: ["X-More", "X-Other"] },
  });
  const path = "/events/bulk/env-in";
  expect((await ask(own.relay.intakeUrl, path, "https://b.test")).headers["access-control-allow-origin"]).toBe(
    "https://b.test",
  );
  expect((await ask(own.relay.intakeUrl, path, "https://c.test")).headers["access-control-allow-origin"]).toBe(
    "https://a.test",
  );
  expect(String((await ask(own.relay.intakeUrl, path)).headers["access-control-allow-headers"])).toMatch(
    /X-LaunchDarkly-Tags,X-More,X-Other$/,
  );
  const answered = await own.post(path, "[1]", { origin: "https://b.test" });
  expect([answered.status, answered.headers["access-control-allow-origin"]]).toEqual([202, "https://b.test"]);
});

test("gzip is taken, a body too large is 413, the SDK's schema version and a duplicate's payload id are kept", async () => {
  const { post, flags, settled } = await setUp({ extra: { limits: { bodyMaxBytes: "1KB" } } });
  const headers = { authorization: "sdk-in", "x-launchdarkly-event-schema": "4", "x-launchdarkly-payload-id": "p-1" };
  const body = gzipSync('[{"kind":"custom"}]');
  for (let time = 0; time < 2; time++)
    expect((await post("/bulk", body, { ...headers, "content-encoding": "gzip" })).status).toBe(202);
  expect(await post("/bulk", JSON.stringify(["x".repeat(2_000)]), headers)).toMatchObject({
    status: 413,
    json: { message: "request body too large" },
  });
  await settled();
  expect(flags.events).toHaveLength(1);
  expect(flags.payloads[0]?.headers["x-launchdarkly-event-schema"]).toBe("4");
  const strict = await setUp({ extra: { compat: { strict: true } } });
  await strict.post("/bulk", "[1]", headers);
  await strict.settled();
  expect(strict.flags.payloads[0]?.headers["x-launchdarkly-event-schema"]).toBe("3");
});

test("a wrong credential keeps the events, and a new one sends them", async () => {
  const { relay, post, flags, settled, directory, destinations } = await setUp();
  flags.rotate(["sdk-2"]);
  await post("/bulk", "[1]", { authorization: "sdk-in", "x-launchdarkly-event-schema": "4" });
  await until(() => relay.accounts().lanes[0]?.mode === "halted");
  const config = configOf(directory, "", {
    sources: { flags: SOURCE },
    destinations: () => destinations({ writeKey: "sdk-2" }),
  });
  await relay.reload(config);
  await settled();
  expect(flags.payloads).toMatchObject([{ body: "[1]" }]);
});

test("in memory: 202 before anything is posted, capacity per metadata, summaries beside a full queue, a diagnostic at once, a replaced key, flush at stop", async () => {
  const memory = { capacity: 2, flushInterval: "1h" };
  const { relay, post, flags, directory, destinations } = await setUp({ source: { memory } });
  const headers = { authorization: "sdk-in", "x-launchdarkly-event-schema": "4" };
  for (const tags of ["a", "b"])
    for (let n = 0; n < 3; n++)
      expect(await post("/bulk", [{ kind: "custom", n }], { ...headers, "x-launchdarkly-tags": tags })).toMatchObject({
        status: 202,
        text: "",
      });
  await post(
    "/bulk",
    [...FEATURES, ...["x", "y", "z"].map((key) => ({ kind: "identify", creationDate: 1, user: { key } }))],
    { authorization: "sdk-in" },
  );
  expect(flags.requests).toBe(0);
  await post("/diagnostic", '{"kind":"diagnostic"}', headers);
  await until(() => flags.diagnostics.length === 1);
  expect(flags.diagnostics[0]).toMatchObject({ path: "/diagnostic", headers: { authorization: "sdk-out" } });
  // What was not kept is counted; the ledgers know nothing of it.
  expect(relay.accounts().lanes[0]?.account.accepted).toBe(0);
  const config = configOf(directory, "", {
    sources: { flags: { ...SOURCE, memory } },
    destinations: () => destinations({ writeKey: "sdk-2" }),
  });
  expect(await relay.reload(config)).toMatchObject({ ok: true, errors: [] });
  expect(flags.payloads).toEqual([]);
  await relay.stop();
  const summary = (payload: emulators.LaunchDarklyPayload): unknown[] => [
    payload.path,
    payload.headers["authorization"],
    payload.headers["x-launchdarkly-event-schema"],
    payload.headers["x-launchdarkly-tags"],
    payload.events.map(({ kind, n }) => n ?? kind),
  ];
  const payloads = flags.payloads.map(summary);
  expect(payloads).toHaveLength(3);
  expect(payloads).toContainEqual(["/bulk", "sdk-2", "4", "a", [0, 1]]);
  expect(payloads).toContainEqual(["/bulk", "sdk-2", "4", "b", [0, 1]]);
  expect(payloads).toContainEqual(["/bulk", "sdk-2", "3", undefined, ["index", "identify", "summary"]]);
  const last = flags.payloads.flatMap(({ events }) => events).find(({ kind }) => kind === "summary");
  expect(last).toMatchObject({ features: { flagkey: { counters: [{ version: 11, value: "b", count: 2 }] } } });
});

test("in memory: what comes while the relay stops is posted too", async () => {
  const { relay, flags } = await setUp({ source: { memory: { flushInterval: "1h" } }, clock: steadyClock });
  const open = await RawConnection.open(relay.intakeUrl);
  const body = '[{"kind":"custom"}]';
  const stopped = relay.stop();
  open.write(
    `POST /bulk HTTP/1.1\r\nhost: relay\r\nauthorization: sdk-in\r\nx-launchdarkly-event-schema: 4\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await stopped;
  await until(() => open.isClosed);
  expect(open.text).toMatch(/^HTTP\/1.1 202/);
  expect(flags.payloads).toMatchObject([{ path: "/bulk", events: [{ kind: "custom" }] }]);
});

test("in memory and strict: schema 3 is sent, malformed bodies are 202 and dropped", async () => {
  const { post, relay, flags } = await setUp({
    source: { memory: { flushInterval: "1h" } },
    extra: { compat: { strict: true } },
  });
  const headers = { authorization: "sdk-in", "x-launchdarkly-event-schema": "4" };
  for (const body of ["[1]", '[{"no', "{}"]) expect((await post("/bulk", body, headers)).status).toBe(202);
  await relay.stop();
  expect(flags.payloads).toMatchObject([{ body: "[1]", headers: { "x-launchdarkly-event-schema": "3" } }]);
});

test("in memory: what does not fit is counted as refused; with a flush of 20 ms events leave by themselves", async () => {
  const { post, relay, flags } = await setUp({ source: { memory: { capacity: 1, flushInterval: "20ms" } } });
  const headers = { authorization: "sdk-in", "x-launchdarkly-event-schema": "4" };
  await post("/bulk", "[1,2,3]", headers);
  await until(() => flags.payloads.length === 1);
  await post("/bulk", "[4]", headers);
  await until(() => flags.payloads.length === 2);
  expect(flags.payloads.map(({ body }) => body)).toEqual(["[1]", "[4]"]);
  const metrics = await send(relay.adminUrl, "GET", "/metrics", "", {});
  expect(metrics.text).toMatch(/^waybill_\w+\{[^}]*code="memory_full"[^}]*\} 2$/m);
});

test("flag data come from a file, read again at a reload; one that cannot be read is reported at the start", async () => {
  const { post, flags, settled, relay, directory, destinations } = await setUp();
  const file = `${directory}/flags.json`;
  const reload = async (variations: readonly string[]): Promise<void> => {
    writeFileSync(file, JSON.stringify({ flags: { flagkey: { variations } } }));
    const config = configOf(directory, "", {
      sources: { flags: SOURCE },
      destinations: () => destinations({ flagsFile: file, timeout: `${9 + variations.length}s` }),
    });
    expect((await relay.reload(config)).errors).toEqual([]);
  };
  for (const [variations, expected] of [
    [["a", "b"], 1],
    [["b", "a", "c"], 0],
  ] as const) {
    await reload(variations);
    await post("/bulk", FEATURES, { authorization: "sdk-in" });
    await settled();
    const summary = flags.events.findLast(({ kind }) => kind === "summary");
    expect(summary).toMatchObject({
      features: { flagkey: { counters: [{ variation: expected, version: 11, count: 2 }] } },
    });
  }
  const missing = `${directory}/missing.json`;
  await expect(setUp({ destination: { flagsFile: missing } })).rejects.toThrow("flagsFile");
  const bad = configOf(directory, "", {
    sources: { flags: SOURCE },
    destinations: () => destinations({ flagsFile: missing }),
  });
  expect(await relay.reload(bad)).toMatchObject({ ok: false, errors: [expect.stringContaining("missing.json")] });
});

test("sender: retries on 408, 429, 500, 503 and a broken connection with the same payload id; keeps the events on 401, 403, 405", async () => {
  const { post, flags, settled, relay } = await setUp();
  const headers = { authorization: "sdk-in", "x-launchdarkly-event-schema": "4" };
  for (const failure of [408, 429, 500, 503, "reset"] as const) {
    flags.posts.splice(0);
    flags.fail(failure === "reset" ? { kind: "reset", times: 1 } : { kind: "status", status: failure, times: 1 });
    await post("/bulk", '[{"kind":"custom"}]', headers);
    await settled();
    expect(flags.posts).toHaveLength(2);
    expect(new Set(flags.posts.map((one) => one.headers["x-launchdarkly-payload-id"])).size, String(failure)).toBe(1);
  }
  for (const status of [401, 403, 405]) {
    flags.fail({ kind: "status", status });
    await post("/bulk", '[{"kind":"custom"}]', headers);
    await until(() => relay.accounts().lanes[0]?.mode === "halted");
    expect(relay.accounts().lanes[0]?.account).toMatchObject({ pending: 1, balanced: true });
    flags.recover();
    await send(relay.adminUrl, "POST", "/v1/lanes/test/launchdarkly/resume", "", {});
    await settled();
  }
});

test("without a destination for them events are taken all the same, as the original's offline mode does", async () => {
  for (const memory of [undefined, { flushInterval: "1h" }]) {
    const { relay } = await startWorld({
      sources: { flags: { ...SOURCE, ...(memory === undefined ? {} : { memory }) } },
    });
    const headers = { authorization: "sdk-in", "x-launchdarkly-event-schema": "4" };
    for (const path of ["/bulk", "/diagnostic"])
      expect((await send(relay.intakeUrl, "POST", path, "[1]", headers)).status).toBe(202);
    await relay.stop();
  }
});
