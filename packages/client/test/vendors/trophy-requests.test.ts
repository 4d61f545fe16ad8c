/**
 * What a request of Trophy's client is made of: options of the client and of one call, headers,
 * timeouts, attempts.
 */
import { emulators } from "@waybill/testing";
import { expect, test } from "vitest";
import { TrophyApiEnvironment } from "waybill/trophy";
import {
  createTrophyClientOn,
  type RequestOptions,
  type TrophyClient,
  type TrophyClientOptions,
} from "../../src/trophy/client.ts";
import { TrophyApiError, TrophyApiTimeoutError } from "../../src/trophy/error.ts";
import { bodiesOf, gapsOf, URL_OF_VENDOR, type VendorWorld, vendorWorld } from "../lib/vendor-world.ts";

interface World extends VendorWorld<emulators.TrophyEmulator> {
  readonly trophy: TrophyClient;
}

function setUp(options: Partial<TrophyClientOptions> = {}): World {
  const world = vendorWorld((clock) => new emulators.TrophyEmulator({ clock }));
  return {
    ...world,
    trophy: createTrophyClientOn(world.host, { apiKey: "client", baseUrl: `${URL_OF_VENDOR}/v1`, ...options }),
  };
}

const words = (requestOptions: RequestOptions = {}, more: { readonly idempotencyKey?: string } = {}) => ({
  key: "words",
  user: { id: "u-7" },
  value: 1,
  requestOptions,
  ...more,
});

test("a call that lacks a part of its path rejects and does not throw; nothing is sent", async () => {
  const { trophy, emulator } = setUp();
  for (const [call, text] of [
    [trophy.users.get({ id: "" }), "GET /users/{id}: id is required"],
    [trophy.users.update({ id: "" }), "PATCH /users/{id}: id is required"],
    [trophy.users.singleMetric({ id: "u", key: "" }), "key is required"],
    [trophy.points.levels({} as never), "key is required"],
    [trophy.achievements.complete({ key: 5 as never, user: { id: "u" } }), "key is required"],
    [trophy.metrics.event({ ...words(), key: "" }), "POST /metrics/{key}/event: key is required"],
    [trophy.metrics.event({ ...words(), key: ".." }), 'POST /metrics/{key}/event: key ".." cannot be part of a path'],
    [trophy.users.get({ id: "." }), 'GET /users/{id}: id "." cannot be part of a path'],
    [trophy.users.update({ id: "..", name: "n" }), 'PATCH /users/{id}: id ".." cannot be part of a path'],
    [trophy.users.points({ id: "..", key: "xp" }), 'id ".." cannot be part of a path'],
  ] as const) {
    expect(call).toBeInstanceOf(Promise);
    const error: unknown = await (call as Promise<unknown>).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TrophyApiError);
    expect((error as TrophyApiError).message).toContain(text);
  }
  expect(emulator.requests).toBe(0);
});

test("what cannot be sent rejects as the client's own error: no JSON, no Unicode, options of the call that are wrong", async () => {
  const { trophy, emulator } = setUp();
  for (const [call, text] of [
    [trophy.metrics.event({ ...words(), value: 1n as never }), "BigInt"],
    [trophy.users.get({ id: "\ud800" }), "URI"],
    [trophy.metrics.event(words({ timeoutMs: 0 })), '"timeoutMs" is 0'],
    [trophy.metrics.event(words({ maxRetries: -1 })), '"maxRetries" is -1'],
    [trophy.users.get({ id: "u", requestOptions: { timeoutMS: 5 } as never }), 'did you mean "timeoutMs"'],
  ] as const) {
    const error: unknown = await (call as Promise<unknown>).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TrophyApiError);
    expect((error as TrophyApiError).message).toContain(text);
  }
  expect(emulator.requests).toBe(0);
});

