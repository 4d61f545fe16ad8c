/**
 * LaunchDarkly's event publisher against LaunchDarkly's emulator. Numbers are those of
 * docs/conformance.md; names in brackets are those of the original's tests.
 */
import { emulators, SeededRandom, VirtualClock } from "@waybill/testing";
import { EventQueues } from "@waybill/vendors";
import { expect, onTestFinished, test, vi } from "vitest";
import { HttpEventPublisherOn } from "../../src/launchdarkly/client.ts";
import type { HttpEventPublisherOptions } from "../../src/launchdarkly/types.ts";
import { gapsOf, URL_OF_VENDOR, type VendorWorld, vendorWorld } from "../lib/vendor-world.ts";

const SDK_KEY = { kind: "sdkKey", value: "sdk-1" } as const;

interface World extends VendorWorld<emulators.LaunchDarklyEmulator> {
  readonly publisher: HttpEventPublisherOn;
  readonly warnings: string[];
}

function setUp(
  options: HttpEventPublisherOptions = {},
  credential: ConstructorParameters<typeof HttpEventPublisherOn>[1] = SDK_KEY,
): World {
  const world = vendorWorld((clock) => new emulators.LaunchDarklyEmulator({ clock }));
  const warnings: string[] = [];
  const publisher = new HttpEventPublisherOn(world.host, credential, {
    uri: URL_OF_VENDOR,
    onWarning: (message) => warnings.push(message),
    ...options,
  });
  return { ...world, publisher, warnings };
}

/** Posts of one flush leave together: their order is not promised. */
const bodies = (emulator: emulators.LaunchDarklyEmulator): string[] =>
  emulator.payloads.map(({ body }) => body).toSorted();

test("[launchdarkly 1] HTTPEventPublisherSimple: two publishes leave in one post, in order", async () => {
  const { publisher, emulator, ended } = setUp();
  publisher.publish({ schemaVersion: 3 }, '{"kind":"a", "n":1e400}');
  publisher.publish({ schemaVersion: 3 }, { kind: "b" }, { kind: "c" });
  await ended(publisher.flush());
  expect(bodies(emulator)).toEqual(['[{"kind":"a", "n":1e400},{"kind":"b"},{"kind":"c"}]']);
  expect(emulator.payloads[0]).toMatchObject({
    path: "/bulk",
    headers: {
      authorization: "sdk-1",
      "content-type": "application/json",
      "x-launchdarkly-event-schema": "3",
      "x-launchdarkly-payload-id": expect.stringMatching(/^[\da-f-]{36}$/),
    },
  });
  expect(emulator.payloads[0]?.headers).not.toHaveProperty("x-launchdarkly-tags");
});

test("[launchdarkly 2] MultiQueuesWithMetadata: each tags and schema is a post of its own, in its own order", async () => {
  const { publisher, emulator, ended } = setUp();
  for (const [index, tags] of ["a", "b", "a", "b"].entries()) publisher.publish({ schemaVersion: 3, tags }, { index });
  publisher.publish({ schemaVersion: 4, tags: "a" }, { index: 4 });
  await ended(publisher.flush());
  expect(bodies(emulator)).toEqual(['[{"index":0},{"index":2}]', '[{"index":1},{"index":3}]', '[{"index":4}]']);
  const headersOf = ({ headers }: emulators.Post): string =>
    `${headers["x-launchdarkly-tags"]} ${headers["x-launchdarkly-event-schema"]}`;
  expect(emulator.payloads.map(headersOf).toSorted()).toEqual(["a 3", "a 4", "b 3"]);
});

test("[launchdarkly 3] OptionEndpointURI: the URL is used as it is", async () => {
  const { publisher, emulator, ended } = setUp({ endpointUri: `${URL_OF_VENDOR}/mobile/events` });
  publisher.publish({ schemaVersion: 3 }, {});
  await ended(publisher.flush());
  expect(emulator.payloads[0]?.path).toBe("/mobile/events");
});

test("[launchdarkly 4] ClosesImmediatelyAndOnlyOnce: close twice ends at once, and what waits is not sent", async () => {
  const { publisher, emulator, ended } = setUp();
  publisher.publish({ schemaVersion: 3 }, {});
  await ended(publisher.close());
  await publisher.close();
  publisher.publish({ schemaVersion: 3 }, {});
  await ended(publisher.flush());
  expect(emulator.requests).toBe(0);
  const flushing = setUp({ flushOnClose: true });
  flushing.publisher.publish({ schemaVersion: 3 }, {});
  await flushing.ended(flushing.publisher.close());
  expect(flushing.emulator.payloads).toHaveLength(1);
});

