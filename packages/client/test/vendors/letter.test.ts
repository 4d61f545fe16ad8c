/** Letter's client against Letter's twin. Numbers are those of docs/conformance.md. */
import { twins } from "@waybill/testing";
import { expect, test } from "vitest";
import { LetterClientOn, type LetterClientOptions } from "../../src/letter/client.ts";
import type { LetterError } from "../../src/letter/error.ts";
import { bodiesOf, firstListOf, gapsOf, URL_OF_VENDOR, type VendorWorld, vendorWorld } from "../lib/vendor-world.ts";

interface World extends VendorWorld<twins.LetterTwin> {
  readonly letter: LetterClientOn;
  readonly errors: LetterError[];
}

function setUp(options: Partial<LetterClientOptions> = {}): World {
  const world = vendorWorld((clock) => new twins.LetterTwin({ clock, apiKeys: ["lt_live_1"] }));
  const errors: LetterError[] = [];
  const letter = new LetterClientOn(world.host, {
    apiKey: "lt_live_1",
    baseUrl: URL_OF_VENDOR,
    onError: (error) => errors.push(error),
    ...options,
  });
  return { ...world, letter, errors };
}

const batches = (twin: twins.LetterTwin): number[] => bodiesOf(twin).map(({ batch }) => (batch as unknown[]).length);

test("[letter 1] sends the three kinds in one batch", async () => {
  const { letter, twin, ended, errors } = setUp();
  letter.identify({ userId: "u-7", email: "ada@example.test", traits: { plan: "pro" }, timezone: "Europe/Rome" });
  letter.group({ userId: "u-7", accountId: "acct-2", name: "Analytical Engines" });
  letter.track({ userId: "u-7", event: "Report Exported", properties: { rows: 12 } });
  await ended(letter.flush());
  expect(errors).toEqual([]);
  expect(twin.posts).toMatchObject([
    {
      method: "POST",
      path: "/v1/batch",
      headers: {
        authorization: "Bearer lt_live_1",
        "content-type": "application/json",
        "user-agent": "letter-ts/0.1.0",
      },
    },
  ]);
  expect(bodiesOf(twin)[0]).toMatchObject({
    batch: [{ type: "identify" }, { type: "group" }, { type: "track", properties: { rows: 12 } }],
  });
  expect(twin.contacts.get("u-7")).toMatchObject({
    email: "ada@example.test",
    timezone: "Europe/Rome",
    traits: { plan: "pro" },
  });
  expect([...(twin.accounts.get("acct-2")?.members ?? [])]).toEqual(["u-7"]);
});

test("[letter 2] leaves out what is not given, but traits and properties", async () => {
  const { letter, twin, ended } = setUp();
  letter.identify({ userId: "u" });
  letter.group({ userId: "u", accountId: "a" });
  letter.track({ userId: "u", event: "E", timestamp: "" });
  await ended(letter.flush());
  const [identify, group, track] = firstListOf(twin, "batch");
  expect(Object.keys(identify ?? {})).toEqual(["type", "userId", "traits", "messageId"]);
  expect(Object.keys(group ?? {})).toEqual(["type", "userId", "accountId", "traits", "messageId"]);
  expect(Object.keys(track ?? {})).toEqual(["type", "userId", "event", "properties", "messageId"]);
  expect(track?.["messageId"]).toMatch(/^[\da-f-]{36}$/);
});

test("[letter 3] writes a Date as ISO text; a text stays as it is", async () => {
  const { letter, twin, ended } = setUp();
  letter.track({ userId: "u", event: "A", timestamp: new Date(Date.UTC(2026, 2, 1, 10)) });
  letter.track({ userId: "u", event: "B", timestamp: "2026-03-01T10:00:00" });
  await ended(letter.flush());
  expect(bodiesOf(twin)[0]).toMatchObject({
    batch: [{ timestamp: "2026-03-01T10:00:00.000Z" }, { timestamp: "2026-03-01T10:00:00" }],
  });
});

test("[letter 4] sends by itself 100 ms after the first event", async () => {
  const { letter, twin, clock } = setUp();
  letter.track({ userId: "u", event: "A" });
  await clock.advance(60);
  letter.track({ userId: "u", event: "B" });
  await clock.advance(39);
  expect(twin.requests).toBe(0);
  await clock.advance(3);
  expect(batches(twin)).toEqual([2]);
});

