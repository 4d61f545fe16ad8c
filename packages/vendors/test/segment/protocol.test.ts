import { type HttpResponse, TextBatch } from "@waybill/core";
import { SegmentEmulator } from "@waybill/testing";
import { testVendor } from "@waybill/testing/suites";
import { classifySegment, segmentProtocol } from "@waybill/vendors";
import { adapterOf } from "@waybill/vendors/registry";
import { expect, test } from "vitest";

const library = { name: "waybill-test", version: "1.2.3" };

testVendor("segment", {
  origin: "http://segment.test",
  adapter: adapterOf("segment"),
  url: "http://segment.test/",
  emulator(clock) {
    const emulator = new SegmentEmulator({ clock, writeKeys: ["right"] });
    return {
      handle: emulator.handle,
      fail: (failure) => emulator.fail(failure),
      ids: () => emulator.events.map(({ messageId }) => messageId),
    };
  },
  event: (messageId, bytes = 0) => {
    const start = `{"type":"track","messageId":"${messageId}","event":"E","userId":"u","p":"`;
    return `${start}${"x".repeat(Math.max(0, bytes - start.length - 2))}"}`;
  },
});

const batchOf = (texts: readonly string[], metadata = ""): TextBatch =>
  new TextBatch({ key: "k", metadata, oldestAtMs: 0, texts, sizes: texts.map((text) => text.length) });
const answer = (status: number, more: Partial<HttpResponse> = {}): HttpResponse => ({
  status,
  headers: {},
  body: "",
  ...more,
});

test("the request is a batch with the metadata beside it, sentAt in the sender's clock, and the key as Basic", () => {
  const protocol = segmentProtocol({ writeKey: "key", library });
  const request = protocol.request(batchOf(["{}", "[1]"], '{"context":{"a":1},"skewMs":5000}'), Date.UTC(2026, 0, 1));
  expect(request.url).toBe("https://api.segment.io/v1/batch");
  expect(request.body.join("")).toBe('{"batch":[{},[1]],"sentAt":"2025-12-31T23:59:55.000Z","context":{"a":1}}');
  expect(request.headers).toEqual({
    authorization: `Basic ${btoa("key:")}`,
    "content-type": "application/json",
    "user-agent": "waybill-test/1.2.3",
  });
});

test.each([
  [200, "delivered"],
  [201, "delivered"],
  [301, "retryable"],
  [304, "retryable"],
  [400, "split"],
  [401, "halted"],
  [403, "halted"],
  [404, "halted"],
  [405, "halted"],
  [408, "retryable"],
  [410, "retryable"],
  [413, "split"],
  [422, "split"],
  [429, "retryable"],
  [460, "retryable"],
  [500, "retryable"],
  [503, "retryable"],
  [511, "retryable"],
])("an answer of %i means %s", (status, meaning) => {
  const verdict = classifySegment(answer(status), batchOf(["{}", "{}"]), 0);
  expect("split" in verdict ? "split" : verdict.map((outcome) => outcome.status)).toEqual(
    meaning === "split" ? "split" : [meaning, meaning],
  );
});

test.each([
  ["7", 7_000],
  ["1.5", 1_500],
  // No wait is requested: the backoff holds.
  ["0", undefined],
  ["Wed, 31 Dec 1969 23:59:30 GMT", undefined],
  ["Thu, 01 Jan 1970 00:00:30 GMT", 30_000],
  ["soon", undefined],
  ["-3", undefined],
  ["99999999", undefined],
])("Retry-After %s is a wait of %s ms", (text, wait) => {
  const verdict = classifySegment(answer(429, { headers: { "retry-after": text } }), batchOf(["{}"]), 0);
  expect(verdict).toMatchObject([{ status: "retryable" }]);
  expect((verdict as readonly { retryAfterMs?: number }[])[0]?.retryAfterMs).toBe(wait);
});

test.each([
  [429, { "x-ratelimit-reset": "3" }, 3_000],
  [429, { "x-ratelimit-reset": "3", "retry-after": "0" }, 3_000],
  // Vendors have it in all their answers: it says nothing of a failure.
  [500, { "x-ratelimit-reset": "3" }, undefined],
  [503, { "x-ratelimit-reset": "3", "retry-after": "2" }, 2_000],
])("X-RateLimit-Reset counts where a 429 has no Retry-After: %s %o", (status, headers, wait) => {
  const verdict = classifySegment(answer(status, { headers }), batchOf(["{}"]), 0);
  expect((verdict as readonly { retryAfterMs?: number }[])[0]?.retryAfterMs).toBe(wait);
});

test("a relay's list of refused events rejects those and no other", () => {
  const body = JSON.stringify({
    success: true,
    rejected: [{ index: 1, code: "unknown_type", message: "no" }, { index: 9 }, null],
  });
  expect(classifySegment(answer(200, { body }), batchOf(["{}", "{}", "{}"]), 0)).toEqual([
    { status: "delivered" },
    { status: "rejected", reason: "unknown_type: no" },
    { status: "delivered" },
  ]);
});

test("the reason says what the vendor said", () => {
  const verdict = classifySegment(
    answer(400, { body: '{"code":"invalid_json","message":"at 7"}' }),
    batchOf(["{}"]),
    0,
  );
  expect(verdict).toEqual({ split: true, reason: "400 invalid_json: at 7" });
});

test("a relay's further refusals, named by their places alone, are not taken for deliveries", () => {
  const batch = batchOf(Array.from({ length: 10 }, () => "{}"));
  const body = (rejectedMore: unknown): string =>
    JSON.stringify({ success: true, rejected: [{ index: 0, code: "c", message: "m" }], rejectedMore });
  const rejectedAt = (more: unknown): number[] => {
    const verdict = classifySegment(answer(200, { body: body(more) }), batch, 0);
    return "split" in verdict ? [] : verdict.flatMap(({ status }, index) => (status === "rejected" ? [index] : []));
  };
  expect(rejectedAt("2+3,7+1")).toEqual([0, 2, 3, 4, 7]);
  expect(rejectedAt("8+999999999,20+4,x,1+")).toEqual([0, 8, 9]);
  expect(rejectedAt(5)).toEqual([0]);
});