test("[launchdarkly 5] AutomaticFlush: flushes by itself, every interval", async () => {
  const { publisher, emulator, clock } = setUp({ flushIntervalMs: 10 });
  for (let time = 0; time < 3; time++) {
    publisher.publish({ schemaVersion: 3 }, { time });
    await clock.advance(15);
  }
  expect(emulator.payloads).toHaveLength(3);
});

test("[launchdarkly 6] FlushDoesNothingIfThereAreNoEvents", async () => {
  const { publisher, emulator, clock, ended } = setUp({ flushIntervalMs: 1 });
  await ended(publisher.flush());
  await clock.advance(50);
  expect(emulator.requests).toBe(0);
});

test("[launchdarkly 7] Capacity: the first that fit are kept, the rest dropped with one warning until a publish fits", async () => {
  const { publisher, emulator, ended, warnings } = setUp({ capacity: 2 });
  publisher.publish({ schemaVersion: 3 }, { n: 1 });
  publisher.publish({ schemaVersion: 3 }, { n: 2 }, { n: 3 });
  publisher.publish({ schemaVersion: 3 }, { n: 4 });
  expect(warnings).toEqual(["Exceeded event queue capacity of 2. Increase capacity to avoid dropping events."]);
  publisher.publish({ schemaVersion: 4 }, { n: 5 });
  publisher.publish({ schemaVersion: 3 }, { n: 6 });
  expect(warnings).toHaveLength(2);
  await ended(publisher.flush());
  expect(bodies(emulator)).toEqual(['[{"n":1},{"n":2}]', '[{"n":5}]']);
});

test.each([
  ["status", 503],
  ["status", 500],
  ["status", 400],
  ["status", 408],
  ["status", 429],
  ["reset", 0],
] as const)(
  "[launchdarkly 8] ErrorRetry (%s %i): two equal requests a second apart, no third",
  async (kind, status) => {
    const { publisher, emulator, ended, warnings } = setUp();
    emulator.fail({ kind, status });
    publisher.publish({ schemaVersion: 3 }, {});
    await ended(publisher.flush());
    expect(emulator.requests).toBe(2);
    expect(gapsOf(emulator)[0]).toBeGreaterThanOrEqual(1_000);
    expect(emulator.posts[1]).toMatchObject({ body: emulator.posts[0]?.body, headers: emulator.posts[0]?.headers });
    expect(warnings).toEqual([expect.stringContaining("events were dropped")]);
    emulator.recover();
    publisher.publish({ schemaVersion: 3 }, {});
    await ended(publisher.flush());
    expect(emulator.payloads).toHaveLength(1);
  },
);

test.each([403, 404, 405])(
  "after a refusal nothing more is sent, until the credential is replaced (%i)",
  async (status) => {
    const { publisher, emulator, ended, warnings } = setUp();
    emulator.fail({ kind: "status", status });
    for (let round = 0; round < 2; round++) {
      publisher.publish({}, { round });
      await ended(publisher.flush());
    }
    expect([emulator.requests, warnings.length]).toEqual([1, 1]);
    expect(warnings[0]).toContain("giving up until the credential is replaced");
    emulator.recover();
    publisher.replaceCredential({ kind: "sdkKey", value: "sdk-2" });
    publisher.publish({}, { after: true });
    await ended(publisher.flush());
    expect(bodies(emulator)).toEqual(['[{"after":true}]']);
  },
);

test("[launchdarkly 9] UnrecoverableError: after 401 nothing more is sent, until the credential is replaced", async () => {
  const { publisher, emulator, ended } = setUp();
  emulator.rotate(["sdk-2"]);
  publisher.publish({ schemaVersion: 3 }, {});
  await ended(publisher.flush());
  publisher.publish({ schemaVersion: 3 }, {});
  await ended(publisher.flush());
  expect(emulator.requests).toBe(1);
  publisher.replaceCredential({ kind: "sdkKey", value: "sdk-2" });
  publisher.publish({ schemaVersion: 3 }, { after: true });
  await ended(publisher.flush());
  expect(bodies(emulator)).toEqual(['[{"after":true}]']);
});

