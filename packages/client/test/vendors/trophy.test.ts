/** Trophy's client against Trophy's emulator. Numbers are those of docs/conformance.md. */
import { TrophyApi, TrophyApiClient } from "@trophyso/node";
import { emulators } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { createTrophyClientOn, type TrophyClient, type TrophyClientOptions } from "../../src/trophy/client.ts";
import {
  TrophyApiError,
  TrophyApiTimeoutError,
  UnauthorizedError,
  UnprocessableEntityError,
} from "../../src/trophy/error.ts";
import { bodiesOf, gapsOf, URL_OF_VENDOR, type VendorWorld, vendorWorld } from "../lib/vendor-world.ts";

const EMULATOR: emulators.TrophyEmulatorOptions = {
  apiKeys: ["key.secret", "app_1.secret"],
  applicationUsers: { "app_1.secret": "u-1" },
  metrics: ["words", "lessons"],
  eventAttributes: ["source"],
  userAttributes: ["plan"],
  achievements: [
    { key: "writer", name: "Writer", metric: "words", value: 10 },
    { key: "invited", name: "Invited" },
  ],
  points: { xp: 5 },
  leaderboards: { top: { metric: "words" } },
};

interface World extends VendorWorld<emulators.TrophyEmulator> {
  readonly trophy: TrophyClient;
}

function setUp(
  options: Partial<TrophyClientOptions> = {},
  emulatorOptions: emulators.TrophyEmulatorOptions = {},
): World {
  const world = vendorWorld((clock) => new emulators.TrophyEmulator({ clock, ...EMULATOR, ...emulatorOptions }));
  const trophy = createTrophyClientOn(world.host, { apiKey: "key.secret", baseUrl: `${URL_OF_VENDOR}/v1`, ...options });
  return { ...world, trophy };
}

const words = (value: number, more: object = {}) => ({ key: "words", user: { id: "u-7" }, value, ...more });

test("[trophy 1] the first event of a key acts, a duplicate shows the state of now and adds nothing", async () => {
  const { trophy, emulator, ended } = setUp();
  const first = await ended(trophy.metrics.event(words(2, { idempotencyKey: "lesson-9" })));
  expect(first).toMatchObject({
    total: 2,
    idempotencyKey: "lesson-9",
    idempotentReplayed: false,
    currentStreak: { length: 1, extended: true },
    points: { xp: { added: 5 } },
  });
  const replayed = await ended(trophy.metrics.event(words(2, { idempotencyKey: "lesson-9" })));
  expect(replayed).toMatchObject({
    total: 2,
    idempotentReplayed: true,
    eventId: first.eventId,
    achievements: [],
    currentStreak: { extended: false },
    points: { xp: { added: 0 } },
  });
  expect([...emulator.answers]).toEqual([
    [201, 1],
    [202, 1],
  ]);
});

test("[trophy 2] the same key with another metric is another event", async () => {
  const { trophy, emulator, ended } = setUp();
  await ended(trophy.metrics.event(words(1, { idempotencyKey: "k" })));
  await ended(trophy.metrics.event(words(1, { idempotencyKey: "k", key: "lessons" })));
  expect([...emulator.answers]).toEqual([[201, 2]]);
});

test("[trophy 3] values may be negative and have decimals", async () => {
  const { trophy, ended } = setUp();
  expect(await ended(trophy.metrics.event(words(2.5)))).toMatchObject({ total: 2.5 });
  expect(await ended(trophy.metrics.event(words(-1)))).toMatchObject({ total: 1.5 });
});

test("[trophy 4] totals accumulate, achievements complete once", async () => {
  const { trophy, emulator, ended } = setUp();
  await ended(trophy.metrics.event(words(6)));
  expect(await ended(trophy.metrics.event(words(6)))).toMatchObject({
    total: 12,
    achievements: [{ key: "writer", name: "Writer" }],
  });
  expect(await ended(trophy.metrics.event(words(6)))).toMatchObject({ total: 18, achievements: [] });
  expect(emulator.total("u-7", "words")).toBe(18);
});

test("[trophy 5] attributes that are not declared are refused with 422 and their names", async () => {
  const { trophy, ended } = setUp();
  const odd = trophy.metrics.event(words(1, { attributes: { source: "web", odd: "x" } }));
  await expect(ended(odd)).rejects.toThrow("Status 422: Invalid attribute keys: odd.");
  await expect(ended(trophy.metrics.event(words(1, { attributes: { source: "web" } })))).resolves.toMatchObject({
    total: 1,
  });
});

