/**
 * Who may send: with which key, in which place and spelling, how often; and that a key goes no
 * further than the intake.
 */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { emulators, startServer, VirtualClock } from "@waybill/testing";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { KeyLimiter } from "../../src/intake/key-limiter.ts";
import { BASIC, KEY, type RelayWorld, send, startWorld, until } from "../lib/world.ts";

const track = (id: string): object => ({ type: "track", userId: "u", event: "E", messageId: id });
const basic = (key: string): Record<string, string> => ({ authorization: `Basic ${btoa(`${key}:`)}` });

/** One relay for all rows of the first test: none changes anything for another. */
let shared: RelayWorld;
beforeAll(async () => {
  shared = await startWorld({ sources: SOURCES, keep: true });
});

const SOURCES = {
  web: { protocol: "segment", writeKeys: [KEY], prefix: "/eu", hosts: ["web.test"] },
  other: { protocol: "segment", writeKeys: ["other-key"] },
  open: { protocol: "segment", writeKeys: ["open-key"], keyless: true, prefix: "/open", hosts: ["open.test"] },
  mail: { protocol: "letter", writeKeys: ["lt"] },
  mail2: { protocol: "letter", writeKeys: ["lt2"] },
  post: { protocol: "letter", writeKeys: ["lt3"], keyless: true },
  fluxly: { protocol: "getfluxly", writeKeys: ["gf"] },
  game: { protocol: "trophy", writeKeys: ["tr"] },
  success: { protocol: "valued", writeKeys: ["va"] },
  hog: { protocol: "posthog", writeKeys: ["phc"] },
  free: { protocol: "posthog", writeKeys: ["phc-free"], keyless: true },
};