test("[launchdarkly 10] ReplaceCredential: used from the next flush on; one of another kind is ignored", async () => {
  const { publisher, emulator, ended } = setUp();
  publisher.publish({ schemaVersion: 3 }, {});
  publisher.replaceCredential({ kind: "sdkKey", value: "sdk-2" });
  publisher.replaceCredential({ kind: "mobileKey", value: "mob-1" });
  await ended(publisher.flush());
  expect(emulator.payloads.map(({ headers }) => headers["authorization"])).toEqual(["sdk-2"]);
});

test("[launchdarkly 11] UnrecoverableErrorDoesNotBlockFutureProcessing: publish and flush return while it is disabled", async () => {
  const { publisher, emulator, ended, warnings } = setUp({ capacity: 1 });
  emulator.fail({ kind: "status", status: 405 });
  for (let round = 0; round < 200; round++) {
    publisher.publish({ schemaVersion: 3 }, {}, {});
    await ended(publisher.flush());
  }
  expect(emulator.requests).toBe(1);
  expect(warnings.length).toBeLessThan(4);
});

test("[launchdarkly 12] OptionURIPath: a path of the base is kept, slashes at its end are not; each kind has its own path", async () => {
  for (const [credential, path] of [
    [SDK_KEY, "/bulk"],
    [{ kind: "mobileKey", value: "mob-1" }, "/mobile"],
    [{ kind: "environmentId", value: "env" }, "/events/bulk/env"],
  ] as const) {
    const { publisher, emulator, ended } = setUp({ uri: `${URL_OF_VENDOR}//` }, credential);
    publisher.publish({ schemaVersion: 3 }, {});
    await ended(publisher.flush());
    expect(emulator.payloads[0]?.path).toBe(path);
    expect("authorization" in (emulator.payloads[0]?.headers ?? {})).toBe(credential.kind !== "environmentId");
  }
  const { publisher, emulator, ended } = setUp({ uri: `${URL_OF_VENDOR}/base/` });
  publisher.publish({ schemaVersion: 3 }, {});
  await ended(publisher.flush());
  expect(emulator.posts[0]?.path).toBe("/base/bulk");
});

test("413 loses this payload and no other; keys that LaunchDarkly would not take are refused", async () => {
  const { publisher, emulator, ended } = setUp();
  emulator.fail({ kind: "status", status: 413, times: 1 });
  publisher.publish({ schemaVersion: 3 }, { n: 1 });
  await ended(publisher.flush());
  publisher.publish({ schemaVersion: 3 }, { n: 2 });
  await ended(publisher.flush());
  expect(bodies(emulator)).toEqual(['[{"n":2}]']);
  expect(() => setUp({}, { kind: "sdkKey", value: "not a key" })).toThrow("sdkKey");
});

test("an empty EventPayloadMetadata says schema 3, as the original; so does a version that is not one; each has its own queue", async () => {
  for (const [metadata, schema] of [
    [{}, "3"],
    [{ schemaVersion: undefined }, "3"],
    [{ schemaVersion: 0 }, "3"],
    [{ schemaVersion: -1 }, "3"],
    [{ schemaVersion: Number.NaN }, "3"],
    [{ schemaVersion: 3.5 }, "3"],
    [{ schemaVersion: "4" as never }, "3"],
    [{ schemaVersion: 1 }, "1"],
    [{ schemaVersion: 4 }, "4"],
  ] as const) {
    const { publisher, emulator, ended } = setUp();
    publisher.publish(metadata, {});
    await ended(publisher.flush());
    expect(emulator.payloads.map(({ headers }) => headers["x-launchdarkly-event-schema"])).toEqual([schema]);
  }
  const { publisher, emulator, ended } = setUp({ capacity: 1 });
  publisher.publish({}, { n: 1 });
  publisher.publish({ schemaVersion: 0 }, { n: 2 });
  publisher.publish({ schemaVersion: 3 }, { n: 3 });
  await ended(publisher.flush());
  expect(bodies(emulator)).toEqual(['[{"n":1}]', '[{"n":3}]']);
});

