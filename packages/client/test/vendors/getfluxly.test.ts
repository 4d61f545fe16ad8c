/** GetFluxly's client against GetFluxly's emulator. Numbers are those of docs/conformance.md. */
import type { Transport } from "@waybill/core";
import type { emulators } from "@waybill/testing";
import { expect, test } from "vitest";
import { GetFluxlyClientOn } from "../../src/getfluxly/client.ts";
import { setUp } from "../lib/getfluxly-world.ts";
import { bodiesOf, firstListOf, gapsOf, URL_OF_VENDOR } from "../lib/vendor-world.ts";

const batches = (emulator: emulators.GetFluxlyEmulator): number[] =>
  bodiesOf(emulator).map(({ events }) => (events as unknown[]).length);
const keys = (emulator: emulators.GetFluxlyEmulator): (string | undefined)[] =>
  emulator.posts.map(({ headers }) => headers["x-idempotency-key"]);

test("[getfluxly 1] 25 events are posts of 20 and 5 under different keys", async () => {
  const { fluxly, emulator, ended, events } = setUp();
  events(25);
  expect(await ended(fluxly.close())).toEqual({ accepted: 5, rejected: 0, batches: 1, errors: [] });
  expect(batches(emulator)).toEqual([20, 5]);
  expect(new Set(keys(emulator)).size).toBe(2);
  expect(emulator.posts[0]).toMatchObject({
    path: "/v1/events/batch",
    headers: {
      authorization: "Bearer gflux_secret_1",
      "user-agent": "gflux-ts-sdk/0.1.0",
      "x-gflux-sdk": "gflux-ts/0.1.0",
    },
  });
});

test("results of one flush add up", async () => {
  const { fluxly, emulator, clock, ended, events } = setUp({ flushIntervalMs: 0, maxRetries: 0 });
  emulator.fail({ kind: "status", status: 503, times: 1 });
  events(19);
  fluxly.track({ event: "Not Snake", userId: "u" });
  await clock.advance(100);
  events(30);
  expect(await ended(fluxly.flush())).toMatchObject({ accepted: 49, rejected: 1, batches: 3, errors: [{ index: 19 }] });
});

test("[getfluxly 2] 503, 503, 202 are one batch under the same key; waits grow by a quarter more or less", async () => {
  const { fluxly, emulator, ended, events } = setUp();
  emulator.fail({ kind: "status", status: 503, times: 2 });
  events(1);
  expect(await ended(fluxly.flush())).toMatchObject({ accepted: 1, batches: 1 });
  expect(new Set(keys(emulator)).size).toBe(1);
  expect(keys(emulator)).toHaveLength(3);
  const [first = 0, second = 0] = gapsOf(emulator);
  expect(first).toBeGreaterThanOrEqual(150);
  expect(first).toBeLessThanOrEqual(253);
  expect(second).toBeGreaterThanOrEqual(300);
  expect(second).toBeLessThanOrEqual(503);
});

test("[getfluxly 3] 400 loses the batch and rejects the flush; what is behind stays", async () => {
  const { fluxly, emulator, ended, events } = setUp({ flushIntervalMs: 0, flushAt: 10 });
  emulator.fail({ kind: "status", status: 503, times: 3 });
  events(9);
  await expect(ended(fluxly.flush())).rejects.toMatchObject({ code: "server_error", retryable: true });
  events(6);
  emulator.fail({ kind: "status", status: 400, times: 1 });
  await expect(ended(fluxly.flush())).rejects.toMatchObject({ name: "GetFluxlyError", retryable: false, status: 400 });
  expect(await ended(fluxly.flush())).toMatchObject({ accepted: 5, batches: 1 });
  expect(emulator.events).toHaveLength(5);
});

test("[getfluxly 4] three 503 put the batch back in front, and it goes again under a new key", async () => {
  const { fluxly, emulator, ended, events, errors } = setUp({ flushIntervalMs: 0 });
  emulator.fail({ kind: "status", status: 503, times: 3, retryAfter: "1" });
  events(2);
  await expect(ended(fluxly.flush())).rejects.toMatchObject({
    code: "server_error",
    retryable: true,
    retryAfterMs: 1_000,
  });
  fluxly.track({ event: "later", userId: "u" });
  await ended(fluxly.flush());
  expect(emulator.events.map(({ event }) => event)).toEqual(["report_exported", "report_exported", "later"]);
  expect(new Set(keys(emulator)).size).toBe(2);
  expect(errors).toEqual([]);
});