test.each<[string, string, string, Record<string, string>, object, number]>([
  ["no key", "web", "/s/web/v1/batch", {}, { batch: [track("k1")] }, 401],
  ["no key", "web", "/eu/v1/track", {}, track("k2"), 401],
  ["no key", "web", "/v1/batch", { host: "web.test" }, { batch: [track("k3")] }, 401],
  ["its key in the body", "web", "/s/web/v1/batch", {}, { batch: [track("k4")], writeKey: KEY }, 200],
  ["another's key at a host", "web", "/v1/batch", { ...basic("other-key"), host: "web.test" }, { batch: [] }, 401],
  ["its key at its host", "web", "/v1/batch", { ...BASIC, host: "web.test" }, { batch: [track("k5h")] }, 200],
  ["its key in the head", "web", "/eu/v1/batch", BASIC, { batch: [track("k5")] }, 200],
  ["another source's key in the head", "web", "/s/web/v1/batch", basic("other-key"), { batch: [track("k6")] }, 401],
  ["another source's key in the body", "web", "/eu/v1/batch", {}, { batch: [track("k7")], writeKey: "other-key" }, 401],
  ["a key of Letter's in the head", "web", "/v1/batch", basic("lt"), { batch: [track("k8")] }, 401],
  ["a key of Letter's in the body", "web", "/v1/batch", {}, { batch: [track("k9")], writeKey: "lt" }, 401],
  ["a key of 3,000 characters", "web", "/v1/batch", {}, { batch: [track("k10")], writeKey: "k".repeat(3_000) }, 401],
  ["an OAuth token alone", "web", "/v1/batch", { authorization: "Bearer t" }, { batch: [track("k11")] }, 401],
  ["no key, which it may", "open", "/s/open/v1/batch", {}, { batch: [track("k12")] }, 200],
  ["no key, which it may", "open", "/open/v1/batch", {}, { batch: [track("k13")], writeKey: "" }, 200],
  ["no key, which it may", "open", "/v1/batch", { host: "open.test:80" }, { batch: [track("k14")] }, 200],
  ["no key, elsewhere", "open", "/v1/batch", {}, { batch: [track("k15")] }, 401],
  ["another source's key", "open", "/s/open/v1/batch", BASIC, { batch: [track("k16")] }, 401],
  ["another source's key", "open", "/s/open/v1/batch", {}, { batch: [track("k17")], writeKey: KEY }, 401],
  ["nobody's key", "open", "/s/open/v1/batch", {}, { batch: [track("k18")], writeKey: "nobody" }, 401],
  ["an OAuth token", "open", "/s/open/v1/batch", { authorization: "Bearer t" }, { batch: [track("k19")] }, 401],
  ["no key", "mail", "/s/mail/v1/track", {}, track("k20"), 401],
  ["its sister's key", "mail", "/s/mail/v1/track", { authorization: "Bearer lt2" }, track("k21"), 401],
  ["its key", "mail", "/s/mail/v1/track", { authorization: "Bearer lt" }, track("k22"), 200],
  ["no key, which it may", "post", "/s/post/v1/track", {}, track("k23"), 200],
  ["its sister's key", "post", "/s/post/v1/track", { authorization: "Bearer lt" }, track("k24"), 401],
  ["no key", "fluxly", "/s/fluxly/v1/events", {}, { event: "a", user_id: "u" }, 401],
  ["no key", "game", "/s/game/v1/metrics/m/event", {}, { user: { id: "u" }, value: 1 }, 401],
  ["no key", "success", "/s/success/events", {}, { category: "a" }, 401],
  ["no key", "hog", "/s/hog/e", {}, { event: "e" }, 401],
  ["another key", "hog", "/s/hog/e", {}, { event: "e", api_key: "phc-free" }, 401],
  ["its key", "hog", "/s/hog/e", {}, { event: "e", api_key: "phc" }, 200],
  ["its key, by PostHog's own path", "hog", "/batch/", {}, { api_key: "phc", batch: [{ event: "e" }] }, 200],
  ["its key, by PostHog's own path", "free", "/i/v0/e/", {}, { event: "e", token: "phc-free" }, 200],
  ["its key, by PostHog's own path", "hog", "/capture", {}, { event: "e", api_key: "phc", token: "nobody" }, 200],
  ["no key, by PostHog's own path", "free", "/e", {}, { event: "e" }, 401],
  ["nobody's key, by PostHog's own path", "hog", "/batch", {}, { api_key: "nobody", batch: [{ event: "e" }] }, 401],
  ["a key of Segment's, by PostHog's own path", "hog", "/e", {}, { event: "e", api_key: KEY }, 401],
  ["no key, which it may", "free", "/s/free/e", {}, { event: "e" }, 200],
  ["another key", "free", "/s/free/e", {}, { event: "e", api_key: "phc" }, 401],
  ["a key that is not text", "free", "/s/free/e", {}, { event: "e", api_key: 5 }, 401],
])("with %s: source %s, %s", async (_what, source, path, headers, body, status) => {
  const { relay } = shared;
  const accepted = (): number => relay.accounts().sources.find((one) => one.source === source)?.accepted ?? -1;
  const before = accepted();
  expect((await send(relay.intakeUrl, "POST", path, body, headers)).status).toBe(status);
  expect(accepted() - before).toBe(status === 200 ? 1 : 0);
});

test.each<[string, string, object]>([
  ["segment", "/v1/batch", { batch: [] }],
  ["letter", "/s/mail/v1/track", track("d1")],
  ["getfluxly", "/v1/events", { event: "a" }],
  ["trophy", "/metrics/m/event", { value: 1 }],
  ["valued", "/events", { category: "a" }],
  ["posthog", "/batch", { batch: [] }],
  ["posthog", "/s/hog/e", { event: "e" }],
])("a refusal of %s for a missing key says so: %s", async (_protocol, path, body) => {
  const { status, text } = await send(shared.relay.intakeUrl, "POST", path, body, {});
  expect(status).toBe(401);
  expect(text).toMatch(/[Tt]here is no (write )?key: send it as |[Tt]here is no key: send it in |unauthorized/);
  const { detail = "said" } = JSON.parse(text) as { readonly detail?: string };
  expect(detail).not.toBe("");
});

