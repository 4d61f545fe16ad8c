/** Batches as the client library writes and reads them are those that are written and read here. */
import * as library from "@platformatic/kafka";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeBatches, encodeBatch } from "../src/kafka/record-batches.ts";

const values = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 200 });

test("any values come back, with offsets one after another", () => {
  fc.assert(
    fc.property(values, fc.nat(), (written, from) => {
      const decoded = decodeBatches(
        encodeBatch({ values: written }, { nowMs: 1_700_000_000_000 }, library),
        from % written.length,
        library,
      );
      expect(decoded.next).toBe(written.length);
      expect(decoded.records.map(({ value }) => [...value])).toEqual(
        written.slice(from % written.length).map((value) => [...value]),
      );
      expect(decoded.records[0]?.offset).toBe(from % written.length);
    }),
  );
});

test("the library reads what is written here, and the other way round", () => {
  const written = [Buffer.from("one"), Buffer.alloc(0), Buffer.alloc(70_000, 7)];
  const batch = encodeBatch({ values: written }, { nowMs: 1234 }, library);
  const [read] = library.readRecordsBatches(library.Reader.from(batch));
  expect(read?.records.map(({ value }) => value)).toEqual(written);
  expect([read?.firstTimestamp, read?.maxTimestamp, read?.lastOffsetDelta]).toEqual([1234n, 1234n, 2]);
  expect(library.crc32c(new library.DynamicBuffer(batch.subarray(21)))).toBe(read?.crc);
  for (const compression of ["none", "gzip"] as const) {
    const messages = written.map((value) => ({ topic: "t", value, timestamp: 1234n }));
    const other = library.createRecordsBatch(messages, { compression }).buffer;
    const { records } = decodeBatches(other, 0, library);
    expect(records.map(({ value }) => Buffer.from(value))).toEqual(written);
    expect(records.map(({ offset, appendedAtMs }) => [offset, appendedAtMs])).toEqual([
      [0, 1234],
      [1, 1234],
      [2, 1234],
    ]);
  }
});

test("keys are written and read as the library does; an empty value with a key is none", () => {
  const values = [Buffer.from("one"), Buffer.alloc(0), Buffer.alloc(300, 7)];
  const keys = ["a", "é".repeat(200), ""];
  const batch = encodeBatch({ values, keys }, { nowMs: 1234 }, library);
  const [read] = library.readRecordsBatches(library.Reader.from(batch));
  expect(read?.records.map(({ key, value }) => [key?.toString(), value])).toEqual([
    ["a", values[0]],
    [keys[1], values[1]],
    ["", values[2]],
  ]);
  // The length of the value that is not there, and no headers.
  expect(batch.includes(Buffer.from(`${keys[1]}\u0001\u0000`))).toBe(true);
  const own = decodeBatches(batch, 0, library).records;
  expect(own.map(({ key, value }) => [key, Buffer.from(value)])).toEqual(keys.map((key, at) => [key, values[at]]));
  const messages = [{ topic: "t", key: Buffer.from("k"), value: Buffer.from("v"), timestamp: 1n }];
  const theirs = decodeBatches(library.createRecordsBatch(messages, {}).buffer, 0, library).records;
  expect(theirs.map(({ key }) => key)).toEqual(["k"]);
});

test("marks of transactions are passed over, and their offsets are", () => {
  const mark = Buffer.from(encodeBatch({ values: [Buffer.from("mark")] }, { nowMs: 0 }, library));
  mark.writeInt16BE(0b11_0000, 21);
  mark.writeUInt32BE(library.crc32c(new library.DynamicBuffer(mark.subarray(21))), 17);
  expect(decodeBatches(mark, 0, library)).toEqual({ records: [], next: 1 });
});

test("each cut is nothing, or the batches before it", () => {
  const batch = encodeBatch({ values: [Buffer.from("a"), Buffer.from("b")] }, { nowMs: 0 }, library);
  for (let cut = 0; cut < batch.length; cut++)
    expect(decodeBatches(batch.subarray(0, cut), 0, library)).toEqual({ records: [], next: undefined });
});