test("[letter 5] with flushAt 1 sends at once; with an interval of 0 never by time", async () => {
  const one = setUp({ flushAt: 1 });
  one.letter.track({ userId: "u", event: "A" });
  await one.clock.advance(2);
  expect(batches(one.twin)).toEqual([1]);
  const never = setUp({ flushIntervalMs: 0 });
  never.letter.track({ userId: "u", event: "A" });
  await never.clock.advance(60_000);
  expect(never.twin.requests).toBe(0);
});

test("[letter 6] sends what is queued in requests of at most 100 events, one at a time", async () => {
  const { letter, twin, ended } = setUp({ flushAt: 1_000 });
  for (let index = 0; index < 260; index++) letter.track({ userId: "u", event: `E${index}` });
  await ended(letter.flush());
  expect(batches(twin)).toEqual([100, 100, 60]);
  expect(twin.events.map(({ event }) => event)).toEqual(Array.from({ length: 260 }, (_, index) => `E${index}`));
  expect(Math.min(...gapsOf(twin))).toBeGreaterThan(0);
});

test("[letter 7] two 500 and a 200 are one success; waits grow, ids stay", async () => {
  const { letter, twin, ended, errors } = setUp();
  twin.fail({ kind: "status", status: 500, times: 2 });
  letter.track({ userId: "u", event: "A" });
  await ended(letter.flush());
  expect(errors).toEqual([]);
  const [first = 0, second = 0] = gapsOf(twin);
  expect(first).toBeGreaterThanOrEqual(250);
  expect(first).toBeLessThan(360);
  expect(second).toBeGreaterThanOrEqual(500);
  expect(second).toBeLessThan(610);
  expect(new Set(twin.posts.map(({ body }) => body)).size).toBe(1);
  expect(twin.ids).toHaveLength(1);
});

test("[letter 8] waits as long as Retry-After says, a date too, at most a minute; without it one second", async () => {
  const { letter, twin, clock, ended } = setUp();
  for (const [retryAfter, atLeastMs] of [
    ["2", 2_000],
    [new Date(clock.now() + 30_000).toUTCString(), 20_000],
    ["600", 60_000],
    [undefined, 1_000],
  ] as const) {
    twin.posts.splice(0);
    twin.fail({ kind: "status", status: 429, times: 1, ...(retryAfter === undefined ? {} : { retryAfter }) });
    letter.track({ userId: "u", event: "A" });
    await ended(letter.flush());
    expect(gapsOf(twin)[0]).toBeGreaterThanOrEqual(atLeastMs);
    expect(gapsOf(twin)[0]).toBeLessThan(atLeastMs + 11_000);
  }
});

test.each([401, 400, 403, 404, 408, 413, 301, 307])(
  "[letter 9] a refusal for good means one request; the batch is lost and onError is told (%i)",
  async (status) => {
    const { letter, twin, ended, errors } = setUp();
    twin.fail({ kind: "status", status });
    letter.track({ userId: "u", event: "A" });
    await ended(letter.flush());
    expect(twin.requests).toBe(1);
    expect(errors).toMatchObject([{ name: "LetterError", status, events: 1 }]);
    expect(errors[0]?.message).toContain(`Request failed with ${status}`);
    twin.recover();
    letter.track({ userId: "u", event: "B" });
    await ended(letter.flush());
    expect(twin.events.map(({ event }) => event)).toEqual(["B"]);
  },
);

test("[letter 10] the same messageId counts once", async () => {
  const { letter, twin, ended } = setUp();
  for (let time = 0; time < 2; time++) {
    letter.track({ userId: "u", event: "A", messageId: "m-1" });
    await ended(letter.flush());
  }
  expect(twin.ids).toEqual(["m-1"]);
  expect(twin.duplicates).toBe(1);
});

test("[letter 11] close sends what waits, and a second close changes nothing", async () => {
  const { letter, twin, ended, exits } = setUp();
  expect(exits.size).toBe(1);
  letter.track({ userId: "u", event: "A" });
  await ended(letter.close());
  await letter.close();
  expect(batches(twin)).toEqual([1]);
  expect(exits.size).toBe(0);
});

test("[letter 12] an event after close goes to onError alone", async () => {
  const { letter, twin, clock, ended, errors } = setUp();
  await ended(letter.close());
  letter.track({ userId: "u", event: "A" });
  await clock.advance(1_000);
  expect(errors.map(({ message }) => message)).toEqual(["Letter client is closed."]);
  expect(twin.requests).toBe(0);
});