test("who names a source by the key in the body pays from the budget of strangers until it is read", async () => {
  const { relay } = await startWorld({ sources: { hog: { protocol: "posthog", writeKeys: ["phc"] } } });
  const half = httpRequest(`${relay.intakeUrl}/batch`, { method: "POST", headers: { "content-length": 50_000 } });
  half.on("error", () => undefined);
  half.write(`{"api_key":"phc","pad":"${"x".repeat(30_000)}`);
  const metric = async (): Promise<string> =>
    /^waybill_intake_keyless_held_bytes (\d+)$/m.exec(
      (await send(relay.adminUrl, "GET", "/metrics", "", {})).text,
    )?.[1] ?? "";
  await until(async () => Number(await metric()) > 30_000);
  half.destroy();
  await until(async () => (await metric()) === "0");
});

test("keyless is for every protocol but LaunchDarkly's, whose requests all have a key", () => {
  const text = JSON.stringify({
    environments: {
      e: {
        sources: { flags: { protocol: "launchdarkly", writeKeys: ["k"], keyless: true } },
        destinations: { f: { vendor: "file", path: "/x" } },
      },
    },
  });
  expect(() => loadConfig({ file: "f", text, env: {} })).toThrow(
    /keyless.*is not an option of sources of launchdarkly/,
  );
});

test("a rate holds for a key in every spelling and every place, and each key has its own", async () => {
  const limited = {
    protocol: "segment",
    writeKeys: ["k-1", "k-2"],
    prefix: "/p",
    maxRequestsPerSecond: 0.001,
    burst: 12,
  };
  const { relay } = await startWorld({
    sources: {
      limited,
      hog: { protocol: "posthog", writeKeys: ["phc", "phc-2"], maxRequestsPerSecond: 0.001, burst: 2 },
      open: { protocol: "letter", writeKeys: ["lt"], keyless: true, maxRequestsPerSecond: 0.001, burst: 2 },
      wide: { protocol: "segment", writeKeys: ["wide"], keyless: true, maxRequestsPerSecond: 0.001, burst: 2 },
    },
  });
  const encoded = (text: string): string => btoa(text);
  const spellings: [string, Record<string, string>, object][] = [
    ["/v1/batch", { authorization: `Basic ${encoded("k-1:")}` }, {}],
    ["/v1/batch", { authorization: `Basic ${encoded("k-1")}` }, {}],
    ["/v1/batch", { authorization: `basic  ${encoded("k-1:secret")}` }, {}],
    ["/v1/batch", { authorization: `BASIC ${encoded("k-1:").replaceAll("=", "")}` }, {}],
    ["/v1/batch", { authorization: "Bearer k-1" }, {}],
    ["/v1/batch", {}, { writeKey: "k-1" }],
    ["/v1/batch", { authorization: "Bearer other" }, { writeKey: "k-1" }],
    ["/p/v1/batch", { authorization: `Basic ${encoded("k-1:")}` }, {}],
    ["/p/v1/batch", {}, { writeKey: "k-1" }],
    ["/s/limited/v1//batch/", {}, { writeKey: "k-1" }],
    ["/s/limited/v1/batch", { authorization: "Bearer k-1" }, {}],
  ];
  const ask = ([path, headers, more]: (typeof spellings)[number]): Promise<number> =>
    send(relay.intakeUrl, "POST", path, { batch: [], ...more }, headers).then(({ status }) => status);
  for (const spelling of spellings) expect(await ask(spelling), spelling.join(" ")).toBe(200);
  expect(await ask(spellings[0] as (typeof spellings)[number])).toBe(200);
  for (const spelling of spellings) expect(await ask(spelling), spelling.join(" ")).toBe(429);
  expect(await ask(["/v1/batch", basic("k-2"), {}])).toBe(200);
  const posthog = (): Promise<number> =>
    send(relay.intakeUrl, "POST", "/s/hog/e", { event: "e", api_key: "phc" }, {}).then(({ status }) => status);
  expect([await posthog(), await posthog(), await posthog()]).toEqual([200, 200, 429]);
  const own = await send(relay.intakeUrl, "POST", "/e", { event: "e", api_key: "phc" }, {});
  expect(own).toMatchObject({ status: 429, json: { code: "rate_limited" } });
  expect((await send(relay.intakeUrl, "POST", "/e", { event: "e", api_key: "phc-2" }, {})).status).toBe(200);
  const open = (headers: Record<string, string>): Promise<number> =>
    send(relay.intakeUrl, "POST", "/s/open/v1/track", track("o"), headers).then(({ status }) => status);
  expect([await open({}), await open({}), await open({})]).toEqual([200, 200, 429]);
  expect(await open({ authorization: "Bearer lt" })).toBe(200);
  const wide = (more: object): Promise<number> => ask(["/s/wide/v1/batch", {}, more]);
  expect([await wide({}), await wide({}), await wide({})]).toEqual([200, 200, 429]);
  expect(await wide({ writeKey: "wide" })).toBe(200);
});

