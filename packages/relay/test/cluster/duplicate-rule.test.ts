import { decodeValue, encodeValue, type StoredRecord } from "@waybill/log-kafka";
import { expect, test } from "vitest";
import { duplicateRule } from "../../src/cluster/duplicate-rule.ts";

const WORDS = 4;

test("an event without an id has none, whatever record came before", () => {
  const { idsOf } = duplicateRule("production", { windowMs: 1_000, maxIds: 10 });
  const [first, second] = hashesOf(idsOf, ["a", "b"]);
  expect(first).not.toEqual(second);
  expect(hashesOf(idsOf, [undefined, "a"])).toEqual([NONE, first]);
  expect(hashesOf(idsOf, ["b", undefined, ...Array.from({ length: 20 }, () => "a")])[0]).toEqual(second);
  expect(hashesOf(idsOf, [undefined])).toEqual([NONE]);
});

const NONE = Array.from({ length: WORDS }, () => 0);

function hashesOf(
  idsOf: (record: StoredRecord) => Uint32Array,
  ids: readonly (string | undefined)[],
): readonly (readonly number[])[] {
  const events = ids.map((messageId) => JSON.stringify({ type: "track", userId: "u", messageId }));
  const ends = new Uint32Array(events.map((_, index) => events.slice(0, index + 1).join(",").length));
  const body = [Buffer.from(events.join(","))];
  const record = decodeValue(encodeValue({ source: "site", receivedAtMs: 1, metadata: "", body, ends }));
  const words = idsOf(record as StoredRecord);
  return ids.map((_, index) => Array.from(words.subarray(WORDS * index, WORDS * (index + 1))));
}
