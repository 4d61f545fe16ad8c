/**
 * Mixpanel's protocol at both ends of the relay: several projects in one request, duplicates,
 * traces, options of its destinations.
 */
import { startRelay, type Trace } from "@waybill/relay";
import { emulators, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { BASIC, destination, type RelayWorld, send, startWorld, until } from "../lib/world.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };
const AT_S = 1_700_000_000;
const account = { username: "name", secret: "secret", projectId: "7" };

const SOURCES = {
  site: { protocol: "mixpanel", writeKeys: ["mp_site"] },
  app: { protocol: "mixpanel", writeKeys: ["mp_app"], allowedOrigins: ["https://app.test"] },
  server: { protocol: "segment", writeKeys: ["write-key"] },
};

type World = RelayWorld & { readonly mixpanel: emulators.MixpanelEmulator; settled(): Promise<void> };

/** `more`: options of the destination. */
async function setUp(more: object = {}, extra: Readonly<Record<string, unknown>> = {}): Promise<World> {
  const mixpanel = new emulators.MixpanelEmulator({ tokens: ["mp_out"], serviceAccounts: [account] });
  const server = await startServer(mixpanel.handle);
  onTestFinished(() => server.close());
  const world = await startWorld({
    sources: SOURCES,
    extra,
    destinations: (url) => ({
      mixpanel: { ...destination(server.url), vendor: "mixpanel", writeKey: "mp_out", ...more },
      segment: destination(url),
    }),
  });
  return {
    ...world,
    mixpanel,
    settled: () => until(() => world.relay.accounts().lanes.every(({ account: { pending } }) => pending === 0)),
  };
}

const eventOf = (event: string, token: string, more: object = {}): object => ({
  event,
  properties: { token, time: AT_S, distinct_id: "u", $insert_id: `id-${event}`, ...more },
});
const namesIn = ({ events }: emulators.MixpanelEmulator): string[] => events.map(({ event }) => String(event));

function propertiesOf({ events }: emulators.MixpanelEmulator, name: string): Readonly<Record<string, unknown>> {
  const found = events.find(({ event }) => event === name);
  return (found?.["properties"] ?? {}) as Readonly<Record<string, unknown>>;
}

test("events of two projects in one request are stored for two sources, all of them or none", async () => {
  const { post, relay, mixpanel, settled } = await setUp();
  const mixed = [eventOf("a", "mp_site"), eventOf("b", "mp_app"), eventOf("c", "mp_site")];
  expect(await post("/track", mixed, {})).toMatchObject({ status: 200, text: "1" });
  expect(await post("/track?verbose=1", [...mixed, eventOf("d", "unknown")], {})).toMatchObject({ status: 401 });
  await settled();
  expect(relay.accounts().sources).toMatchObject([
    { source: "site", accepted: 2 },
    { source: "app", accepted: 1 },
    { accepted: 0 },
  ]);
  expect(namesIn(mixpanel).toSorted()).toEqual(["a", "b", "c"]);
  expect(mixpanel.posts.every(({ body }) => !body.includes("mp_site") && !body.includes("mp_app"))).toBe(true);
});

test("a duplicate is known by name, user, time and id, after a restart too, and is stored once", async () => {
  const { post, relay, config, mixpanel, settled } = await setUp();
  const mixed = [eventOf("a", "mp_site"), eventOf("b", "mp_app"), eventOf("a", "mp_site", { distinct_id: "v" })];
  await post("/import?strict=1", mixed, {});
  expect(await post("/track", mixed, {})).toMatchObject({ text: "1" });
  await settled();
  await relay.stop();
  const second = await startRelay(config, { logger: silent as never });
  onTestFinished(() => second.stop());
  const again = await send(
    second.intakeUrl,
    "POST",
    "/track",
    [...mixed, eventOf("a", "mp_site", { time: AT_S + 1 })],
    {},
  );
  expect(again).toMatchObject({ status: 200, text: "1" });
  expect(second.accounts().sources).toMatchObject([{ accepted: 1, duplicates: 2 }, { accepted: 0, duplicates: 1 }, {}]);
  await until(() => mixpanel.raw.length >= 4);
  expect(mixpanel.duplicates).toBe(0);
});

test("an event is traced by its id, and those of a client that gave none have one", async () => {
  const world = await setUp();
  await world.post("/track", [eventOf("a", "mp_site"), { event: "b", properties: { token: "mp_site" } }], {});
  await world.settled();
  const traceOf = async (id: string): Promise<Trace> =>
    (await send(world.relay.adminUrl, "GET", `/v1/trace/${id}`, "", {})).json as unknown as Trace;
  expect((await traceOf("id-a")).events).toMatchObject([{ source: "site", event: { event: "a" } }]);
  const made = propertiesOf(world.mixpanel, "b");
  expect((await traceOf(String(made["$insert_id"]))).events).toMatchObject([{ event: { event: "b" } }]);
  expect(made).toMatchObject({ distinct_id: "", ip: 0 });
});

test.each([
  ["a proxy that is trusted", { trustedProxies: ["127.0.0.0/8"] }, "203.0.113.9"],
  ["anybody else", {}, "127.0.0.1"],
])(
  "a page that wants to be located is, by the address of its connection or by what %s says",
  async (_whose, extra, expected) => {
    const { post, mixpanel, settled } = await setUp({}, extra);
    await post("/track/?ip=1", [eventOf("direct", "mp_app")], { origin: "https://app.test" });
    await post("/track/?ip=1", [eventOf("proxied", "mp_app")], { "x-forwarded-for": "8.8.8.8, 203.0.113.9" });
    await settled();
    const ipOf = (name: string): unknown => propertiesOf(mixpanel, name)["ip"];
    expect([ipOf("direct"), ipOf("proxied")]).toEqual(["127.0.0.1", expected]);
  },
);

test("a page's preflight and its answers name its origin", async () => {
  const { relay, post } = await setUp();
  const origin = { origin: "https://page.test" };
  expect(await send(relay.intakeUrl, "OPTIONS", "/track/", "", origin)).toMatchObject({
    status: 204,
    headers: { "access-control-allow-origin": "https://page.test", "access-control-allow-credentials": "true" },
  });
  const body = `data=${Buffer.from(JSON.stringify(eventOf("a", "mp_site"))).toString("base64")}`;
  const answer = await post("/track/?verbose=1&ip=1&_=1", body, { ...origin, "content-type": "text/plain" });
  expect(answer).toMatchObject({
    text: '{"status":1,"error":null}',
    headers: { "access-control-allow-origin": "https://page.test" },
  });
  const prefixed = await post("/s/app/track", [eventOf("b", "mp_app")], origin);
  expect(prefixed.headers["access-control-allow-origin"]).toBe("https://app.test");
  expect(await post("/s/app/track", [eventOf("c", "mp_site")], origin)).toMatchObject({ status: 401 });
});

test("a destination's options: its account, how groups are called, whether aliases are sent", async () => {
  const { post, relay, mixpanel, settled } = await setUp({
    writeKey: "token",
    serviceAccount: account,
    groupKey: "team",
    sendsAliases: true,
  });
  const batch = [
    { type: "track", event: "Bought", userId: "u", messageId: "m-1", context: { groupId: "acme" } },
    { type: "alias", userId: "new", previousId: "old", messageId: "m-2" },
  ].map((event) => ({ ...event, timestamp: "2026-01-02T03:04:05.678Z" }));
  await post("/v1/batch", { batch }, BASIC);
  await settled();
  expect(mixpanel.events).toMatchObject([
    { event: "Bought", properties: { team: "acme", distinct_id: "u", $insert_id: "m-1" } },
    { event: "$create_alias", properties: { distinct_id: "old", alias: "new" } },
  ]);
  expect(mixpanel.posts[0]?.path).toBe("/import?strict=1&project_id=7");
  expect(relay.accounts().lanes[0]?.account).toMatchObject({ delivered: 2, balanced: true });
});

test("profiles of Mixpanel's clients reach other vendors as identify and group, and other updates do not", async () => {
  const { post, emulator, mixpanel, settled } = await setUp();
  const token = { $token: "mp_site" };
  await post("/engage", [{ ...token, $distinct_id: "u", $set: { $email: "a@b.test" } }], {});
  await post("/engage", [{ ...token, $distinct_id: "u", $add: { n: 1 } }], {});
  await settled();
  await post("/groups", { ...token, $group_key: "company", $group_id: "acme", $set: { size: 3 } }, {});
  await settled();
  expect(emulator.events.map(({ event }) => event)).toMatchObject([
    { type: "identify", userId: "u", traits: { email: "a@b.test" } },
    { type: "group", groupId: "acme", traits: { size: 3 } },
  ]);
  expect(Object.fromEntries(mixpanel.profiles.users)).toEqual({ u: { $email: "a@b.test", n: 1 } });
  expect(Object.fromEntries(mixpanel.profiles.groups)).toEqual({ "company:acme": { size: 3 } });
});