test("[trophy 6] an event without user.id is refused with 422", async () => {
  const { trophy, emulator, ended } = setUp();
  const error: unknown = await ended(
    trophy.metrics.event(words(1, { user: { id: "" } })).catch((reason: unknown) => reason),
  );
  expect(error).toBeInstanceOf(UnprocessableEntityError);
  expect(error).toMatchObject({
    name: "UnprocessableEntityError",
    statusCode: 422,
    body: { error: "user.id is required." },
  });
  expect(emulator.requests).toBe(1);
});

test("[trophy 7] a missing or wrong key is refused with 401, one of another user with 403", async () => {
  const { trophy, ended } = setUp();
  const wrong = ended(trophy.metrics.event(words(1, { requestOptions: { apiKey: "wrong" } })));
  await expect(wrong).rejects.toBeInstanceOf(UnauthorizedError);
  await expect(
    ended(trophy.metrics.event(words(1, { requestOptions: { apiKey: "app_1.secret" } }))),
  ).rejects.toMatchObject({ statusCode: 403 });
  expect(() => setUp({ apiKey: "" })).toThrow('option "apiKey" is ""; it must be a string that is not empty');
});

test("[trophy 8] 500, 500, 201 is one event; waits are a second and two, a tenth more or less", async () => {
  const { trophy, emulator, ended } = setUp();
  emulator.fail({ kind: "status", status: 500, times: 2 });
  expect(await ended(trophy.metrics.event(words(3)))).toMatchObject({ total: 3 });
  const [first = 0, second = 0] = gapsOf(emulator);
  expect(first).toBeGreaterThanOrEqual(900);
  expect(first).toBeLessThan(1_110);
  expect(second).toBeGreaterThanOrEqual(1_800);
  expect(second).toBeLessThan(2_210);
  expect(new Set(emulator.posts.map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
});

test("[trophy 9] every leaderboard says what real SDKs insist on", async () => {
  const both = { top: { metric: "words" }, month: { metric: "words" }, other: { metric: "lessons" } };
  const { trophy, ended } = setUp({}, { leaderboards: both });
  await ended(trophy.metrics.event(words(9, { user: { id: "ahead" } })));
  const first = await ended(trophy.metrics.event(words(3, { idempotencyKey: "k" })));
  const replayed = await ended(trophy.metrics.event(words(3, { idempotencyKey: "k" })));
  for (const { leaderboards } of [first, replayed]) {
    expect(Object.keys(leaderboards).toSorted()).toEqual(["month", "top"]);
    // Python insists on id to userAttributes, Node 1.0.42 on a number of participants, Node 1.18 on
    // breakdownAttributes.
    for (const [key, leaderboard] of Object.entries(leaderboards))
      expect(leaderboard).toMatchObject({
        key,
        id: expect.any(String),
        name: expect.any(String),
        start: expect.stringMatching(/^\d{4}-\d\d-\d\d$/),
        threshold: expect.any(Number),
        rankBy: "metric",
        breakdownAttributes: [],
        userAttributes: [],
        maxParticipants: expect.any(Number),
        breakdownAttribute: null,
        end: null,
        startTime: null,
        endTime: null,
        rank: 2,
        previousRank: 2,
      });
  }
  const all = await ended(trophy.leaderboards.all());
  expect(all).toHaveLength(3);
  for (const leaderboard of all)
    expect(leaderboard).toMatchObject({
      userAttributes: [],
      breakdownAttributes: [],
      maxParticipants: expect.any(Number),
    });
});

test("[trophy 10] waits as long as Retry-After says; else until X-RateLimit-Reset, which is a time", async () => {
  const { trophy, emulator, ended } = setUp();
  emulator.fail({ kind: "status", status: 429, retryAfter: "2", times: 1 });
  await ended(trophy.metrics.event(words(1)));
  expect(gapsOf(emulator)[0]).toBeGreaterThanOrEqual(2_000);
  expect(gapsOf(emulator)[0]).toBeLessThan(2_010);
  const limited = setUp();
  let asked = 0;
  const resetS = Math.ceil(limited.clock.now() / 1_000) + 5;
  const client = createTrophyClientOn(limited.host, {
    apiKey: "key.secret",
    baseUrl: URL_OF_VENDOR,
    transport: async (request, signal) =>
      asked++ === 0
        ? { status: 429, headers: { "x-ratelimit-reset": String(resetS) }, body: "" }
        : limited.network.transport(request, signal),
  });
  await limited.ended(client.metrics.event(words(1)));
  expect(limited.clock.now()).toBeGreaterThanOrEqual(resetS * 1_000);
});

test("[trophy 11] the vendor's own SDK, unmodified, reads the emulator's answers, duplicates and errors", async () => {
  const emulator = new emulators.TrophyEmulator(EMULATOR);
  const server = await emulator.listen();
  onTestFinished(() => server.close());
  const sdk = new TrophyApiClient({
    apiKey: "key.secret",
    environment: { api: `${server.url}/v1`, admin: server.url } as never,
  });
  const event = { user: { id: "u-1" }, value: 12, attributes: { source: "web" }, idempotencyKey: "k" };
  expect(await sdk.metrics.event("words", event)).toMatchObject({
    total: 12,
    achievements: [{ key: "writer" }],
    leaderboards: { top: { rank: 1 } },
  });
  expect(await sdk.metrics.event("words", event)).toMatchObject({ idempotentReplayed: true });
  emulator.fail({ kind: "status", status: 500, times: 2 });
  expect(await sdk.metrics.event("words", { user: { id: "u-1" }, value: 1 })).toMatchObject({ total: 13 });
  await expect(
    sdk.metrics.event("words", { user: { id: "u-1" }, value: 1, attributes: { odd: "x" } }),
  ).rejects.toBeInstanceOf(TrophyApi.UnprocessableEntityError);
  expect(await sdk.users.get("u-1")).toMatchObject({ id: "u-1" });
  expect(await sdk.users.streak("u-1")).toMatchObject({ length: 1 });
  expect(await sdk.achievements.all()).toHaveLength(2);
  const wrong = new TrophyApiClient({
    apiKey: "wrong",
    environment: { api: `${server.url}/v1`, admin: server.url } as never,
  });
  await expect(wrong.metrics.event("words", event)).rejects.toBeInstanceOf(TrophyApi.UnauthorizedError);
});

test("the rest of the application API comes from a table", async () => {
  const { trophy, emulator, ended } = setUp();
  expect(await ended(trophy.users.create({ id: "u/1", email: "a@b.test" }))).toMatchObject({
    id: "u/1",
    email: "a@b.test",
  });
  expect(await ended(trophy.users.identify({ id: "u/1", name: "Ada", attributes: { plan: "pro" } }))).toMatchObject({
    name: "Ada",
  });
  expect(await ended(trophy.users.update({ id: "u/1", tz: "Europe/Rome" }))).toMatchObject({
    name: "Ada",
    tz: "Europe/Rome",
  });
  expect(await ended(trophy.users.get({ id: "u/1" }))).toMatchObject({ email: "a@b.test" });
  await ended(trophy.metrics.event({ key: "words", user: { id: "u/1" }, value: 3 }));
  expect(await ended(trophy.users.allMetrics({ id: "u/1" }))).toMatchObject([{ key: "words", current: 3 }]);
  expect(await ended(trophy.users.singleMetric({ id: "u/1", key: "words" }))).toMatchObject({ current: 3 });
  expect(await ended(trophy.users.streak({ id: "u/1" }))).toMatchObject({ length: 1, frequency: "daily" });
  expect(await ended(trophy.users.points({ id: "u/1", key: "xp" }))).toMatchObject({ total: 5 });
  expect(await ended(trophy.users.leaderboard({ id: "u/1", key: "top" }))).toMatchObject({ rank: 1 });
  expect(await ended(trophy.users.updatePreferences({ id: "u/1", notifications: { recap: [] } }))).toMatchObject({
    notifications: { recap: [] },
  });
  expect(await ended(trophy.users.getPreferences({ id: "u/1" }))).toMatchObject({ notifications: { recap: [] } });
  expect(await ended(trophy.users.wrapped({ id: "u/1", year: 2026 }))).toMatchObject({ activity: { daysUsed: 1 } });
  expect(await ended(trophy.achievements.complete({ key: "invited", user: { id: "u/1" } }))).toMatchObject({
    achievement: { key: "invited" },
  });
  expect(await ended(trophy.users.achievements({ id: "u/1" }))).toMatchObject([{ key: "invited" }]);
  expect(await ended(trophy.achievements.all())).toHaveLength(2);
  expect(await ended(trophy.streaks.list())).toMatchObject([{ userId: "u/1", streakLength: 1 }]);
  expect(await ended(trophy.points.system({ key: "xp" }))).toMatchObject({ key: "xp" });
  expect(await ended(trophy.points.levels({ key: "xp" }))).toEqual([]);
  expect(await ended(trophy.leaderboards.all())).toMatchObject([{ key: "top" }]);
  expect(await ended(trophy.leaderboards.get({ key: "top", limit: 3 }))).toMatchObject({ key: "top" });
  expect(emulator.posts.map(({ method, path }) => `${method} ${path}`)).toContain("GET /v1/leaderboards/top?limit=3");
  expect(emulator.posts.map(({ path }) => path)).toContain("/v1/users/u%2F1/metrics/words");
  await expect(ended(trophy.users.get({ id: "nobody" }))).rejects.toMatchObject({
    name: "NotFoundError",
    statusCode: 404,
  });
  const nobody = trophy.users.get({ id: "" });
  expect(nobody).toBeInstanceOf(Promise);
  await expect(nobody).rejects.toThrow("GET /users/{id}: id is required");
});

test("request options win over the client's own", async () => {
  const { trophy, emulator, network, ended } = setUp({ tenantId: "t-1", headers: { "X-Trace": "a" } });
  network.serve("http://other.test", emulator.handle);
  await ended(
    trophy.metrics.event(
      words(1, {
        attributes: { source: "web" },
        requestOptions: {
          baseUrl: "http://other.test/v1/",
          tenantId: "t-2",
          headers: { "X-Trace": "b", "X-More": "c" },
          query: { debug: true },
          body: { value: 99, extra: 1 },
        },
      }),
    ),
  );
  expect(emulator.posts[0]).toMatchObject({
    path: "/v1/metrics/words/event?debug=true",
    headers: { "x-api-key": "key.secret", "tenant-id": "t-2", "x-trace": "b", "x-more": "c" },
  });
  expect(bodiesOf(emulator)[0]).toMatchObject({ value: 1, extra: 1, user: { id: "u-7" } });
});

test("a timeout, a lost connection and a signal end the call with what happened", async () => {
  const { trophy, emulator, clock, ended } = setUp({ timeoutMs: 500, maxRetries: 1 });
  emulator.fail({ kind: "hang", times: 2 });
  await expect(ended(trophy.metrics.event(words(1)))).rejects.toBeInstanceOf(TrophyApiTimeoutError);
  emulator.fail({ kind: "reset", times: 2 });
  await expect(ended(trophy.metrics.event(words(1)))).rejects.toBeInstanceOf(TrophyApiError);
  emulator.fail({ kind: "hang", times: 1 });
  const controller = new AbortController();
  const call = trophy.metrics.event(words(1, { requestOptions: { signal: controller.signal } }));
  await clock.advance(10);
  controller.abort();
  await expect(ended(call)).rejects.toThrow("aborted");
});

test("an answer that was lost does not count twice, and what may act twice goes again only after 429 and 503", async () => {
  const { trophy, emulator, ended } = setUp();
  emulator.fail({ kind: "resetAfter", times: 1 });
  expect(await ended(trophy.metrics.event(words(4)))).toMatchObject({ total: 4, idempotentReplayed: true });
  emulator.fail({ kind: "reset", times: 1 });
  await expect(ended(trophy.users.create({ id: "n" }))).rejects.toBeInstanceOf(TrophyApiError);
  emulator.fail({ kind: "status", status: 500, times: 1 });
  await expect(ended(trophy.users.create({ id: "n" }))).rejects.toMatchObject({ statusCode: 500 });
  emulator.fail({ kind: "status", status: 503, times: 1 });
  expect(await ended(trophy.users.create({ id: "n" }))).toMatchObject({ id: "n" });
});

test("a success that is not an EventResponse is reported as such, and not sent again", async () => {
  const { host } = setUp();
  let requests = 0;
  const trophy = createTrophyClientOn(host, {
    apiKey: "k",
    transport: async () => {
      requests += 1;
      return { status: 201, headers: {}, body: requests === 1 ? "{}" : "<html>" };
    },
  });
  await expect(trophy.metrics.event(words(1))).rejects.toMatchObject({ name: "TrophyParseError" });
  await expect(trophy.metrics.event(words(1))).rejects.toMatchObject({ name: "TrophyParseError", statusCode: 201 });
  expect(requests).toBe(2);
});

test("many calls at once leave nothing after that a platform would warn of", async () => {
  const warnings: Error[] = [];
  const listen = (warning: Error): unknown => warnings.push(warning);
  process.on("warning", listen);
  onTestFinished(() => {
    process.off("warning", listen);
  });
  const { trophy, ended } = setUp();
  await ended(Promise.all(Array.from({ length: 50 }, () => trophy.metrics.event(words(1)))));
  await new Promise((resolve) => setImmediate(resolve));
  expect(warnings).toEqual([]);
});