test("buckets that are full are forgotten, others are not", async () => {
  const clock = new VirtualClock();
  const limiter = new KeyLimiter({ perSecond: 1, burst: 2 }, clock);
  for (let key = 0; key < 10_000; key++) {
    limiter.take(`key-${key}`);
    if (key % 10 === 0) await clock.advance(1_000);
  }
  expect(limiter.size).toBeLessThan(200);
  limiter.take("kept");
  limiter.take("kept");
  for (let key = 0; key < 1_000; key++) limiter.take(`more-${key}`);
  expect(limiter.take("kept")).toBeGreaterThan(0);
});

/** All bytes under a folder. */
function bytesUnder(folder: string): string {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => `${folder}/${name}`)
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, "latin1"))
    .join("\n");
}

test("inbound keys are neither stored nor sent on, wherever clients put them", async () => {
  const flags = new emulators.LaunchDarklyEmulator({});
  const server = await startServer(flags.handle);
  onTestFinished(() => server.close());
  const posts: string[] = [];
  const everything = await startServer((request) => {
    posts.push(JSON.stringify(request.headers) + Buffer.from(request.body).toString());
    return { status: 200, headers: {}, body: "{}" };
  });
  onTestFinished(() => everything.close());
  const { relay, directory } = await startWorld({
    sources: {
      web: { protocol: "segment", writeKeys: ["in-segment"] },
      hog: { protocol: "posthog", writeKeys: ["in-posthog", "in-posthog-old"] },
      flags: { protocol: "launchdarkly", writeKeys: ["in-sdk"], mobileKeys: ["in-mobile"], environmentId: "in-env" },
    },
    destinations: () => ({
      hook: { vendor: "http", url: `${everything.url}/hook`, format: "json", batch: { linger: "1ms" } },
      hog: { vendor: "posthog", url: everything.url, writeKey: "out-posthog", batch: { linger: "1ms" } },
      flags: {
        vendor: "launchdarkly",
        url: server.url,
        writeKey: "out-sdk",
        mobileKey: "out-mobile",
        environmentId: "out-env",
        batch: { linger: "1ms" },
      },
    }),
  });
  const post = (path: string, body: string, headers: Record<string, string> = {}): Promise<number> =>
    send(relay.intakeUrl, "POST", path, body, headers).then(({ status }) => status);
  const statuses = [
    await post("/v1/track", '{"writeKey":"in-segment","type":"track","userId":"u","event":"E"}'),
    await post(
      "/v1/batch",
      '{"writeKey":"in-segment","batch":[{"type":"page","writeKey":"in-segment","userId":"u"},{"write\\u004bey":"in-segment","type":"page","messageId":"m"}]}',
    ),
    await post(
      "/s/hog/batch",
      '{"api_key":"in-posthog","batch":[{"event":"a","distinct_id":"u","api_key":"in-posthog","token":"in-posthog","properties":{"token":"in-posthog","x":1,"api_key":"in-posthog-old","tok\\u0065n":"in-posthog"}},{"properties":{"token":"mine","token":"in-posthog"},"event":"b"}]}',
    ),
    await post("/s/hog/capture", '{"api_key":"in-posthog","token":"in-posthog","event":"c","properties":{"$token":1}}'),
    await post("/batch/", '{"api_key":"in-posthog","batch":[{"event":"d","properties":{"token":"in-posthog-old"}}]}'),
    await post("/diagnostic", '{"kind":"diagnostic"}', { authorization: "in-sdk", "user-agent": "sdk" }),
    await post("/mobile/events/diagnostic", '{"kind":"diagnostic"}', { authorization: "api_key in-mobile" }),
    await post("/events/diagnostic/in-env", '{"kind":"diagnostic"}', { authorization: "in-sdk" }),
  ];
  expect(statuses).toEqual([200, 200, 200, 200, 200, 202, 202, 202]);
  await until(() => relay.accounts().lanes.every(({ account }) => account.pending === 0));
  const sent = posts.join("\n");
  expect(sent).toContain('"token":"mine"');
  expect(sent).toContain("out-posthog");
  expect(flags.diagnostics.map(({ headers }) => headers["authorization"])).toEqual([
    "out-sdk",
    "out-mobile",
    undefined,
  ]);
  const stored = bytesUnder(`${directory}/data`);
  expect(stored).toContain('"event":"c"');
  for (const key of ["in-segment", "in-posthog", "in-sdk", "in-mobile"]) {
    expect(stored, key).not.toContain(key);
    expect(sent + JSON.stringify(flags.diagnostics), key).not.toContain(key);
  }
});

