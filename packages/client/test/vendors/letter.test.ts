/** Letter's client against Letter's emulator. Numbers are those of docs/conformance.md. */
import type { Transport } from "@waybill/core";
import { emulators } from "@waybill/testing";
import { expect, onTestFinished, test, vi } from "vitest";
import { LetterClientOn } from "../../src/letter/client.ts";
import type { LetterError } from "../../src/letter/error.ts";
import type { LetterClientOptions } from "../../src/letter/types.ts";
import { bodiesOf, firstListOf, gapsOf, URL_OF_VENDOR, type VendorWorld, vendorWorld } from "../lib/vendor-world.ts";

interface World extends VendorWorld<emulators.LetterEmulator> {
  readonly letter: LetterClientOn;
  readonly errors: LetterError[];
}

function setUp(options: Partial<LetterClientOptions> = {}): World {
  const world = vendorWorld((clock) => new emulators.LetterEmulator({ clock, apiKeys: ["lt_live_1"] }));
  const errors: LetterError[] = [];
  const letter = new LetterClientOn(world.host, {
    apiKey: "lt_live_1",
    baseUrl: URL_OF_VENDOR,
    onError: (error) => errors.push(error),
    ...options,
  });
  return { ...world, letter, errors };
}

const batches = (emulator: emulators.LetterEmulator): number[] =>
  bodiesOf(emulator).map(({ batch }) => (batch as unknown[]).length);

