import {
  createUuidV7,
  ERROR_CODES,
  JsonScanner,
  nearest,
  resolveOptions,
  uuidV7TimeMs,
  WaybillError,
} from "@waybill/core";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import fc from "fast-check";
import { expect, test } from "vitest";

test("ids are UUIDv7, name their time, and sort as they were made, also when the clock stops or steps back", async () => {
  const clock = new VirtualClock();
  const makeId = createUuidV7(clock, new SeededRandom(1));
  const ids: string[] = [];
  for (let round = 0; round < 20; round++) {
    for (let index = 0; index < 500; index++) ids.push(makeId());
    if (round % 5 === 4) clock.jump(-5_000);
    else await clock.advance(3);
  }
  expect(new Set(ids).size).toBe(ids.length);
  expect([...ids].sort()).toEqual(ids);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(uuidV7TimeMs(ids[0] as string)).toBe(new VirtualClock().now());
  expect(uuidV7TimeMs("6ba7b810-9dad-11d1-80b4-00c04fd430c8")).toBeUndefined();
});

test.each([
  ["flusAt", "flushAt"],
  ["writekey", "writeKey"],
  ["onDorp", "onDrop"],
  ["completelyDifferent", undefined],
])("the nearest name of %s is %s", (given, wanted) => {
  expect(nearest(given, ["flushAt", "flushBytes", "writeKey", "onDrop"])).toBe(wanted);
});

test("options are checked all at once, unknown ones named with the nearest", () => {
  interface Options {
    readonly count: number;
    readonly mode: string;
    readonly name: string;
  }
  const resolve = (given: object): Options =>
    resolveOptions<Options>(
      "make",
      given,
      {
        count: { min: 1, max: 9 },
        mode: ["a", "b"],
        name: "required",
      },
      { count: 5, mode: "a" },
    );
  expect(resolve({ name: "n" })).toEqual({ count: 5, mode: "a", name: "n" });
  expect(() => resolve({ cuont: 1, mode: "c", count: 1.5 })).toThrow(
    'make: unknown option "cuont"; did you mean "count"?; option "count" is 1.5; it must be a whole number from 1 to 9; option "mode" is "c"; it must be one of "a", "b"; option "name" is required: a string that is not empty',
  );
});

test("an option that is an address is one of http or https, and options are an object", () => {
  const resolve = (given: unknown): { url?: string } =>
    resolveOptions<{ url?: string }>("make", given as object, { url: "url" }, {});
  expect(resolve({ url: "https://u:p@host/path?a" })).toEqual({ url: "https://u:p@host/path?a" });
  expect(resolve({})).toEqual({});
  for (const url of ["localhost:3", "ftp://x", "/path", "http://[", ""])
    expect(() => resolve({ url })).toThrow(`make: option "url" is "${url}"; it must be an http or https URL`);
  expect(() => resolve({ url: 5 })).toThrow('make: option "url" is 5; it must be an http or https URL');
  expect(() => resolve(undefined)).toThrow("make: the options are undefined; they must be an object");
});

test("errors carry a code of the table and are known across copies of the package", () => {
  const error = new WaybillError("WAYBILL_LOG_FULL", "full", { retryable: true, reason: "ENOSPC" });
  expect(error).toMatchObject({ code: "WAYBILL_LOG_FULL", retryable: true, reason: "ENOSPC" });
  expect(ERROR_CODES[error.code]).toContain("room");
  expect({ [Symbol.for("waybill.error")]: true } instanceof WaybillError).toBe(true);
  expect(new Error("x") instanceof WaybillError).toBe(false);
});

const whole = (text: string): boolean => {
  const bytes = Buffer.from(text);
  const scanner = new JsonScanner(bytes, { allowNonFinite: false });
  const end = scanner.value(scanner.space(0));
  return end >= 0 && scanner.space(end) === bytes.length;
};

test("the scanner takes what JSON.parse takes, at any alignment in memory", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), fc.nat(7), (text, shift) => {
      const padded = Buffer.concat([Buffer.alloc(shift), Buffer.from(text), Buffer.alloc(9, 0x22)]);
      const bytes = padded.subarray(shift, padded.length - 9);
      const scanner = new JsonScanner(bytes, { allowNonFinite: false });
      expect(scanner.value(scanner.space(0))).toBe(Buffer.from(text.trimEnd()).length);
    }),
  );
});

test("the scanner refuses what JSON.parse refuses", () => {
  for (const text of [
    "",
    " ",
    "{",
    "}",
    "[1,]",
    '{"a":1,}',
    "01",
    "1.",
    ".5",
    "1e",
    "-",
    "+1",
    "tru",
    "nul",
    '"\u0001"',
    '"\\x"',
    '"\\u12g4"',
    '"open',
    "[1 2]",
    '{"a" 1}',
    "{a:1}",
    "NaN",
    "[1]]",
  ])
    expect(whole(text), text).toBe(false);
  for (const text of ["0", "-0.5e-3", '""', '"\\u00e9\\n"', "[]", "{}", ' [ 1 , {"a" : [ ] } ] ', "true"])
    expect(whole(text), text).toBe(true);
});

test("deep nesting is refused, not overflowed", () => {
  expect(whole("[".repeat(100_000))).toBe(false);
  expect(whole("[".repeat(250) + "]".repeat(250))).toBe(true);
});
