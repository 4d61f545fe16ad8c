/** Receipts as they are written and read: of the disk, and of Kafka. */
import { expect, test } from "vitest";
import { parseRanges, printReceipt, type ReceiptRange, splitReceipt } from "../src/receipt.ts";

test.each<[string, readonly ReceiptRange[]]>([
  ["production/1841+2", [{ position: 1841, count: 2 }]],
  [
    "production/1841+2,57+1",
    [
      { position: 1841, count: 2 },
      { position: 57, count: 1 },
    ],
  ],
  ["production/3@1841+2", [{ partition: 3, offset: 1841, index: 0, count: 2 }]],
  [
    "production/3@1841+2,11@7+1,3@1842.4+1",
    [
      { partition: 3, offset: 1841, index: 0, count: 2 },
      { partition: 11, offset: 7, index: 0, count: 1 },
      { partition: 3, offset: 1842, index: 4, count: 1 },
    ],
  ],
])("%s is read as it is written", (text, ranges) => {
  const receipt = splitReceipt(text);
  expect(receipt?.environment).toBe("production");
  expect(parseRanges(receipt?.positions ?? "")).toEqual(ranges);
  expect(printReceipt("production", ranges)).toBe(text);
});

test("a count may be left out for one event", () => {
  expect(parseRanges("1841")).toEqual([{ position: 1841, count: 1 }]);
  expect(parseRanges("3@1841.2")).toEqual([{ partition: 3, offset: 1841, index: 2, count: 1 }]);
});

test("a position on Kafka is that of a partition, as a trace names it", () => {
  expect(splitReceipt("production/3/1841+1")).toEqual({ environment: "production/3", positions: "1841+1" });
  expect(splitReceipt("production/3/1841")).toEqual({ environment: "production/3", positions: "1841" });
});

test("positions that follow each other are one range, and there are at most 64", () => {
  const positions = [5, 6, 7, 2, 3, 9].map((position) => ({ position, count: 1 }));
  expect(printReceipt("e", positions)).toBe("e/5+3,2+2,9+1");
  const scattered = Array.from({ length: 70 }, (_, index) => ({ position: 2 * index, count: 1 }));
  const printed = printReceipt("e", [...scattered, { position: 1_000, count: 5 }]) ?? "";
  expect(printed.split(",")).toHaveLength(64);
  expect(printed).toMatch(/,126\+1;more=11$/);
  expect(parseRanges(splitReceipt(printed)?.positions ?? "")).toHaveLength(64);
  expect(printReceipt("e", [])).toBeUndefined();
  // Records are not joined: each has its own offset.
  const records = [1, 2].map((offset) => ({ partition: 0, offset, count: 3 }));
  expect(printReceipt("e", records)).toBe("e/0@1+3,0@2+3");
});

test.each([
  "production",
  "production/",
  "production/x",
  "production/1+",
  "production/1,",
  "production/@1+2",
  "production/3@+2",
  "production/3@1.+2",
  "production/3@1.2.3",
  "Production/1+2",
  "a/b/1+2",
  "production/1234567890123456",
  "0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa",
])("%s is none", (text) => {
  expect(splitReceipt(text)).toBeUndefined();
});