test("[getfluxly 5] a repeated key gets the first answer, its request id too", async () => {
  const { host, emulator, ended } = setUp();
  // The first answer of the server does not arrive: the client sends the same key again.
  const answers: string[] = [];
  const transport: Transport = async (request, signal) => {
    const answer = await host.runtime.transport(request, signal);
    answers.push(answer.body);
    if (answers.length === 1) throw new Error("reset");
    return answer;
  };
  const fluxly = new GetFluxlyClientOn(host, { token: "gflux_secret_1", apiHost: URL_OF_VENDOR, transport });
  fluxly.track({ event: "a", userId: "u" });
  expect(await ended(fluxly.flush())).toEqual({ accepted: 1, rejected: 0, batches: 1, errors: [] });
  expect(keys(emulator)).toHaveLength(2);
  expect(keys(emulator)[0]).toMatch(/^[\da-f]{8}-[\da-f]{4}-4/);
  expect(keys(emulator)[1]).toBe(keys(emulator)[0]);
  expect(JSON.parse(answers[0] as string)).toMatchObject({ accepted: 1, request_id: expect.stringMatching(/^req_/) });
  expect(answers[1]).toBe(answers[0]);
  expect(emulator.replayed).toBe(1);
  expect(emulator.duplicates).toBe(0);
  expect(emulator.events).toHaveLength(1);
});

test("[getfluxly 6] the answer names each refused event; the others are stored", async () => {
  const { fluxly, emulator, ended } = setUp();
  fluxly.track({ event: "fine", userId: "u" });
  fluxly.track({ event: "Not Snake", userId: "u" });
  expect(await ended(fluxly.flush())).toEqual({
    accepted: 1,
    rejected: 1,
    batches: 1,
    errors: [{ index: 1, error: "validation_error", detail: "event name must be snake_case" }],
  });
  expect(emulator.events).toHaveLength(1);
});

test("[getfluxly 7] a publishable key cannot alias", async () => {
  const { fluxly, ended } = setUp({ token: "gflux_pub_1" });
  await expect(ended(fluxly.alias({ userId: "u-9", anonymousId: "anon-3" }))).rejects.toMatchObject({
    code: "wrong_key_type",
    status: 403,
    retryable: false,
    details: { received: "publishable" },
  });
});

test("[getfluxly 8] the vendor refuses 101 events; the client never sends more than 100", async () => {
  const { emulator } = setUp();
  const events = Array.from({ length: 101 }, () => ({ event: "a", user_id: "u" }));
  const post = (count: number): ReturnType<typeof emulator.handle> =>
    emulator.handle({
      method: "POST",
      path: "/v1/events/batch",
      headers: { authorization: "Bearer gflux_secret_1" },
      body: Buffer.from(JSON.stringify({ events: events.slice(0, count) })),
    });
  expect(await post(101)).toMatchObject({ status: 413, body: expect.stringContaining("payload_too_large") });
  expect(emulator.events).toHaveLength(0);
  expect(await post(100)).toMatchObject({ status: 202 });
  const most = setUp({ flushAt: 100, flushIntervalMs: 0 });
  most.events(250);
  expect(await most.ended(most.fluxly.flush())).toMatchObject({ accepted: 50 });
  expect(batches(most.emulator)).toEqual([100, 100, 50]);
  expect(() => setUp({ flushAt: 101 })).toThrow('option "flushAt" is 101; it must be a whole number from 1 to 100');
});

test("[getfluxly 9] $identify goes through the batch and joins the profiles of its ids", async () => {
  const { fluxly, emulator, ended } = setUp();
  fluxly.track({ event: "seen", anonymousId: "anon-3" });
  fluxly.identify({ anonymousId: "anon-3", userId: "u-9", traits: { plan: "team" } });
  expect(await ended(fluxly.flush())).toMatchObject({ accepted: 2, rejected: 0 });
  expect(firstListOf(emulator, "events")[1]).toMatchObject({
    event: "$identify",
    anonymous_id: "anon-3",
    user_id: "u-9",
    traits: { plan: "team" },
  });
  expect(emulator.profiles).toHaveLength(1);
  expect(emulator.profiles[0]?.userIds.has("u-9")).toBe(true);
});