test("wrong arguments throw at once", () => {
  const { letter } = setUp();
  const nobody = undefined as unknown as string;
  expect(() => letter.identify({ userId: nobody })).toThrow("identify: userId is required");
  expect(() => letter.group({ userId: "", accountId: "a" })).toThrow("group: userId is required");
  expect(() => letter.group({ userId: "u", accountId: nobody })).toThrow("group: accountId is required");
  expect(() => letter.track({ userId: nobody, event: "E" })).toThrow("track: userId is required");
  expect(() => letter.track({ userId: "u", event: nobody })).toThrow("track: event is required");
  expect(() => setUp({ apiKey: "" })).toThrow("apiKey is required");
  expect(() => setUp({ flushInterval: 1 } as object)).toThrow(
    'unknown option "flushInterval"; did you mean "flushIntervalMs"?',
  );
});

test("gives up after maxRetries, reports the batch and goes on with the next", async () => {
  const { letter, twin, ended, errors } = setUp({ flushAt: 1_000 });
  for (let index = 0; index < 150; index++) letter.track({ userId: "u", event: "A" });
  twin.fail({ kind: "status", status: 503, times: 4 });
  await ended(letter.flush());
  expect(errors).toMatchObject([{ status: 503, events: 100 }]);
  expect(twin.ids).toHaveLength(50);
});

test.each(["reset", "hang"] as const)("a connection that %ss is tried again", async (kind) => {
  const { letter, twin, ended, errors } = setUp();
  twin.fail({ kind, times: 2 });
  letter.track({ userId: "u", event: "A" });
  await ended(letter.flush());
  expect(errors).toEqual([]);
  expect(twin.ids).toHaveLength(1);
});

test("close waits for every request on its way, and at most its limit", async () => {
  const { letter, twin, clock, ended, errors } = setUp({ openTimeoutMs: 100, readTimeoutMs: 100 });
  letter.track({ userId: "u", event: "A" });
  twin.fail({ kind: "status", status: 429, retryAfter: "60" });
  const startedAt = clock.monotonic();
  await ended(letter.close());
  expect(clock.monotonic() - startedAt).toBeCloseTo(200 * 5, -1);
  expect(errors).toHaveLength(1);
});

test("immediate calls reject with the vendor's error, never queue, and go on after close", async () => {
  const { letter, twin, ended } = setUp();
  await ended(letter.identifyImmediate({ userId: "u", email: "a@b.test" }));
  await ended(letter.groupImmediate({ userId: "u", accountId: "a" }));
  await ended(letter.close());
  await ended(letter.trackImmediate({ userId: "u", event: "A", properties: { n: 1 } }));
  expect(twin.posts.map(({ path }) => path)).toEqual(["/v1/identify", "/v1/group", "/v1/track"]);
  expect(bodiesOf(twin)[2]).not.toHaveProperty("type");
  await expect(ended(letter.identifyImmediate({ userId: "new" }))).rejects.toMatchObject({
    name: "LetterError",
    status: 400,
    code: "bad_request",
    message: "Request failed with 400: identify: a new contact needs an email",
  });
});

test("an event that JSON cannot write harms no other, and a callback that throws harms nothing", async () => {
  const { letter, twin, ended } = setUp({
    onError: () => {
      throw new Error("from the application");
    },
  });
  letter.track({ userId: "u", event: "A", properties: { big: 1n } });
  letter.track({ userId: "u", event: "B" });
  await ended(letter.flush());
  expect(twin.events.map(({ event }) => event)).toEqual(["B"]);
});

test("all slashes at the end of the base URL are left out", async () => {
  const { letter, twin, ended } = setUp({ baseUrl: `${URL_OF_VENDOR}//` });
  letter.track({ userId: "u", event: "A" });
  await ended(letter.flush());
  expect(twin.posts[0]?.path).toBe("/v1/batch");
});

test("a full queue refuses through onError and keeps what it has", async () => {
  const { letter, twin, ended, errors } = setUp({ maxQueueSize: 2, flushAt: 50 });
  for (const event of ["A", "B", "C"]) letter.track({ userId: "u", event });
  expect(errors).toMatchObject([{ code: "queue_overflow", events: 1 }]);
  await ended(letter.flush());
  expect(twin.events.map(({ event }) => event)).toEqual(["A", "B"]);
});
