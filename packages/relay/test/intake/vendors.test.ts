/**
 * Every vendor's own protocol at both ends of the relay: what its clients send arrives at its
 * emulator byte for byte, and at the others' in their own format.
 */
import { TrophyApiClient } from "@trophyso/node";
import { emulators, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { GetFluxlyClient } from "waybill/getfluxly";
import { HttpEventPublisher } from "waybill/launchdarkly";
import { LetterClient } from "waybill/letter";
import { TrophyClient } from "waybill/trophy";
import { ValuedClient } from "waybill/valued";
import { BASIC, type RelayWorld, send, startWorld, until } from "../lib/world.ts";

interface Vendors {
  readonly segment: emulators.SegmentEmulator;
  readonly letter: emulators.LetterEmulator;
  readonly getfluxly: emulators.GetFluxlyEmulator;
  readonly trophy: emulators.TrophyEmulator;
  readonly valued: emulators.ValuedEmulator;
  readonly launchdarkly: emulators.LaunchDarklyEmulator;
}
type Name = keyof Vendors;

const SOURCES = {
  web: { protocol: "segment", writeKeys: ["write-key"] },
  mail: { protocol: "letter", writeKeys: ["lt_live_in"] },
  fluxly: { protocol: "getfluxly", writeKeys: ["gflux_secret_in", "gflux_pub_in"] },
  game: { protocol: "trophy", writeKeys: ["in.secret"] },
  success: { protocol: "valued", writeKeys: ["valued-in"] },
  flags: {
    protocol: "launchdarkly",
    writeKeys: ["sdk-in"],
    mobileKeys: ["mob-in"],
    environmentId: "env-in",
    allowedHeaders: ["X-More"],
  },
};

/** A relay with a source of each vendor and destinations at emulators of those named. */
async function setUp(
  names: readonly Name[],
  more: Readonly<Partial<Record<Name, object>>> = {},
  extra: Readonly<Record<string, unknown>> = {},
): Promise<RelayWorld & { readonly vendors: Vendors; settled(): Promise<void> }> {
  const vendors: Vendors = {
    segment: new emulators.SegmentEmulator({ limits: "none" }),
    letter: new emulators.LetterEmulator(),
    getfluxly: new emulators.GetFluxlyEmulator(),
    trophy: new emulators.TrophyEmulator({ eventAttributes: ["source"] }),
    valued: new emulators.ValuedEmulator(),
    launchdarkly: new emulators.LaunchDarklyEmulator(),
  };
  const urls = new Map<Name, string>();
  for (const name of names) {
    const server = await startServer(vendors[name].handle);
    onTestFinished(() => server.close());
    urls.set(name, server.url);
  }
  const keys = { getfluxly: "gflux_secret_out", launchdarkly: "sdk-out" } as const;
  const destinations = Object.fromEntries(
    names.map((name) => [
      name,
      {
        vendor: name,
        url: urls.get(name),
        writeKey: (keys as Partial<Record<Name, string>>)[name] ?? "out",
        backoff: { base: "10ms", max: "50ms" },
        batch: { linger: "1ms" },
        ...(name === "launchdarkly" ? { mobileKey: "mob-out", environmentId: "env-out" } : {}),
        ...more[name],
      },
    ]),
  );
  const world = await startWorld({ sources: SOURCES, destinations: () => destinations, extra });
  return {
    ...world,
    vendors,
    settled: () => until(() => world.relay.accounts().lanes.every(({ account }) => account.pending === 0)),
  };
}

test("Letter's client", async () => {
  const { relay, vendors, settled } = await setUp(["letter"]);
  const errors: unknown[] = [];
  const mailClient = new LetterClient({
    apiKey: "lt_live_in",
    baseUrl: relay.intakeUrl,
    onError: (error) => errors.push(error),
  });
  mailClient.identify({ userId: "u", email: "ada@b.test" });
  mailClient.group({ userId: "u", accountId: "a" });
  for (let index = 0; index < 250; index++) mailClient.track({ userId: "u", event: "E", messageId: `m-${index}` });
  await mailClient.trackImmediate({ userId: "u", event: "Single" });
  await mailClient.close();
  mailClient.track({ userId: "u", event: "after close" });
  await settled();
  expect(errors).toHaveLength(1);
  expect(vendors.letter.events).toHaveLength(251);
  expect(vendors.letter.contacts.get("u")?.email).toBe("ada@b.test");
  expect(vendors.letter.posts[0]?.headers["authorization"]).toBe("Bearer out");
});

test("GetFluxly's client: partial acceptance, a repeated key, an alias with the vendor's own answer", async () => {
  const { relay, vendors, settled } = await setUp(["getfluxly"]);
  const fluxly = new GetFluxlyClient({ token: "gflux_secret_in", apiHost: relay.intakeUrl });
  fluxly.track({ event: "fine", userId: "u" });
  fluxly.track({ event: "Not Snake", userId: "u" });
  expect(await fluxly.flush()).toMatchObject({
    accepted: 1,
    rejected: 1,
    errors: [{ index: 1, error: "validation_error" }],
  });
  expect(await fluxly.alias({ userId: "u", previousId: "p", requestId: "r-1" })).toMatchObject({
    user_id: "u",
    previous_id: "p",
    merged_at: expect.any(String),
  });
  const publishable = new GetFluxlyClient({ token: "gflux_pub_in", apiHost: relay.intakeUrl });
  await expect(publishable.alias({ userId: "u", previousId: "p" })).rejects.toMatchObject({
    code: "wrong_key_type",
    status: 403,
  });
  await expect(
    new GetFluxlyClient({ token: "nobody", apiHost: relay.intakeUrl }).alias({ userId: "u", previousId: "p" }),
  ).rejects.toMatchObject({ code: "unauthenticated" });
  const headers = {
    authorization: "Bearer gflux_secret_in",
    "x-idempotency-key": "k-1",
    "content-type": "application/json",
  };
  const body = '{"events":[{"event":"once","user_id":"u",  "properties":{"n":1e400}}]}';
  const first = await send(relay.intakeUrl, "POST", "/v1/events/batch", body, headers);
  const second = await send(relay.intakeUrl, "POST", "/v1/events/batch", body, headers);
  expect(first.status).toBe(202);
  expect(second.text).toBe(first.text);
  await settled();
  expect(vendors.getfluxly.events.map(({ event }) => event)).toEqual(["fine", "once"]);
  expect(vendors.getfluxly.posts.at(-1)?.body).toContain('{"event":"once","user_id":"u",  "properties":{"n":1e400}}');
});

test("Trophy's client and its published SDK get the vendor's own answer; a duplicate does not act twice", async () => {
  const { relay, vendors } = await setUp(["trophy"]);
  const trophy = new TrophyClient({ apiKey: "in.secret", baseUrl: `${relay.intakeUrl}/v1` });
  const event = { key: "words written/é", user: { id: "u" }, value: 2.5, idempotencyKey: "k" };
  expect(await trophy.metrics.event(event)).toMatchObject({ total: 2.5, idempotentReplayed: false });
  expect(await trophy.metrics.event(event)).toMatchObject({ total: 2.5, idempotentReplayed: true });
  expect(vendors.trophy.total("u", "words written/é")).toBe(2.5);
  const sdk = new TrophyApiClient({
    apiKey: "in.secret",
    environment: { api: `${relay.intakeUrl}/v1`, admin: relay.intakeUrl } as never,
  });
  expect(await sdk.metrics.event("words", { user: { id: "u" }, value: 1 })).toMatchObject({ total: 1 });
  await expect(
    trophy.metrics.event({ ...event, idempotencyKey: "k2", attributes: { odd: "x" } }),
  ).rejects.toMatchObject({ statusCode: 422 });
  await expect(trophy.metrics.event({ ...event, user: { id: "" } })).rejects.toMatchObject({ statusCode: 422 });
  await expect(
    new TrophyClient({ apiKey: "wrong", baseUrl: relay.intakeUrl }).metrics.event(event),
  ).rejects.toMatchObject({ statusCode: 401 });
});

test("Trophy's other endpoints are asked of the vendor, with its own key", async () => {
  const { relay, vendors } = await setUp(["trophy"]);
  const trophy = new TrophyClient({ apiKey: "in.secret", baseUrl: `${relay.intakeUrl}/v1`, maxRetries: 0 });
  await trophy.metrics.event({ key: "words", user: { id: "u" }, value: 1 });
  expect(await trophy.users.identify({ id: "u", name: "Ada" })).toMatchObject({ name: "Ada" });
  expect(await trophy.users.allMetrics({ id: "u" })).toMatchObject([{ key: "words", current: 1 }]);
  expect(await trophy.leaderboards.all()).toEqual([]);
  await expect(trophy.users.get({ id: "nobody" })).rejects.toMatchObject({ statusCode: 404 });
  expect(new Set(vendors.trophy.posts.map(({ headers }) => headers["x-api-key"]))).toEqual(new Set(["out"]));
  expect(relay.accounts().lanes[0]?.account.accepted).toBe(1);
});

test("who asks Trophy's other endpoints gets an error when the vendor does not answer", async () => {
  const { relay, vendors } = await setUp(["trophy"], {}, { exchange: { deadline: "200ms" } });
  const trophy = new TrophyClient({ apiKey: "in.secret", baseUrl: `${relay.intakeUrl}/v1`, maxRetries: 0 });
  vendors.trophy.fail({ kind: "hang" });
  await expect(trophy.users.get({ id: "u" })).rejects.toMatchObject({ statusCode: 503 });
  expect(vendors.trophy.posts.length).toBeGreaterThan(0);
  expect(relay.accounts().lanes[0]?.account.accepted).toBe(0);
});

test("a host chooses the source of requests without a key, where the source takes them", async () => {
  const sources = {
    mail: { protocol: "letter", writeKeys: ["lt"], hosts: ["mail.example.test"], keyless: true },
    web: { protocol: "segment", writeKeys: ["w"], hosts: ["web.example.test"], keyless: true },
  };
  const { relay } = await startWorld({ sources });
  const track = { userId: "u", event: "E" };
  expect(
    (await send(relay.intakeUrl, "POST", "/v1/track", track, { host: "mail.example.test:8080" })).json,
  ).toMatchObject({ ok: true });
  expect((await send(relay.intakeUrl, "POST", "/v1/track", track, { host: "web.example.test" })).json).toEqual({
    success: true,
  });
  expect((await send(relay.intakeUrl, "POST", "/v1/track", track, { host: "other.test" })).status).toBe(401);
});

test("an exchange whose vendor is silent is stored, answered 503, and sent later, once", async () => {
  const { relay, vendors, settled } = await setUp(["trophy"], {}, { exchange: { deadline: "150ms" } });
  vendors.trophy.fail({ kind: "status", status: 503 });
  const headers = { "x-api-key": "in.secret", "idempotency-key": "k" };
  const post = () => send(relay.intakeUrl, "POST", "/v1/metrics/words/event", '{"user":{"id":"u"},"value":3}', headers);
  const first = await post();
  expect(first).toMatchObject({ status: 503, json: { stored: true } });
  expect(first.headers["retry-after"]).toBe("1");
  expect(first.headers["waybill-receipt"]).toBe("test/0+1");
  vendors.trophy.recover();
  await settled();
  // A machine that is held up answers that it is stored, once more.
  let second = first;
  await until(async () => (second = await post()).status !== 503);
  expect(second).toMatchObject({ status: 202, json: { total: 3, idempotentReplayed: true } });
  expect(vendors.trophy.total("u", "words")).toBe(3);
});

test("Valued's client: one event a request", async () => {
  const { relay, vendors, settled } = await setUp(["valued"], {});
  const valued = new ValuedClient("valued-in", `${relay.intakeUrl}/events`);
  for (let index = 0; index < 50; index++) valued.action("a", { "user.id": index });
  valued.syncUser({ id: 5, name: "Ada" });
  await valued.close();
  await settled();
  expect(vendors.valued.events).toHaveLength(51);
  expect(vendors.valued.users.get("5")).toMatchObject({ name: "Ada" });
  expect((await send(relay.intakeUrl, "POST", "/events", "{}", { authorization: "Bearer nobody" })).status).toBe(401);
  expect((await send(relay.intakeUrl, "POST", "/events", "[]", { authorization: "Bearer valued-in" })).status).toBe(
    400,
  );
});

test("LaunchDarkly's publisher: bytes, metadata and credentials of each kind of SDK", async () => {
  const { relay, vendors, settled } = await setUp(["launchdarkly"]);
  for (const [credential, path] of [
    [{ kind: "sdkKey", value: "sdk-in" }, "/bulk"],
    [{ kind: "mobileKey", value: "mob-in" }, "/mobile"],
    [{ kind: "environmentId", value: "env-in" }, "/events/bulk/env-out"],
  ] as const) {
    const publisher = new HttpEventPublisher(credential, { uri: relay.intakeUrl });
    publisher.publish(
      { schemaVersion: 4, tags: "a" },
      '{"kind":"custom",  "n":1.00000000000000000001,"n":2}',
      '"text"',
    );
    publisher.publish({ schemaVersion: 3 }, '{"kind":"b"}');
    await publisher.flush();
    await settled();
    const posts = vendors.launchdarkly.payloads.splice(0);
    const seen = posts.map(({ path: at, body, headers }) => ({
      at,
      body,
      schema: headers["x-launchdarkly-event-schema"],
      tags: headers["x-launchdarkly-tags"],
    }));
    expect(seen).toHaveLength(2);
    expect(seen).toContainEqual({ at: path, body: '[{"kind":"b"}]', schema: "3", tags: undefined });
    const body = '[{"kind":"custom",  "n":1.00000000000000000001,"n":2},"text"]';
    expect(seen).toContainEqual({ at: path, body, schema: "4", tags: "a" });
    expect(posts[0]?.headers["authorization"]).toBe({ "/bulk": "sdk-out", "/mobile": "mob-out" }[path as string]);
  }
});

test("events of each vendor reach the others in their own format, and what they cannot say is dropped", async () => {
  const { relay, vendors, settled } = await setUp(["segment", "letter", "getfluxly", "valued"]);
  await send(
    relay.intakeUrl,
    "POST",
    "/v1/batch",
    { batch: [{ type: "track", event: "Order Completed", userId: "u", messageId: "s1", properties: { n: 1 } }] },
    BASIC,
  );
  await send(
    relay.intakeUrl,
    "POST",
    "/v1/track",
    { userId: "u", event: "From Letter", messageId: "l1" },
    { authorization: "Bearer lt_live_in" },
  );
  await send(
    relay.intakeUrl,
    "POST",
    "/v1/events",
    { event: "from_fluxly", user_id: "u", message_id: "0d2e4c1a-6f8b-4a3c-9e57-1b2c3d4e5f60" },
    { authorization: "Bearer gflux_secret_in" },
  );
  // Another user's events have no order with these.
  await settled();
  await send(
    relay.intakeUrl,
    "POST",
    "/events",
    { category: "action", key: "from.valued", user: { id: 5 } },
    { authorization: "Bearer valued-in" },
  );
  await settled();
  await send(
    relay.intakeUrl,
    "POST",
    "/bulk",
    [{ kind: "custom", key: "from-flags", creationDate: 1_767_225_600_000, userKey: "u" }, { kind: "summary" }],
    { authorization: "sdk-in" },
  );
  await settled();
  expect(vendors.segment.events.map(({ event }) => event["event"])).toEqual([
    "Order Completed",
    "From Letter",
    "from_fluxly",
    "from.valued",
    "from-flags",
  ]);
  expect(vendors.letter.events.map(({ event }) => event)).toEqual([
    "Order Completed",
    "From Letter",
    "from_fluxly",
    "from.valued",
    "from-flags",
  ]);
  expect(vendors.getfluxly.events.map(({ event }) => event)).toEqual([
    "order_completed",
    "from_letter",
    "from_fluxly",
    "from_valued",
    "from_flags",
  ]);
  expect(vendors.valued.events.map(({ key }) => String(key)).toSorted()).toEqual([
    "From Letter",
    "Order Completed",
    "from-flags",
    "from.valued",
    "from_fluxly",
  ]);
  for (const { account } of relay.accounts().lanes) {
    expect(account).toMatchObject({ accepted: 6, delivered: 5, dropped: 1, balanced: true });
  }
});

test("a source's prefix needs its key too; unknown keys are refused in the vendor's wire format", async () => {
  const { relay } = await setUp(["letter"]);
  const track = { userId: "u", event: "E" };
  const key = { authorization: "Bearer lt_live_in" };
  expect((await send(relay.intakeUrl, "POST", "/s/mail/v1/track", track, {})).status).toBe(401);
  expect((await send(relay.intakeUrl, "POST", "/s/mail/v1/track", track, key)).status).toBe(200);
  expect((await send(relay.intakeUrl, "POST", "/s/mail/v1/nothing", track, {})).json).toMatchObject({
    error: { code: "not_found" },
  });
  expect((await send(relay.intakeUrl, "POST", "/v1/events", {}, { authorization: "Bearer x" })).json).toMatchObject({
    error: "unauthenticated",
  });
  expect((await send(relay.intakeUrl, "POST", "/v1/metrics/m/event", {}, { "x-api-key": "x" })).json).toEqual({
    error: "No source has this key. It was looked for in the header X-API-KEY.",
  });
  expect((await send(relay.intakeUrl, "GET", "/v1/events", "", { authorization: "Bearer gflux_pub_in" })).status).toBe(
    405,
  );
});