test("[letter 1] sends the three kinds in one batch", async () => {
  const { letter, emulator, ended, errors } = setUp();
  letter.identify({ userId: "u-7", email: "ada@example.test", traits: { plan: "pro" }, timezone: "Europe/Rome" });
  letter.group({ userId: "u-7", accountId: "acct-2", name: "Analytical Engines" });
  letter.track({ userId: "u-7", event: "Report Exported", properties: { rows: 12 } });
  await ended(letter.flush());
  expect(errors).toEqual([]);
  expect(emulator.posts).toMatchObject([
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
  expect(bodiesOf(emulator)[0]).toMatchObject({
    batch: [{ type: "identify" }, { type: "group" }, { type: "track", properties: { rows: 12 } }],
  });
  expect(emulator.contacts.get("u-7")).toMatchObject({
    email: "ada@example.test",
    timezone: "Europe/Rome",
    traits: { plan: "pro" },
  });
  expect([...(emulator.accounts.get("acct-2")?.members ?? [])]).toEqual(["u-7"]);
});

test("[letter 2] leaves out what is not given, but traits and properties", async () => {
  const { letter, emulator, ended } = setUp();
  letter.identify({ userId: "u" });
  letter.group({ userId: "u", accountId: "a" });
  letter.track({ userId: "u", event: "E", timestamp: "" });
  await ended(letter.flush());
  const [identify, group, track] = firstListOf(emulator, "batch");
  expect(Object.keys(identify ?? {})).toEqual(["type", "userId", "traits", "messageId"]);
  expect(Object.keys(group ?? {})).toEqual(["type", "userId", "accountId", "traits", "messageId"]);
  expect(Object.keys(track ?? {})).toEqual(["type", "userId", "event", "properties", "messageId"]);
  expect(track?.["messageId"]).toMatch(/^[\da-f-]{36}$/);
});

test("[letter 3] writes a Date as ISO text; a text stays as it is", async () => {
  const { letter, emulator, ended } = setUp();
  letter.track({ userId: "u", event: "A", timestamp: new Date(Date.UTC(2026, 2, 1, 10)) });
  letter.track({ userId: "u", event: "B", timestamp: "2026-03-01T10:00:00" });
  await ended(letter.flush());
  expect(bodiesOf(emulator)[0]).toMatchObject({
    batch: [{ timestamp: "2026-03-01T10:00:00.000Z" }, { timestamp: "2026-03-01T10:00:00" }],
  });
});

test("[letter 4] sends by itself 100 ms after the first event", async () => {
  const { letter, emulator, clock } = setUp();
  letter.track({ userId: "u", event: "A" });
  await clock.advance(60);
  letter.track({ userId: "u", event: "B" });
  await clock.advance(39);
  expect(emulator.requests).toBe(0);
  await clock.advance(3);
  expect(batches(emulator)).toEqual([2]);
});

test("[letter 5] with flushAt 1 sends at once; with an interval of 0 never by time", async () => {
  const one = setUp({ flushAt: 1 });
  one.letter.track({ userId: "u", event: "A" });
  await one.clock.advance(2);
  expect(batches(one.emulator)).toEqual([1]);
  const never = setUp({ flushIntervalMs: 0 });
  never.letter.track({ userId: "u", event: "A" });
  await never.clock.advance(60_000);
  expect(never.emulator.requests).toBe(0);
});

test("[letter 6] sends what is queued in requests of at most 100 events, one at a time", async () => {
  const { letter, emulator, ended } = setUp({ flushAt: 1_000 });
  for (let index = 0; index < 260; index++) letter.track({ userId: "u", event: `E${index}` });
  await ended(letter.flush());
  expect(batches(emulator)).toEqual([100, 100, 60]);
  expect(emulator.events.map(({ event }) => event)).toEqual(Array.from({ length: 260 }, (_, index) => `E${index}`));
  expect(Math.min(...gapsOf(emulator))).toBeGreaterThan(0);
});

test("[letter 7] two 500 and a 200 are one success; waits grow, ids stay", async () => {
  const { letter, emulator, ended, errors } = setUp();
  emulator.fail({ kind: "status", status: 500, times: 2 });
  letter.track({ userId: "u", event: "A" });
  await ended(letter.flush());
  expect(errors).toEqual([]);
  const [first = 0, second = 0] = gapsOf(emulator);
  expect(first).toBeGreaterThanOrEqual(250);
  expect(first).toBeLessThan(360);
  expect(second).toBeGreaterThanOrEqual(500);
  expect(second).toBeLessThan(610);
  expect(new Set(emulator.posts.map(({ body }) => body)).size).toBe(1);
  expect(emulator.ids).toHaveLength(1);
});

test("[letter 8] waits as long as Retry-After says, a date too, at most a minute; without it one second", async () => {
  const { letter, emulator, clock, ended } = setUp();
  for (const [retryAfter, atLeastMs] of [
    ["2", 2_000],
    [new Date(clock.now() + 30_000).toUTCString(), 20_000],
    ["600", 60_000],
    [undefined, 1_000],
    ["0", 1_000],
  ] as const) {
    emulator.posts.splice(0);
    emulator.fail({ kind: "status", status: 429, times: 1, ...(retryAfter === undefined ? {} : { retryAfter }) });
    letter.track({ userId: "u", event: "A" });
    await ended(letter.flush());
    expect(gapsOf(emulator)[0]).toBeGreaterThanOrEqual(atLeastMs);
    expect(gapsOf(emulator)[0]).toBeLessThan(atLeastMs + 11_000);
  }
});

test.each([401, 400, 403, 404, 408, 413, 301, 307])(
  "[letter 9] a refusal for good means one request; the batch is lost and onError is called (%i)",
  async (status) => {
    const { letter, emulator, ended, errors } = setUp();
    emulator.fail({ kind: "status", status });
    letter.track({ userId: "u", event: "A" });
    await ended(letter.flush());
    expect(emulator.requests).toBe(1);
    expect(errors).toMatchObject([{ name: "LetterError", status, events: 1 }]);
    expect(errors[0]?.message).toContain(`Request failed with ${status}`);
    emulator.recover();
    letter.track({ userId: "u", event: "B" });
    await ended(letter.flush());
    expect(emulator.events.map(({ event }) => event)).toEqual(["B"]);
  },
);

test("[letter 10] the same messageId counts once", async () => {
  const { letter, emulator, ended } = setUp();
  for (let time = 0; time < 2; time++) {
    letter.track({ userId: "u", event: "A", messageId: "m-1" });
    await ended(letter.flush());
  }
  expect(emulator.ids).toEqual(["m-1"]);
  expect(emulator.duplicates).toBe(1);
});

test("[letter 11] close sends what waits, and a second close changes nothing", async () => {
  const { letter, emulator, clock, ended, exits, errors } = setUp();
  expect(exits.size).toBe(1);
  letter.track({ userId: "u", event: "A" });
  await ended(letter.close());
  expect(batches(emulator)).toEqual([1]);
  expect(exits.size).toBe(0);
  // The second one sends nothing, waits for nothing and reports nothing.
  expect(letter.close()).toBe(letter.close());
  await letter.close();
  await clock.advance(60_000);
  expect(batches(emulator)).toEqual([1]);
  expect(emulator.events.map(({ event }) => event)).toEqual(["A"]);
  expect(errors).toEqual([]);
  expect(clock.timers).toBe(0);
});

test("[letter 12] an event after close goes to onError alone", async () => {
  const { letter, emulator, clock, ended, errors } = setUp();
  await ended(letter.close());
  letter.track({ userId: "u", event: "A" });
  await clock.advance(1_000);
  expect(errors.map(({ message }) => message)).toEqual(["Letter client is closed."]);
  expect(emulator.requests).toBe(0);
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
  expect(() => setUp({ apiKey: "secret\n" })).toThrow(
    /option "apiKey" has a character that HTTP does not allow[^\n]*$/,
  );
  for (const baseUrl of ["localhost:3", "ftp://x", ""])
    expect(() => setUp({ baseUrl })).toThrow(`option "baseUrl" is "${baseUrl}"; it must be an http or https URL`);
  expect(() => setUp({ flushInterval: 1 } as object)).toThrow(
    'unknown option "flushInterval"; did you mean "flushIntervalMs"?',
  );
});

test("gives up after maxRetries, reports the batch and goes on with the next", async () => {
  const { letter, emulator, ended, errors } = setUp({ flushAt: 1_000 });
  for (let index = 0; index < 150; index++) letter.track({ userId: "u", event: "A" });
  emulator.fail({ kind: "status", status: 503, times: 4 });
  await ended(letter.flush());
  expect(errors).toMatchObject([{ status: 503, events: 100 }]);
  expect(emulator.ids).toHaveLength(50);
});

test.each(["reset", "hang"] as const)("a connection that is reset or hangs is tried again (%s)", async (kind) => {
  const { letter, emulator, ended, errors } = setUp();
  emulator.fail({ kind, times: 2 });
  letter.track({ userId: "u", event: "A" });
  await ended(letter.flush());
  expect(errors).toEqual([]);
  expect(emulator.ids).toHaveLength(1);
});

test("close waits 50 s at most, then gives each batch that is left one attempt more", async () => {
  const { letter, emulator, clock, ended, errors } = setUp({ flushAt: 1_000 });
  for (let index = 0; index < 250; index++) letter.track({ userId: "u", event: `E${index}` });
  emulator.fail({ kind: "status", status: 429, retryAfter: "60", times: 2 });
  const startedAt = clock.monotonic();
  await ended(letter.close());
  expect(clock.monotonic() - startedAt).toBeCloseTo(50_000, -2);
  // The first batch waited for its second attempt, which failed too: it is over and reported. The
  // others were sent.
  expect(batches(emulator)).toEqual([100, 100, 100, 50]);
  expect(errors).toMatchObject([{ status: 429, events: 100 }]);
  expect(emulator.events).toHaveLength(150);
});

test.each(["hang", "ignores abort"])(
  "close ends at its deadline and reports how many events are left (%s)",
  async (kind) => {
    const options = kind === "hang" ? {} : { transport: () => new Promise<never>(() => undefined) };
    const { letter, emulator, clock, ended, errors } = setUp({ flushAt: 1_000, ...options });
    emulator.fail({ kind: "hang" });
    for (let index = 0; index < 150; index++) letter.track({ userId: "u", event: "A" });
    const startedAt = clock.monotonic();
    await ended(letter.close());
    expect(clock.monotonic() - startedAt).toBe(60_000);
    expect(errors).toMatchObject([
      { events: 150, message: "150 events could not be sent before the deadline of close" },
    ]);
    await clock.advance(60_000);
    expect(errors).toHaveLength(1);
  },
);

test("the deadline of close is readTimeoutMs x (maxRetries + 2)", async () => {
  const { letter, emulator, clock, ended, errors } = setUp({ openTimeoutMs: 700, readTimeoutMs: 100, maxRetries: 1 });
  letter.track({ userId: "u", event: "A" });
  emulator.fail({ kind: "hang" });
  const startedAt = clock.monotonic();
  await ended(letter.close());
  expect(clock.monotonic() - startedAt).toBe(100 * 3 + 100);
  expect(errors).toMatchObject([{ events: 1 }]);
});

test("immediate calls reject with the vendor's error, never queue, and go on after close", async () => {
  const { letter, emulator, ended } = setUp();
  await ended(letter.identifyImmediate({ userId: "u", email: "a@b.test" }));
  await ended(letter.groupImmediate({ userId: "u", accountId: "a" }));
  await ended(letter.close());
  await ended(letter.trackImmediate({ userId: "u", event: "A", properties: { n: 1 } }));
  expect(emulator.posts.map(({ path }) => path)).toEqual(["/v1/identify", "/v1/group", "/v1/track"]);
  expect(bodiesOf(emulator)[2]).not.toHaveProperty("type");
  await expect(ended(letter.identifyImmediate({ userId: "new" }))).rejects.toMatchObject({
    name: "LetterError",
    status: 400,
    code: "bad_request",
    message: "Request failed with 400: identify: a new contact needs an email",
  });
});

test("an event that JSON cannot write harms no other, and a callback that throws harms nothing", async () => {
  const { letter, emulator, ended } = setUp({
    onError: () => {
      throw new Error("from the application");
    },
  });
  letter.track({ userId: "u", event: "A", properties: { big: 1n } });
  letter.track({ userId: "u", event: "B" });
  await ended(letter.flush());
  expect(emulator.events.map(({ event }) => event)).toEqual(["B"]);
});

test("what an immediate call is refused for, it rejects with, and never throws", async () => {
  const { letter, emulator } = setUp();
  const nothing = {} as never;
  for (const [call, message] of [
    [() => letter.identifyImmediate(nothing), "identify: userId is required"],
    [() => letter.groupImmediate({ userId: "u" } as never), "group: accountId is required"],
    [() => letter.trackImmediate({ userId: "u" } as never), "track: event is required"],
    [
      () => letter.trackImmediate({ userId: "u", event: "A", properties: { big: 1n } }),
      "track: cannot be written as JSON: Do not know how to serialize a BigInt",
    ],
  ] as const) {
    const answer = call();
    await expect(answer).rejects.toMatchObject({ name: "LetterError", message });
  }
  expect(emulator.requests).toBe(0);
});

test("an invalid Date is left out and reported to onError; the event is sent", async () => {
  const { letter, emulator, ended, errors } = setUp();
  const timestamp = new Date(Number.NaN);
  letter.identify({ userId: "u", email: "a@b.test", timestamp });
  letter.group({ userId: "u", accountId: "a", timestamp });
  letter.track({ userId: "u", event: "A", timestamp });
  await ended(letter.flush());
  await ended(letter.trackImmediate({ userId: "u", event: "B", timestamp }));
  expect(errors).toMatchObject(
    ["identify", "group", "track", "track"].map((call) => ({
      message: `${call}: timestamp is an invalid Date and was left out`,
      events: 0,
    })),
  );
  for (const item of [...firstListOf(emulator, "batch"), bodiesOf(emulator)[1]])
    expect(item).not.toHaveProperty("timestamp");
  expect(firstListOf(emulator, "batch")).toHaveLength(3);
});

test("flushAt is 50 by default, and everything below 1 means 1", async () => {
  const { letter, emulator, clock } = setUp({ flushIntervalMs: 0 });
  for (let index = 0; index < 49; index++) letter.track({ userId: "u", event: "A" });
  await clock.advance(10);
  expect(emulator.requests).toBe(0);
  letter.track({ userId: "u", event: "A" });
  await clock.advance(10);
  expect(batches(emulator)).toEqual([50]);
  for (const flushAt of [0, -7]) {
    const clamped = setUp({ flushAt, flushIntervalMs: 0 });
    clamped.letter.track({ userId: "u", event: "A" });
    await clamped.clock.advance(10);
    expect(batches(clamped.emulator)).toEqual([1]);
  }
});

test("without a base URL it is api.letter.app", async () => {
  const urls: string[] = [];
  const transport: Transport = async ({ url }) => {
    urls.push(url);
    return { status: 200, headers: {}, body: "{}" };
  };
  const letter = new LetterClientOn(setUp().host, { apiKey: "lt_live_1", transport });
  letter.track({ userId: "u", event: "A" });
  await letter.flush();
  await letter.trackImmediate({ userId: "u", event: "A" });
  expect(urls).toEqual(["https://api.letter.app/v1/batch", "https://api.letter.app/v1/track"]);
});

test("without onError a lost batch is a line on the console", async () => {
  const lines = vi.spyOn(console, "error").mockImplementation(() => undefined);
  onTestFinished(() => lines.mockRestore());
  const { host, emulator, ended } = setUp();
  emulator.fail({ kind: "status", status: 401 });
  const letter = new LetterClientOn(host, { apiKey: "lt_live_1", baseUrl: URL_OF_VENDOR });
  letter.track({ userId: "u", event: "A" });
  await ended(letter.flush());
  expect(lines.mock.calls).toEqual([["[letter]", expect.stringMatching(/^Request failed with 401: /)]]);
});

test("each attempt has openTimeoutMs and readTimeoutMs together, by default 20 s; maxRetries is 3", async () => {
  const { letter, emulator, clock, ended, errors } = setUp();
  emulator.fail({ kind: "hang" });
  letter.track({ userId: "u", event: "A" });
  const startedAt = clock.monotonic();
  await ended(letter.flush());
  expect(emulator.requests).toBe(4);
  expect(clock.monotonic() - startedAt).toBeGreaterThan(4 * 20_000);
  expect(clock.monotonic() - startedAt).toBeLessThan(4 * 20_000 + 250 + 500 + 1_000 + 3 * 100 + 10);
  expect(errors).toMatchObject([{ events: 1, message: "no answer within 20000 ms" }]);
});

test("the exit callback closes the client; it says which signals it acts on and how long close may take", async () => {
  const { letter, emulator, ended, exits } = setUp({ exitSignals: ["SIGTERM"] });
  letter.track({ userId: "u", event: "A" });
  const [hook] = exits;
  expect(hook).toMatchObject({ deadlineMs: 60_000, signals: ["SIGTERM"] });
  await ended(hook?.close() as Promise<unknown>);
  expect(batches(emulator)).toEqual([1]);
  expect(exits.size).toBe(0);
  expect([...setUp().exits]).toMatchObject([{ signals: undefined }]);
  expect(() => setUp({ exitSignals: ["SIGKILL" as never] })).toThrow(
    'option "exitSignals" has SIGKILL; it may have "SIGHUP", "SIGINT", "SIGTERM"',
  );
});

test("with registerAtExit false the end of the process is none of the client's", () => {
  expect(setUp({ registerAtExit: false }).exits.size).toBe(0);
});

test("what is left when the process ends is reported to onError with its count, during close too", async () => {
  const { letter, emulator, clock, exits, errors } = setUp();
  const [hook] = exits;
  hook?.lost("nothing waits");
  expect(errors).toEqual([]);
  emulator.fail({ kind: "hang" });
  letter.track({ userId: "u", event: "A" });
  letter.track({ userId: "u", event: "B" });
  void letter.close();
  await clock.advance(100);
  hook?.lost("the process ended with exit code 1");
  expect(errors).toMatchObject([
    { code: "exit", events: 2, message: "2 events were not sent or not answered: the process ended with exit code 1" },
  ]);
});

test("all slashes at the end of the base URL are left out", async () => {
  const { letter, emulator, ended } = setUp({ baseUrl: `${URL_OF_VENDOR}//` });
  letter.track({ userId: "u", event: "A" });
  await ended(letter.flush());
  expect(emulator.posts[0]?.path).toBe("/v1/batch");
});

test("a full queue refuses through onError and keeps what it has", async () => {
  const { letter, emulator, ended, errors } = setUp({ maxQueueSize: 2, flushAt: 50 });
  for (const event of ["A", "B", "C"]) letter.track({ userId: "u", event });
  expect(errors).toMatchObject([{ code: "queue_overflow", events: 1 }]);
  await ended(letter.flush());
  expect(emulator.events.map(({ event }) => event)).toEqual(["A", "B"]);
});