test("the base URL is that of the call, then of the client, then of the environment, then Trophy's own", async () => {
  const { host, network, emulator, ended } = setUp();
  const origins: string[] = [];
  for (const name of ["https://api.trophy.so", "http://environment.test", "http://client.test", "http://call.test"])
    network.serve(name, (request) => {
      origins.push(`${name}${request.path}`);
      return emulator.handle(request);
    });
  const environment = { api: "http://environment.test/v1", admin: "http://admin.test" };
  const call = { requestOptions: { baseUrl: "http://call.test/v2/" } };
  for (const [options, input] of [
    [{}, {}],
    [{ environment: TrophyApiEnvironment.DEFAULT }, {}],
    [{ environment: TrophyApiEnvironment.Production }, {}],
    [{ environment }, {}],
    [{ environment, baseUrl: "http://client.test/v1" }, {}],
    [{ environment, baseUrl: "http://client.test/v1" }, call],
  ] as const)
    await ended(
      createTrophyClientOn(host, { apiKey: "k", maxRetries: 0, ...options })
        .achievements.all(input)
        .catch(() => undefined),
    );
  expect(origins).toEqual([
    "https://api.trophy.so/v1/achievements",
    "https://api.trophy.so/v1/achievements",
    "https://api.trophy.so/v1/achievements",
    "http://environment.test/v1/achievements",
    "http://client.test/v1/achievements",
    "http://call.test/v2/achievements",
  ]);
  expect(() => setUp({ baseUrl: "nowhere" })).toThrow('TrophyClient: "nowhere" is not an http or https URL');
  expect(() => createTrophyClientOn(host, { apiKey: "k", environment: { api: "ftp://x" } })).toThrow('"ftp://x"');
  expect(() => setUp({ apiKey: "secret\n" })).toThrow(
    /option "apiKey" has a character that HTTP does not allow[^\n]*$/,
  );
  const { trophy } = setUp();
  for (const [requestOptions, option] of [
    [{ apiKey: "secret\n" }, 'option "apiKey" has a character'],
    [{ baseUrl: "localhost:3" }, 'option "baseUrl" is "localhost:3"; it must be an http or https URL'],
  ] as const)
    await expect(trophy.metrics.event(words(requestOptions))).rejects.toMatchObject({
      name: "TrophyApiError",
      message: expect.stringContaining(option),
    });
  expect(() => createTrophyClientOn(host, { apiKey: "k", environment: {} as never })).toThrow("is not an http");
});

test("an idempotency key that is empty or that HTTP does not take is refused, and nothing is sent", async () => {
  const { trophy, emulator } = setUp();
  for (const [call, fault] of [
    [words({}, { idempotencyKey: "" }), 'is ""; it must be a string that is not empty'],
    [words({ headers: { "Idempotency-Key": "" } }), 'is ""; it must be a string that is not empty'],
    [words({}, { idempotencyKey: 5 as never }), "is 5; it must be a string that is not empty"],
    [words({}, { idempotencyKey: "two\nlines" }), "has a character that HTTP does not allow"],
  ] as const)
    await expect(trophy.metrics.event(call)).rejects.toMatchObject({
      name: "TrophyApiError",
      message: expect.stringContaining(`metrics.event: option "idempotencyKey" ${fault}`),
    });
  expect(emulator.requests).toBe(0);
});

test("tenant and headers of the client go with each request; its headers replace neither key nor tenant", async () => {
  const { trophy, emulator, ended } = setUp({
    tenantId: "t-1",
    headers: { "X-Trace": "a", "X-API-KEY": "other", "Tenant-ID": "other" },
  });
  await ended(trophy.metrics.event(words()));
  await ended(trophy.users.get({ id: "u-7" }));
  for (const { headers } of emulator.posts)
    expect(headers).toMatchObject({ "tenant-id": "t-1", "x-trace": "a", "x-api-key": "client" });
  expect(emulator.posts).toHaveLength(2);
  const { trophy: plain, emulator: of, ended: end } = setUp();
  await end(plain.metrics.event(words()));
  expect(of.posts[0]?.headers).not.toHaveProperty("tenant-id");
});

test("headers of a call replace the key of the client; the call's own key, tenant and idempotency key win over them", async () => {
  const headers = { "X-Api-Key": "header", "Tenant-Id": "header", "Idempotency-Key": "header", "X-Trace": "b" };
  const { trophy, emulator, ended } = setUp({ headers: { "x-trace": "a" } });
  await ended(trophy.metrics.event(words({ headers })));
  await ended(trophy.metrics.event(words({ headers, apiKey: "call", tenantId: "call" }, { idempotencyKey: "call" })));
  await ended(trophy.metrics.event(words()));
  const [first, second, third] = emulator.posts.map((post) => post.headers);
  expect(first).toMatchObject({
    "x-api-key": "header",
    "tenant-id": "header",
    "idempotency-key": "header",
    "x-trace": "b",
  });
  expect(second).toMatchObject({ "x-api-key": "call", "tenant-id": "call", "idempotency-key": "call" });
  expect(third).toMatchObject({
    "x-api-key": "client",
    "x-trace": "a",
    "idempotency-key": expect.stringMatching(/^[\da-f-]{36}$/),
  });
});

test("additional body members go along, the event's own win; undefined ones are left out", async () => {
  const { trophy, emulator, ended } = setUp();
  await ended(trophy.metrics.event(words({ body: { value: 99, user: { id: "other" }, more: 1, nothing: undefined } })));
  expect(bodiesOf(emulator)[0]).toEqual({ value: 1, user: { id: "u-7" }, more: 1 });
});