test("Trophy is asked for its documented resources alone, whatever a path is spelled like", async () => {
  const asked: string[] = [];
  const vendor = await startServer((request) => {
    asked.push(request.path);
    return { status: 200, headers: { "content-type": "application/json" }, body: "{}" };
  });
  onTestFinished(() => vendor.close());
  const { relay } = await startWorld({
    sources: { game: { protocol: "trophy", writeKeys: ["in"] } },
    destinations: () => ({ trophy: { vendor: "trophy", url: `${vendor.url}/v1`, writeKey: "out" } }),
    extra: { exchange: { deadline: "2s" } },
  });
  const ask = (method: string, path: string): Promise<number> =>
    send(relay.intakeUrl, method, path, "", { "x-api-key": "in" }).then(({ status }) => status);
  for (const path of [
    "/users/../admin",
    "/users/%2e%2e/admin",
    "/users/%2E./x/metrics",
    "/users/..%2fadmin",
    "/users/a%2f..%2f..%2fadmin",
    "/users/a%5c..%5cadmin",
    "/users/a\\..\\admin",
    "/users/%252e%252e",
    "/users/a/%2e%2e/%2e%2e/admin",
    "/users/a%00",
    "/users/a%0d%0ax",
    "/users/%zz",
    "/users/./metrics",
    "/admin",
    "/users/a/anything",
    "/v1/v1/users/a",
    "/leaderboards/a/b",
    `/users/${"a".repeat(600)}`,
  ]) {
    const status = await ask("GET", path);
    expect(status >= 400 && status < 500, `${path} ${status}`).toBe(true);
  }
  expect(await ask("DELETE", "/users/a")).toBe(405);
  expect(await ask("GET", `/users/a?${"x".repeat(9_000)}`)).toBe(400);
  expect(await ask("GET", "/users/a?x=\u00e9")).toBe(400);
  expect(asked).toEqual([]);
  for (const path of [
    "/v1/users/a%20b",
    "/api/users/a//metrics/words/",
    "/streaks?userIds=a,b",
    "/points/xp/level-summary",
  ])
    expect(await ask("GET", path)).toBe(200);
  expect(asked).toEqual([
    "/v1/users/a%20b",
    "/v1/users/a/metrics/words",
    "/v1/streaks?userIds=a,b",
    "/v1/points/xp/level-summary",
  ]);
  const metric = (name: string): Promise<number> =>
    send(relay.intakeUrl, "POST", `/v1/metrics/${name}/event`, '{"user":{"id":"u"},"value":1}', {
      "x-api-key": "in",
    }).then(({ status }) => status);
  for (const name of ["..", "%2e%2e", "a/../b", "%2e%2e%2fusers", "a%5c..", "%252e%252e"])
    expect(await metric(name), name).toBe(404);
  expect(await metric("words%20written/%C3%A9")).toBe(200);
  expect(asked.at(-1)).toBe("/v1/metrics/words%20written%2F%C3%A9/event");
});