test("[getfluxly 10] event 1,001 is refused with queue_overflow and is not stored", async () => {
  const { fluxly, emulator, ended, events } = setUp();
  emulator.fail({ kind: "hang" });
  events(1_000);
  expect(() => events(1)).toThrow(expect.objectContaining({ code: "queue_overflow" }));
  emulator.recover();
  await ended(fluxly.close().catch(() => undefined));
  await ended(fluxly.flush().catch(() => undefined));
  expect(emulator.events).toHaveLength(1_000);
});

test("[getfluxly 11] a second shutdown gives an empty result; events after it are refused", async () => {
  const { fluxly, ended, events, exits } = setUp();
  events(3);
  expect(await ended(fluxly.shutdown())).toMatchObject({ accepted: 3 });
  expect(await fluxly.shutdown()).toEqual({ accepted: 0, rejected: 0, batches: 0, errors: [] });
  expect(() => events(1)).toThrow(expect.objectContaining({ code: "client_closed", retryable: false }));
  expect(exits.size).toBe(0);
});

test("alias posts at once under a key of its own and gives the alias of the answer", async () => {
  const { fluxly, emulator, ended } = setUp({ flushIntervalMs: 0 });
  fluxly.track({ event: "waits", userId: "u" });
  const alias = await ended(fluxly.alias({ userId: "u-9", anonymousId: "anon-3", requestId: "req-1" }));
  expect(alias).toEqual({ user_id: "u-9", anonymous_id: "anon-3", merged_at: expect.stringMatching(/^2026-/) });
  expect(emulator.posts[0]).toMatchObject({ path: "/v1/identify/alias", headers: { "x-request-id": "req-1" } });
  expect(bodiesOf(emulator)).toEqual([{ user_id: "u-9", anonymous_id: "anon-3" }]);
  await ended(fluxly.alias({ userId: "u-9", previousId: "p", anonymousId: "" }));
  expect(bodiesOf(emulator)[1]).toEqual({ user_id: "u-9", previous_id: "p" });
  expect(emulator.posts[1]?.headers).not.toHaveProperty("x-request-id");
  expect(keys(emulator)[0]).toMatch(/^[\da-f]{8}-[\da-f]{4}-4/);
  expect(new Set(keys(emulator)).size).toBe(2);
  expect(emulator.events).toEqual([]);
});

test.each([
  ["{}", {}],
  ['{"alias":{},"request_id":"r"}', { alias: {}, request_id: "r" }],
  ['{"alias":null}', { alias: null }],
  ["", {}],
  ["<html>", {}],
  ["[1]", [1]],
])("an answer to alias without an alias is invalid_response after one request (%s)", async (body, details) => {
  const { host } = setUp();
  let requests = 0;
  const transport: Transport = async () => {
    requests += 1;
    return { status: 200, headers: {}, body };
  };
  const fluxly = new GetFluxlyClientOn(host, { token: "gflux_secret_1", transport });
  await expect(fluxly.alias({ userId: "u", previousId: "p" })).rejects.toMatchObject({
    name: "GetFluxlyError",
    code: "invalid_response",
    retryable: true,
    message: "alias response did not include alias data",
    details,
  });
  expect(requests).toBe(1);
});

test("alias is tried again as everything else, and goes on after close", async () => {
  const { fluxly, emulator, ended } = setUp();
  await ended(fluxly.close());
  emulator.fail({ kind: "status", status: 503, times: 2 });
  expect(await ended(fluxly.alias({ userId: "u-9", previousId: "p" }))).toMatchObject({ user_id: "u-9" });
  expect(emulator.requests).toBe(3);
  expect(new Set(keys(emulator)).size).toBe(1);
});

test("calls without ids, names or a token are refused", async () => {
  const { fluxly } = setUp();
  const refused = expect.objectContaining({ code: "validation_error", retryable: false });
  expect(() => fluxly.track({ event: "a" })).toThrow(refused);
  expect(() => fluxly.track({ event: "", userId: "u" })).toThrow(refused);
  expect(() => fluxly.identify({ userId: "" })).toThrow(refused);
  await expect(fluxly.alias({ userId: "u" })).rejects.toMatchObject({ code: "validation_error" });
  expect(() => setUp({ token: "" })).toThrow("token is required");
  for (const apiHost of ["nowhere", "localhost:3", "ftp://x"])
    expect(() => setUp({ apiHost })).toThrow(`apiHost "${apiHost}" is not an http or https URL`);
  expect(() => setUp({ token: "gflux_secret_1\n" })).toThrow(
    expect.objectContaining({ ...refused.sample, message: expect.stringMatching(/^token has a character/) }),
  );
});