test("an event is one POST of its user, value and attributes as they are given; its metric's key is encoded", async () => {
  const { trophy, emulator, ended } = setUp();
  const user = {
    id: "18",
    email: "u@x.test",
    name: "U",
    tz: "Europe/London",
    deviceTokens: ["d"],
    subscribeToEmails: false,
    attributes: { department: "engineering" },
  };
  const attributes = { category: "writing" };
  await ended(trophy.metrics.event({ key: "words written/é", user, value: 750, attributes }).catch(() => undefined));
  expect(emulator.posts).toHaveLength(1);
  expect(emulator.posts[0]).toMatchObject({ method: "POST", path: "/v1/metrics/words%20written%2F%C3%A9/event" });
  expect(emulator.posts[0]?.headers).toMatchObject({
    "content-type": "application/json",
    "user-agent": expect.stringMatching(/^waybill-trophy\//),
  });
  expect(bodiesOf(emulator)[0]).toEqual({ user, value: 750, attributes });
});

test("headers and parameters that are null are left out", async () => {
  const { trophy, emulator, ended } = setUp({ headers: { "x-none": undefined } });
  const requestOptions = { headers: { "x-null": null }, query: { a: 1, b: null as never } };
  await ended(trophy.users.get({ id: "u", requestOptions }).catch(() => undefined));
  expect(emulator.posts[0]?.path).toBe("/v1/users/u?a=1");
  for (const name of ["x-none", "x-null", "content-type"]) expect(emulator.posts[0]?.headers).not.toHaveProperty(name);
});

test("an error has its kind, its status and its body; one that is not JSON is kept as text", async () => {
  const { host } = setUp();
  for (const [status, name] of [
    [400, "BadRequestError"],
    [401, "UnauthorizedError"],
    [403, "ForbiddenError"],
    [404, "NotFoundError"],
    [422, "UnprocessableEntityError"],
    [418, "TrophyApiError"],
  ] as const)
    for (const [body, parsed, message] of [
      ['{"error":"odd"}', { error: "odd" }, `Status ${status}: odd`],
      ["<html>", "<html>", `Status ${status}: <html>`],
      ["", "", `Status ${status}`],
    ] as const) {
      const trophy = createTrophyClientOn(host, {
        apiKey: "k",
        transport: async () => ({ status, headers: { "x-a": "b" }, body }),
      });
      await expect(trophy.streaks.list()).rejects.toMatchObject({
        name,
        message,
        statusCode: status,
        body: parsed,
        headers: { "x-a": "b" },
      });
    }
});

test("a Retry-After may be a date, is 60 s at most, and 0 asks for nothing", async () => {
  for (const [retryAfter, least, most] of [
    ["Thu, 01 Jan 2026 00:00:10 GMT", 9_900, 10_010],
    ["3600", 60_000, 60_010],
    ["0", 900, 1_110],
  ] as const) {
    const { trophy, emulator, ended } = setUp();
    emulator.fail({ kind: "status", status: 429, retryAfter, times: 1 });
    await ended(trophy.metrics.event(words()));
    expect(gapsOf(emulator)[0], retryAfter).toBeGreaterThanOrEqual(least);
    expect(gapsOf(emulator)[0], retryAfter).toBeLessThan(most);
  }
});

test("an attempt ends after 60 s by default, after the client's timeoutMs, or after the call's", async () => {
  for (const [options, requestOptions, timeoutMs] of [
    [{}, {}, 60_000],
    [{ timeoutMs: 5_000 }, {}, 5_000],
    [{ timeoutMs: 5_000 }, { timeoutMs: 700 }, 700],
  ] as const) {
    const { trophy, emulator, clock, ended } = setUp({ maxRetries: 0, ...options });
    emulator.fail({ kind: "hang", times: 1 });
    const startMs = clock.now();
    await expect(ended(trophy.metrics.event(words(requestOptions)))).rejects.toBeInstanceOf(TrophyApiTimeoutError);
    expect(clock.now() - startMs).toBe(timeoutMs);
  }
});

test("two more attempts by default, as many as the client says, or the call", async () => {
  for (const [options, requestOptions, requests] of [
    [{}, {}, 3],
    [{ maxRetries: 4 }, {}, 5],
    [{ maxRetries: 4 }, { maxRetries: 1 }, 2],
    [{}, { maxRetries: 0 }, 1],
  ] as const) {
    const { trophy, emulator, ended } = setUp(options);
    emulator.fail({ kind: "status", status: 500 });
    await expect(ended(trophy.metrics.event(words(requestOptions)))).rejects.toMatchObject({ statusCode: 500 });
    expect(emulator.requests).toBe(requests);
  }
});

test("408, 429 and 5xx are tried again, other refusals are not", async () => {
  for (const [status, requests] of [
    [408, 2],
    [429, 2],
    [500, 2],
    [503, 2],
    [400, 1],
    [404, 1],
    [409, 1],
    [422, 1],
  ] as const) {
    const { trophy, emulator, ended } = setUp();
    emulator.fail({ kind: "status", status, times: 1 });
    const call = ended(trophy.metrics.event(words()));
    if (requests === 1) await expect(call, String(status)).rejects.toMatchObject({ statusCode: status });
    else {
      expect(await call).toMatchObject({ total: 1 });
      expect(gapsOf(emulator)[0]).toBeGreaterThanOrEqual(900);
    }
    expect(emulator.requests, String(status)).toBe(requests);
  }
});