test("defaults: LaunchDarkly's own address, a flush each minute, 1,000 events for each metadata, 3 seconds for a request", async () => {
  const { host, clock } = vendorWorld((one) => new emulators.LaunchDarklyEmulator({ clock: one }));
  const requests: [string, number][] = [];
  const lines: string[] = [];
  const spy = vi.spyOn(console, "warn").mockImplementation((line: string) => lines.push(line));
  onTestFinished(() => spy.mockRestore());
  const publisher = new HttpEventPublisherOn(host, SDK_KEY, {
    transport: ({ url }, signal) => {
      requests.push([url, clock.monotonic()]);
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
    },
  });
  for (let n = 0; n < 1_001; n++) publisher.publish({ schemaVersion: 3 }, { n });
  expect(lines).toEqual([
    "[launchdarkly] Exceeded event queue capacity of 1000. Increase capacity to avoid dropping events.",
  ]);
  await clock.advance(59_999);
  expect(requests).toEqual([]);
  await clock.advance(1);
  // The second attempt: after the timeout and the pause of a second.
  await clock.advance(4_000);
  expect(requests).toEqual([
    ["https://events.launchdarkly.com/bulk", 60_000],
    ["https://events.launchdarkly.com/bulk", 64_000],
  ]);
});

test.each([0, -1])("a flush interval of 0 or less means the default of a minute (%i)", async (flushIntervalMs) => {
  const { publisher, emulator, clock } = setUp({ flushIntervalMs });
  publisher.publish({}, {});
  await clock.advance(59_999);
  expect(emulator.requests).toBe(0);
  await clock.advance(1_000);
  expect(emulator.payloads).toHaveLength(1);
});

test("close waits for the posts on their way, their second attempt too", async () => {
  const { publisher, emulator, clock, ended } = setUp();
  emulator.fail({ kind: "status", status: 503, times: 1 });
  publisher.publish({}, { n: 1 });
  void publisher.flush();
  await clock.advance(10);
  expect(emulator.requests).toBe(1);
  await ended(publisher.close());
  expect(bodies(emulator)).toEqual(['[{"n":1}]']);
});

test("an event that is not JSON is dropped with a warning, alone; a warning that throws harms nothing", async () => {
  const { publisher, emulator, ended, warnings } = setUp();
  publisher.publish({}, { n: 1n }, { n: 2 });
  expect(warnings).toEqual([expect.stringContaining("cannot be written as JSON")]);
  await ended(publisher.flush());
  expect(bodies(emulator)).toEqual(['[{"n":2}]']);
  const loud = setUp({
    capacity: 1,
    onWarning: () => {
      throw new Error("mine");
    },
  });
  expect(() => loud.publisher.publish({}, {}, {})).not.toThrow();
});

test("5,000 values of the metadata are forgotten at the second flush", async () => {
  const clock = new VirtualClock();
  const runtime = {
    clock,
    random: new SeededRandom(1),
    transport: () => Promise.resolve({ status: 202, headers: {}, body: "" }),
  };
  const queues = new EventQueues(
    {
      url: "http://vendor.test/bulk",
      credential: SDK_KEY,
      userAgent: "x",
      flushIntervalMs: 60_000,
      capacity: 10,
      timeoutMs: 1_000,
      maxQueues: 5_000,
      onWarning: () => undefined,
    },
    runtime,
  );
  for (let tag = 0; tag < 5_000; tag++) queues.publish({ schemaVersion: 4, tags: `tag-${tag}` }, ["{}"]);
  await clock.advance(61_000);
  expect(queues.held.queues).toBe(5_000);
  await clock.advance(60_000);
  expect(queues.held).toEqual({ queues: 0, bytes: 0 });
  // One alone is kept for what will come.
  queues.publish({ schemaVersion: 4 }, ["{}"]);
  await clock.advance(120_000);
  expect(queues.held.queues).toBe(1);
  await queues.close();
});

test("options that cannot be used are refused by name: an address that is not a URL, a capacity of 0, an unknown name", () => {
  expect(() => setUp({ uri: "nowhere" })).toThrow('"nowhere/bulk" is not an http or https URL');
  expect(() => setUp({ endpointUri: "nowhere" })).toThrow('"nowhere" is not an http or https URL');
  expect(() => setUp({ uri: "ftp://x" })).toThrow('"ftp://x/bulk" is not an http or https URL');
  expect(() => setUp({ capacity: 0 })).toThrow("capacity");
  expect(() => setUp({ flushInterval: 5 } as never)).toThrow('did you mean "flushIntervalMs"');
  expect(() => setUp({}, { kind: "mobileKey", value: "" })).toThrow("mobileKey is empty");
});

test("an answer that redirects is not followed: a second attempt, then the payload is lost", async () => {
  const { publisher, emulator, ended, warnings } = setUp();
  emulator.fail({ kind: "status", status: 307, times: 2 });
  publisher.publish({}, {});
  await ended(publisher.flush());
  expect([emulator.requests, emulator.payloads.length, warnings.length]).toEqual([2, 0, 1]);
});