test("what HTTP does not take is refused for good, with the code of what cannot be sent", async () => {
  const { fluxly, emulator, ended } = setUp();
  await expect(ended(fluxly.alias({ userId: "u", anonymousId: "a", requestId: "two\nlines" }))).rejects.toMatchObject({
    code: "validation_error",
    retryable: false,
    message: expect.stringContaining("x-request-id"),
  });
  expect(emulator.requests).toBe(0);
});

test("an event above 32 KiB is refused at the call, and harms no other", async () => {
  const { fluxly, emulator, ended } = setUp();
  const big = { event: "big", userId: "u", properties: { text: "ä".repeat(20_000) } };
  const refused = expect.objectContaining({ code: "payload_too_large", retryable: false });
  expect(() => fluxly.track(big)).toThrow(refused);
  fluxly.track({ event: "small", userId: "u" });
  expect(() => fluxly.track(big)).toThrow(refused);
  expect(await ended(fluxly.flush())).toMatchObject({ accepted: 1, rejected: 0 });
  expect(firstListOf(emulator, "events")).toMatchObject([{ event: "small" }]);
});

test("every event carries its time of capture and an id; what is not given is left out", async () => {
  const { fluxly, emulator, clock, ended } = setUp();
  const at = new Date(clock.now()).toISOString();
  fluxly.track({ event: "a", userId: "u", anonymousId: "" });
  fluxly.track({
    event: "b",
    externalId: "x",
    timestamp: "2026-03-01T10:00:00Z",
    context: { ip: "::1" },
    properties: { n: 1 },
  });
  await clock.advance(4_000);
  await ended(fluxly.flush());
  const [first, second] = firstListOf(emulator, "events");
  expect(first).toEqual({
    event: "a",
    user_id: "u",
    occurred_at: at,
    message_id: expect.stringMatching(/^[\da-f]{8}-[\da-f]{4}-4/),
  });
  expect(second).toMatchObject({
    external_id: "x",
    occurred_at: "2026-03-01T10:00:00Z",
    context: { ip: "::1" },
    properties: { n: 1 },
  });
});

test("a batch whose answer was lost is known by the ids of its events", async () => {
  const { fluxly, emulator, ended, events } = setUp({ maxRetries: 0 });
  emulator.fail({ kind: "resetAfter", times: 1 });
  events(3);
  await expect(ended(fluxly.flush())).rejects.toMatchObject({ code: "transport_error", retryable: true });
  await ended(fluxly.flush());
  expect(emulator.events).toHaveLength(3);
  expect(emulator.duplicates).toBe(3);
});

test("in the background a vendor that is down is asked once per interval, and nothing is lost", async () => {
  const { fluxly, emulator, clock, ended, events, errors } = setUp();
  emulator.fail({ kind: "status", status: 503 });
  for (let second = 0; second < 9; second++) {
    events(20);
    await clock.advance(1_000);
  }
  expect(emulator.requests).toBeLessThanOrEqual(6);
  expect(errors.every(({ code }) => code === "server_error")).toBe(true);
  emulator.recover();
  await ended(fluxly.close());
  expect(emulator.events).toHaveLength(180);
});

test("a 2xx that is not JSON is not taken for an answer", async () => {
  const { host } = setUp();
  const bodies = ["<html>", "", '{"accepted":1}'];
  const fluxly = new GetFluxlyClientOn(host, {
    token: "gflux_secret_1",
    maxRetries: 0,
    transport: async () => ({ status: 202, headers: {}, body: bodies.shift() ?? "" }),
  });
  fluxly.track({ event: "a", userId: "u" });
  await expect(fluxly.flush()).rejects.toMatchObject({ code: "invalid_response", retryable: true });
  expect(await fluxly.flush()).toMatchObject({ accepted: 1, batches: 1 });
  fluxly.track({ event: "b", userId: "u" });
  expect(await fluxly.flush()).toMatchObject({ accepted: 1 });
});

