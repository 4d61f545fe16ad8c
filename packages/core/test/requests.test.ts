import { headerFromEvent, isHttpStatus, pathSegmentFromEvent, requestFault } from "@waybill/core";
import fc from "fast-check";
import { expect, test } from "vitest";

const request = (headers: Readonly<Record<string, string>>, url = "https://vendor.test/v1"): never =>
  ({ method: "POST", url, headers, body: [] }) as never;

test("what HTTP takes passes", () => {
  expect(requestFault(request({ authorization: "Bearer a b\tc", "x-": "ÿ" }))).toBeUndefined();
  expect(requestFault(request({ "content-type": "" }))).toBeUndefined();
  // A browser resolves it against its page.
  expect(requestFault(request({}, "/v1/batch"))).toBeUndefined();
  expect(requestFault(request({}, "https://"), "https://")).toBeUndefined();
});

test("any value is either taken, and then Node takes it too, or refused without being quoted", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (value) => {
      const fault = requestFault(request({ "x-key": value }));
      if (fault === undefined) expect(() => new Headers({ "x-key": value })).not.toThrow();
      else expect(fault).toBe("the value of the header x-key has a character that HTTP does not allow");
    }),
  );
});

test("a header from an event is its value, or blames the event", () => {
  expect(headerFromEvent("idempotency-key", "order 7/ÿ")).toBe("order 7/ÿ");
  for (const value of ["a\nb", "a\u0000", "€", "x".repeat(5_000), undefined, null, 5, {}])
    expect(() => headerFromEvent("idempotency-key", value)).toThrow(expect.objectContaining({ code: "WAYBILL_EVENT" }));
  expect(() => headerFromEvent("a b", "x")).toThrow(expect.objectContaining({ code: "WAYBILL_EVENT" }));
});

test("a segment of a path from an event stays one segment, or blames the event", () => {
  for (const value of ["", ".", "..", "\ud800", "x".repeat(5_000), undefined, {}])
    expect(() => pathSegmentFromEvent("user id", value)).toThrow(expect.objectContaining({ code: "WAYBILL_EVENT" }));
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (value) => {
      let segment: string;
      try {
        segment = pathSegmentFromEvent("user id", value);
      } catch {
        return;
      }
      const url = new URL(`https://vendor.test/users/${segment}/x`);
      expect(url.pathname.split("/")).toHaveLength(4);
      expect(decodeURIComponent(url.pathname.split("/")[2] as string)).toBe(value);
      expect(url.search + url.hash).toBe("");
    }),
  );
});

test("the statuses of final answers", () => {
  expect([200, 204, 302, 404, 599].every(isHttpStatus)).toBe(true);
  expect([0, 99, 100, 199, 600, 999, 200.5, Number.NaN, "200", undefined].some(isHttpStatus)).toBe(false);
});
