/**
 * The transport of browsers and workers: what it hands to `fetch`, and how much of an answer it
 * reads.
 */
import type { HttpRequest } from "@waybill/core";
import { startServer } from "@waybill/testing";
import { testTransport } from "@waybill/testing/suites";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { createFetchTransport } from "../../src/host/fetch-transport.ts";
import { createHost, createVendorHost } from "../../src/host/web-host.ts";

const KIB = 1024;
const LIMIT = 256 * KIB;
const signal = new AbortController().signal;
const REQUEST: HttpRequest = { method: "POST", url: "http://a.test/x?y=1", headers: { "x-a": "b" }, body: ["ä", "b"] };

afterEach(() => {
  vi.unstubAllGlobals();
});

testTransport("fetch transport", {
  answerMaxBytes: LIMIT,
  async make(handler) {
    const [server, gone] = await Promise.all([startServer(handler), startServer(handler)]);
    await gone.close();
    onTestFinished(() => server.close());
    return { transport: createFetchTransport(), origin: server.url, nowhere: gone.url, settled: (result) => result };
  },
});

/**
 * A `fetch` that answers with these parts, and says what it was given and whether the rest was
 * cancelled.
 */
function answering(parts: Iterable<Uint8Array>, init: ResponseInit = {}) {
  const seen = { requests: [] as Request[], parts: 0, cancelled: false };
  const iterator = parts[Symbol.iterator]();
  vi.stubGlobal("fetch", async (...given: ConstructorParameters<typeof Request>) => {
    seen.requests.push(new Request(...given));
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          const { done, value } = iterator.next();
          if (done === true) return controller.close();
          seen.parts += 1;
          controller.enqueue(value);
        },
        cancel() {
          seen.cancelled = true;
        },
      },
      { highWaterMark: 0 },
    );
    return new Response(body, init);
  });
  return seen;
}

function* endless(bytes: number): Generator<Uint8Array> {
  for (;;) yield new Uint8Array(bytes).fill(0x61);
}

test("a request goes to fetch as it is, follows no redirect, and its answer comes back", async () => {
  const seen = answering([new TextEncoder().encode('{"ok":true}')], { status: 302, headers: { "Retry-After": "2" } });
  const answer = await createFetchTransport()(REQUEST, signal);
  expect(answer).toEqual({
    status: 302,
    headers: expect.objectContaining({ "retry-after": "2" }),
    body: '{"ok":true}',
  });
  const [request] = seen.requests;
  expect([request?.method, request?.url, request?.redirect, request?.headers.get("x-a")]).toEqual([
    "POST",
    REQUEST.url,
    "manual",
    "b",
  ]);
  expect(await request?.text()).toBe("äb");
});

test("a GET has no body: fetch would refuse it", async () => {
  const seen = answering([]);
  expect(await createFetchTransport()({ ...REQUEST, method: "GET", body: [] }, signal)).toMatchObject({ body: "" });
  expect(seen.requests[0]?.body).toBeNull();
});

test("an answer without a body is empty", async () => {
  vi.stubGlobal("fetch", async () => new Response(null, { status: 204 }));
  expect(await createFetchTransport()(REQUEST, signal)).toEqual({ status: 204, headers: {}, body: "" });
});

test("an answer of 256 KiB is read to its end; of an endless one that much, cut, and the rest is cancelled", async () => {
  const whole = answering([new Uint8Array(LIMIT - 1).fill(0x61), new Uint8Array(1).fill(0x62)]);
  const answer = await createFetchTransport()(REQUEST, signal);
  expect([answer.body.length, answer.body.at(-1), answer.cut]).toEqual([LIMIT, "b", undefined]);
  expect(whole.cancelled).toBe(false);
  const long = answering(endless(100 * KIB));
  const cut = await createFetchTransport()(REQUEST, signal);
  expect([cut.status, cut.body.length, cut.cut]).toEqual([200, LIMIT, true]);
  expect([long.parts, long.cancelled]).toEqual([3, true]);
});

test("the limit is in bytes, a character may come in two parts, and one that is cut does not break the text", async () => {
  const [first = 0, second = 0] = new TextEncoder().encode("ä");
  answering([Uint8Array.of(0x61, first), Uint8Array.of(second, 0x62)]);
  expect(await createFetchTransport(4)(REQUEST, signal)).toMatchObject({ body: "aäb" });
  answering([Uint8Array.of(0x61, first), Uint8Array.of(second, 0x62)]);
  expect(await createFetchTransport(2)(REQUEST, signal)).toMatchObject({ body: "a", cut: true });
});

test("the host of createClient reads 256 KiB of an answer, that of the vendors' clients 16 MiB", async () => {
  answering(endless(1024 * KIB));
  expect((await createHost().runtime.transport(REQUEST, signal)).body.length).toBe(LIMIT);
  answering(endless(1024 * KIB));
  expect((await createVendorHost().runtime.transport(REQUEST, signal)).body.length).toBe(16 * 1024 * KIB);
});

test("no answer is an error that may be tried again, with the origin alone; a stream that breaks is none either", async () => {
  vi.stubGlobal("fetch", async () => {
    throw new TypeError("Failed to fetch");
  });
  await expect(createFetchTransport()(REQUEST, signal)).rejects.toMatchObject({
    code: "WAYBILL_TRANSPORT",
    retryable: true,
    message: "no answer from http://a.test: Failed to fetch",
  });
  await expect(createFetchTransport()({ ...REQUEST, url: "/events?key=1" }, signal)).rejects.toMatchObject({
    code: "WAYBILL_TRANSPORT",
    message: "no answer from this origin: Failed to fetch",
  });
  function* broken(): Generator<Uint8Array> {
    yield Uint8Array.of(0x61);
    throw new Error("connection lost");
  }
  answering(broken());
  await expect(createFetchTransport()(REQUEST, signal)).rejects.toMatchObject({ code: "WAYBILL_TRANSPORT" });
});

test("what HTTP does not take is refused before fetch, as by every transport", async () => {
  const seen = answering([]);
  const transport = createFetchTransport();
  for (const [request, text] of [
    [{ ...REQUEST, headers: { "x-a": "b\r\nc: d" } }, "the value of the header x-a"],
    [{ ...REQUEST, headers: { "content-length": "5" } }, "content-length may not be set"],
    [{ ...REQUEST, url: "http://[" }, "the URL is not valid"],
  ] as const)
    await expect(transport(request, signal)).rejects.toMatchObject({
      code: "WAYBILL_TRANSPORT",
      reason: "invalid_request",
      retryable: false,
      message: expect.stringContaining(text),
    });
  expect(seen.requests).toEqual([]);
});