test("without a host it is api.getfluxly.com; slashes at the end of one are left out", async () => {
  const { host } = setUp();
  const urls: string[] = [];
  const transport: Transport = async ({ url }) => {
    urls.push(url);
    return { status: 202, headers: {}, body: "" };
  };
  for (const options of [{}, { apiHost: "http://other.test//" }]) {
    const fluxly = new GetFluxlyClientOn(host, { token: "gflux_secret_1", transport, ...options });
    fluxly.track({ event: "a", userId: "u" });
    await fluxly.flush();
  }
  expect(urls).toEqual(["https://api.getfluxly.com/v1/events/batch", "http://other.test/v1/events/batch"]);
});

test("sends by itself 5 s after the first event; with an interval of 0 never by time", async () => {
  const { emulator, clock, events } = setUp();
  events(1);
  await clock.advance(3_000);
  events(1);
  await clock.advance(1_990);
  expect(emulator.requests).toBe(0);
  await clock.advance(30);
  expect(batches(emulator)).toEqual([2]);
  const short = setUp({ flushIntervalMs: 70 });
  short.events(1);
  await short.clock.advance(100);
  expect(batches(short.emulator)).toEqual([1]);
  const never = setUp({ flushIntervalMs: 0 });
  never.events(1);
  await never.clock.advance(600_000);
  expect(never.emulator.requests).toBe(0);
});

test("a request has 5 s by default, timeoutMs when given, and with 0 as long as it takes", async () => {
  for (const [options, eachMs] of [
    [{}, 5_000],
    [{ timeoutMs: 900 }, 900],
  ] as const) {
    const { fluxly, emulator, clock, ended, events } = setUp({ flushIntervalMs: 0, maxRetries: 0, ...options });
    emulator.fail({ kind: "hang" });
    events(1);
    const startedAt = clock.monotonic();
    await expect(ended(fluxly.flush())).rejects.toMatchObject({
      code: "transport_error",
      retryable: true,
      message: `no answer within ${eachMs} ms`,
    });
    expect(clock.monotonic() - startedAt).toBe(eachMs);
  }
  const { host, clock, ended } = setUp();
  const transport: Transport = () =>
    new Promise((resolve) => {
      host.runtime.clock.after(3_000_000, () => resolve({ status: 202, headers: {}, body: "" }));
    });
  const patient = new GetFluxlyClientOn(host, { token: "gflux_secret_1", timeoutMs: 0, flushIntervalMs: 0, transport });
  patient.track({ event: "a", userId: "u" });
  const startedAt = clock.monotonic();
  expect(await ended(patient.flush())).toMatchObject({ accepted: 1 });
  expect(clock.monotonic() - startedAt).toBe(3_000_000);
});

test("three requests a batch by default, maxRetries + 1 when given", async () => {
  for (const [options, requests] of [
    [{}, 3],
    [{ maxRetries: 0 }, 1],
  ] as const) {
    const { fluxly, emulator, ended, events } = setUp({ flushIntervalMs: 0, ...options });
    emulator.fail({ kind: "reset" });
    events(1);
    await expect(ended(fluxly.flush())).rejects.toMatchObject({ code: "transport_error" });
    expect(emulator.requests).toBe(requests);
  }
});

test("a Date goes as ISO text; an invalid one is reported to onError and the time of the call goes", async () => {
  const { fluxly, emulator, clock, ended, errors } = setUp();
  const now = new Date(clock.now()).toISOString();
  fluxly.track({ event: "a", userId: "u", timestamp: new Date(Date.UTC(2026, 2, 1, 10)) });
  fluxly.track({ event: "b", userId: "u", timestamp: new Date(Number.NaN) });
  fluxly.track({ event: "c", userId: "u", timestamp: "" });
  await clock.advance(100);
  await ended(fluxly.flush());
  expect(firstListOf(emulator, "events").map((event) => event["occurred_at"])).toEqual([
    "2026-03-01T10:00:00.000Z",
    now,
    now,
  ]);
  expect(errors).toMatchObject([
    { code: "validation_error", message: "track: timestamp is an invalid Date; the time of the call was taken" },
  ]);
});

test("an event that JSON cannot write is refused, and nothing else is", async () => {
  const { fluxly, emulator, ended } = setUp();
  expect(() => fluxly.track({ event: "a", userId: "u", properties: { big: 1n } })).toThrow(
    expect.objectContaining({ code: "validation_error" }),
  );
  fluxly.track({ event: "b", userId: "u" });
  await ended(fluxly.flush());
  expect(emulator.events.map(({ event }) => event)).toEqual(["b"]);
});
