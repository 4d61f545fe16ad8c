/**
 * LaunchDarkly's event dispatcher against LaunchDarkly's emulator. Names are those of the
 * original's package.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { emulators } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { EventDispatcherOn } from "../../src/launchdarkly/dispatcher.ts";
import {
  EVENT_SCHEMA_HEADER,
  EventDispatcher,
  getEventPayloadMetadata,
  SUMMARY_EVENTS_SCHEMA_VERSION,
  TAGS_HEADER,
} from "../../src/launchdarkly/index.ts";
import type { EventDispatcherOptions, EventHandler } from "../../src/launchdarkly/types.ts";
import { URL_OF_VENDOR, type VendorWorld, vendorWorld } from "../lib/vendor-world.ts";

const ALL = { sdkKey: "sdk-1", mobileKey: "mob-1", environmentId: "env-1" };
const HOUR_MS = 3_600_000;
const SCHEMA_4 = { [EVENT_SCHEMA_HEADER]: "4" };
const KINDS = [
  ["server", "/bulk", "/diagnostic", "sdk-1"],
  ["mobile", "/mobile", "/mobile/events/diagnostic", "mob-1"],
  ["js", "/events/bulk/env-1", "/events/diagnostic/env-1", undefined],
] as const;

interface World extends VendorWorld<emulators.LaunchDarklyEmulator> {
  readonly dispatcher: EventDispatcherOn;
  readonly warnings: string[];
  handler(...kinds: Parameters<EventDispatcherOn["getHandler"]>): EventHandler;
}

function setUp(options: Partial<EventDispatcherOptions> = {}): World {
  const world = vendorWorld((clock) => new emulators.LaunchDarklyEmulator({ clock }));
  const warnings: string[] = [];
  const dispatcher = new EventDispatcherOn(world.host, {
    ...ALL,
    uri: `${URL_OF_VENDOR}/`,
    flushIntervalMs: HOUR_MS,
    onWarning: (message) => warnings.push(message),
    ...options,
  });
  const handler: World["handler"] = (...kinds) => dispatcher.getHandler(...kinds) as EventHandler;
  return { ...world, dispatcher, warnings, handler };
}

const FEATURE = {
  kind: "feature",
  creationDate: 1,
  key: "f",
  version: 2,
  user: { key: "u" },
  value: "b",
  default: "c",
};

test("the constants are those of the original", () => {
  expect([SUMMARY_EVENTS_SCHEMA_VERSION, EVENT_SCHEMA_HEADER, TAGS_HEADER]).toEqual([
    3,
    "X-LaunchDarkly-Event-Schema",
    "X-LaunchDarkly-Tags",
  ]);
});

test.each([
  [undefined, 1],
  ["", 1],
  ["3", 3],
  ["+4", 4],
  ["004", 4],
  ["3abc", 1],
  ["3.0", 1],
  ["3 4", 1],
  ["0", 1],
  ["-3", 1],
  ["0x4", 1],
  ["1e3", 1],
  ["99999999999999999999", 1],
])(
  "getEventPayloadMetadata: the schema header is a whole decimal number, or counts as 1 (%s %i)",
  (header, schemaVersion) => {
    const headers = { "x-launchdarkly-event-schema": header };
    expect(getEventPayloadMetadata({ headers })).toEqual({ schemaVersion, tags: "" });
  },
);

test("getEventPayloadMetadata: headers of Node, of the web, in any letter case; the first of several", () => {
  const expected = { schemaVersion: 4, tags: "application-id/app" };
  const named = { [EVENT_SCHEMA_HEADER]: "4", [TAGS_HEADER]: ["application-id/app", "second"] };
  expect(getEventPayloadMetadata({ headers: named })).toEqual(expected);
  const web = new Headers({ [EVENT_SCHEMA_HEADER]: "4", [TAGS_HEADER]: "application-id/app" });
  expect(getEventPayloadMetadata({ headers: web })).toEqual(expected);
});

test("EventDispatcherCreatesHandlersOnlyForConfiguredCredentials", () => {
  const handlers = (options: Partial<EventDispatcherOptions>): boolean[] => {
    const { dispatcher } = setUp(options);
    return KINDS.flatMap(([kind]) =>
      (["analytics", "diagnostic"] as const).map((events) => dispatcher.getHandler(kind, events) !== undefined),
    );
  };
  expect(handlers({})).toEqual([true, true, true, true, true, true]);
  const { dispatcher } = { dispatcher: new EventDispatcherOn(setUp().host, { sdkKey: "sdk-1" }) };
  expect(KINDS.map(([kind]) => dispatcher.getHandler(kind, "analytics") !== undefined)).toEqual([true, false, false]);
});

test.each(KINDS)(
  "VerbatimEventHandlers (%s): path, credential, schema and bytes",
  async (kind, path, _diagnostic, key) => {
    const { dispatcher, handler, emulator, ended } = setUp();
    const body = '["one",  {"a":1.0,"a":1.00}, "\\u0041", "ü"]';
    const answer = handler(kind, "analytics")({ headers: { ...SCHEMA_4, [TAGS_HEADER]: "a" }, body });
    expect(answer).toEqual({ status: 202, headers: {}, body: "" });
    await ended(dispatcher.flush());
    expect(emulator.payloads.map((one) => [one.path, one.body])).toEqual([
      [path, '["one",{"a":1.0,"a":1.00},"\\u0041","ü"]'],
    ]);
    const { headers } = emulator.payloads[0] as emulators.LaunchDarklyPayload;
    expect([headers["authorization"], headers["x-launchdarkly-event-schema"], headers["x-launchdarkly-tags"]]).toEqual([
      key,
      "4",
      "a",
    ]);
  },
);

test.each(KINDS)(
  "SummarizingEventHandlers (%s): old events leave as index and summary",
  async (kind, path, _d, key) => {
    const { dispatcher, handler, emulator, ended } = setUp({ flag: () => ({ variations: ["a", "b"] }) });
    handler(kind, "analytics")({ headers: {}, body: new TextEncoder().encode(JSON.stringify([FEATURE, FEATURE])) });
    await ended(dispatcher.flush());
    expect(emulator.payloads).toMatchObject([{ path, headers: { "x-launchdarkly-event-schema": "3" } }]);
    expect(emulator.payloads[0]?.headers["authorization"]).toBe(key);
    expect(emulator.payloads[0]?.events).toEqual([
      { kind: "index", creationDate: 1, user: { key: "u" } },
      {
        kind: "summary",
        startDate: 1,
        endDate: 1,
        features: { f: { default: "c", counters: [{ variation: 1, version: 2, value: "b", count: 2 }] } },
      },
    ]);
  },
);

test.each(KINDS)(
  "DiagnosticEventForwarding (%s): at once, with the sender's headers",
  async (kind, _path, path, key) => {
    const { handler, emulator, clock } = setUp();
    const headers = { "User-Agent": "SDK/1", Authorization: "in", Cookie: "c=1" };
    expect(handler(kind, "diagnostic")({ headers, body: '{"kind":"diagnostic"}' }).status).toBe(202);
    await clock.until(() => emulator.diagnostics.length === 1);
    expect(emulator.diagnostics[0]).toMatchObject({
      path,
      body: '{"kind":"diagnostic"}',
      headers: { "user-agent": "SDK/1" },
    });
    expect(emulator.diagnostics[0]?.headers["authorization"]).toBe(key);
    expect(emulator.diagnostics[0]?.headers).not.toHaveProperty("cookie");
  },
);

test("EventDispatcherReplaceCredential: also for what waits; a kind that it has not and an environment id are ignored", async () => {
  const { dispatcher, handler, emulator, ended } = setUp();
  for (const kind of ["server", "mobile", "js"] as const)
    handler(kind, "analytics")({ headers: SCHEMA_4, body: "[1]" });
  dispatcher.replaceCredential({ kind: "sdkKey", value: "sdk-2" });
  dispatcher.replaceCredential({ kind: "mobileKey", value: "mob-2" });
  dispatcher.replaceCredential({ kind: "environmentId", value: "env-2" });
  await ended(dispatcher.flush());
  expect(emulator.payloads.map(({ path, headers }) => `${path} ${headers["authorization"]}`).toSorted()).toEqual([
    "/bulk sdk-2",
    "/events/bulk/env-1 undefined",
    "/mobile mob-2",
  ]);
});

test("EventHandlersRejectMalformedJSON and EmptyBody: 400, in strict mode 202 for what is malformed; nothing is sent", async () => {
  for (const strict of [false, true]) {
    const { dispatcher, handler, emulator, ended } = setUp({ strict });
    const handle = handler("server", "analytics");
    for (const body of ['[{"no', '{"not":"a list"}', Uint8Array.of(0x5b, 0xff, 0x5d)])
      expect(handle({ headers: SCHEMA_4, body }).status).toBe(strict ? 202 : 400);
    for (const events of ["analytics", "diagnostic"] as const)
      expect(handler("server", events)({ headers: {}, body: "" })).toEqual({
        status: 400,
        headers: { "content-type": "application/json" },
        body: '{"message":"body may not be empty"}',
      });
    expect(handle({ headers: SCHEMA_4, body: "[]" }).status).toBe(202);
    await ended(dispatcher.close());
    expect(emulator.requests).toBe(0);
  }
});

test("strict says schema 3 of every payload", async () => {
  const { dispatcher, handler, emulator, ended } = setUp({ strict: true });
  handler("server", "analytics")({ headers: SCHEMA_4, body: "[1]" });
  await ended(dispatcher.flush());
  expect(emulator.payloads[0]?.headers["x-launchdarkly-event-schema"]).toBe("3");
});

test("inlineUsers: summarised events carry their user", async () => {
  const { dispatcher, handler, emulator, ended } = setUp({ inlineUsers: true });
  handler("server", "analytics")({ headers: {}, body: JSON.stringify([{ ...FEATURE, kind: "custom" }]) });
  await ended(dispatcher.flush());
  expect(emulator.payloads[0]?.events).toEqual([{ kind: "custom", creationDate: 1, key: "f", user: { key: "u" } }]);
});

test("defaults: a flush every 5 seconds, 1,000 events for each metadata, no flag known; an interval of 0 means the default", async () => {
  for (const options of [{}, { flushIntervalMs: 0 }]) {
    const { host, emulator, clock, warnings } = setUp();
    const dispatcher = new EventDispatcherOn(host, {
      sdkKey: "sdk-1",
      uri: URL_OF_VENDOR,
      onWarning: (message) => warnings.push(message),
      ...options,
    });
    const handle = dispatcher.getHandler("server", "analytics") as EventHandler;
    handle({ headers: SCHEMA_4, body: JSON.stringify(Array.from({ length: 1_001 }, (_, n) => ({ n }))) });
    expect(warnings).toEqual(["Exceeded event queue capacity of 1000. Increase capacity to avoid dropping events."]);
    handle({ headers: {}, body: JSON.stringify([FEATURE]) });
    await clock.advance(4_900);
    expect(emulator.requests).toBe(0);
    await clock.advance(200);
    expect(emulator.payloads.map(({ events }) => events.length).toSorted((a, b) => b - a)).toEqual([1_000, 2]);
    expect(JSON.stringify(emulator.payloads)).not.toContain('\\"variation\\"');
  }
});

test("eventQueueCleanupIntervalMs: summarisers that nobody uses are forgotten, and what they hold is sent", async () => {
  const { handler, emulator, clock, dispatcher, ended } = setUp({ eventQueueCleanupIntervalMs: 10 });
  const handle = handler("server", "analytics");
  const post = (tags: string): unknown => handle({ headers: { [TAGS_HEADER]: tags }, body: JSON.stringify([FEATURE]) });
  for (const tags of ["a", "b"]) post(tags);
  await clock.advance(100);
  expect(emulator.payloads.map(({ events }) => events.map(({ kind }) => kind))).toEqual([
    ["index", "summary"],
    ["index", "summary"],
  ]);
  post("a");
  await ended(dispatcher.flush());
  // A new one, that has sent no index event.
  expect(emulator.payloads.at(-1)?.events.map(({ kind }) => kind)).toEqual(["index", "summary"]);
});

test("close sends what waits, once, and takes nothing more", async () => {
  const { dispatcher, handler, emulator, ended } = setUp();
  const handle = handler("server", "analytics");
  handle({ headers: SCHEMA_4, body: "[1]" });
  handle({ headers: {}, body: JSON.stringify([FEATURE]) });
  await ended(dispatcher.close());
  await dispatcher.close();
  expect(emulator.payloads).toHaveLength(2);
  expect(handle({ headers: SCHEMA_4, body: "[1]" })).toMatchObject({
    status: 503,
    body: '{"message":"the event dispatcher is closed"}',
  });
  await dispatcher.flush();
  expect(emulator.payloads).toHaveLength(2);
});

test("what cannot be used is refused by name; the entry's own class brings its host along", async () => {
  expect(() => setUp({ sdkKey: "not a key" })).toThrow("sdkKey");
  expect(() => setUp({ mobileKey: "" })).toThrow("mobileKey");
  expect(() => setUp({ environmentId: "a/b" })).toThrow("environmentId");
  expect(() => setUp({ uri: "nowhere" })).toThrow("is not an http or https URL");
  expect(() => setUp({ capcity: 1 } as never)).toThrow('did you mean "capacity"');
  expect(() => setUp({ capacity: 0 })).toThrow("capacity");
  const dispatcher = new EventDispatcher({ sdkKey: "sdk-1", transport: () => Promise.reject(new Error("offline")) });
  expect(dispatcher.getHandler("server", "analytics")).toBeTypeOf("function");
  await dispatcher.close();
});

test("embedded in a server of Node: its headers and its body as they come", async () => {
  const { dispatcher, handler, emulator, ended } = setUp();
  const handle = handler("server", "analytics");
  const server = createServer((request, response) => {
    void buffer(request).then((read) => {
      const { status, headers, body } = handle({ headers: request.headers, body: read });
      response.writeHead(status, headers).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const post = (body: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}/bulk`, { method: "POST", headers: { ...SCHEMA_4, [TAGS_HEADER]: "a" }, body });
  expect((await post("[1]")).status).toBe(202);
  const refused = await post("");
  expect([refused.status, await refused.json()]).toEqual([400, { message: "body may not be empty" }]);
  await ended(dispatcher.flush());
  expect(emulator.payloads).toMatchObject([{ body: "[1]", headers: { "x-launchdarkly-tags": "a" } }]);
});
