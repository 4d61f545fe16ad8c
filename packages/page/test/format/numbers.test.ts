import { expect, test } from "vitest";
import { counted, fullCount, percent, shortBytes, shortCount, shortRate } from "../../src/format/numbers.ts";

test("counts are whole up to a million and short beyond, and the title has all digits", () => {
  expect(shortCount(0)).toBe("0");
  expect(shortCount(18_220)).toBe("18,220");
  expect(shortCount(999_999)).toBe("999,999");
  expect(shortCount(4_213_842)).toBe("4.214M");
  expect(fullCount(4_213_842)).toBe("4,213,842");
});

test("one event is singular, all other numbers are plural", () => {
  expect(counted(1, "event")).toBe("1 event");
  expect(counted(0, "event")).toBe("0 events");
  expect(counted(3, "selected", "selected")).toBe("3 selected");
});

test("a rate that is not nothing is never shown as nothing", () => {
  expect(shortRate(0)).toBe("0");
  expect(shortRate(0.001)).toBe("<0.01");
  expect(shortRate(0.25)).toBe("0.25");
  expect(shortRate(4.25)).toBe("4.3");
  expect(shortRate(1_204.4)).toBe("1,204");
});

test("bytes have the largest unit that leaves a whole part", () => {
  expect(shortBytes(312)).toBe("312 B");
  expect(shortBytes(1_024)).toBe("1 KiB");
  expect(shortBytes(1_258_291)).toBe("1.2 MiB");
  expect(shortBytes(10 * 1_024 ** 3)).toBe("10 GiB");
});

test("a part is never none when there is some, nor all when something is missing", () => {
  expect(percent(0, 10)).toBe("0%");
  expect(percent(10, 10)).toBe("100%");
  expect(percent(1, 1_000_000)).toBe("<0.1%");
  expect(percent(999_999, 1_000_000)).toBe(">99.9%");
  expect(percent(1, 3)).toBe("33.3%");
  expect(percent(0, 0)).toBe("0%");
});
