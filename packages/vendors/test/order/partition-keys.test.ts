/** By what events are put into partitions. */
import { orderHash, partitionKeysOf } from "@waybill/vendors/registry";
import { expect, test } from "vitest";

function keysOf(events: readonly object[], metadata = ""): readonly number[] {
  const texts = events.map((event) => JSON.stringify(event));
  let end = -1;
  const ends = Uint32Array.from(texts, (text) => (end += 1 + Buffer.byteLength(text)));
  return [...partitionKeysOf({ body: Buffer.from(texts.join(",")), ends, metadata })];
}

test("an event goes by its user, else its anonymous id, else its own id", () => {
  const events = [
    { type: "track", event: "x", messageId: "m-1", userId: "user-1", anonymousId: "a" },
    { type: "track", event: "x", messageId: "m-2", anonymousId: "a" },
    { type: "track", event: "x", messageId: "m-3" },
  ];
  expect(keysOf(events)).toEqual([orderHash("user-1"), orderHash("a"), orderHash("m-3")]);
});

test("one without any id goes by its bytes, and a copy of it goes the same way", () => {
  const [one, other, copy] = keysOf([{ event: "x" }, { event: "y" }, { event: "x" }]);
  expect(one).toBe(orderHash('{"event":"x"}'));
  expect(copy).toBe(one);
  expect(other).not.toBe(one);
});

test("the keys never change: another one would put copies and later events elsewhere", () => {
  const track = { type: "track", event: "x" };
  const messageId = "0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa";
  expect(
    keysOf([
      { ...track, userId: "user-1" },
      { ...track, messageId },
    ]),
  ).toEqual([2_005_895_916, 2_126_468_171]);
  expect(keysOf([{ properties: { distinct_id: "user-1" }, uuid: "u" }, { uuid: "12345" }], "posthog")).toEqual([
    2_005_895_916, 1_900_009_723,
  ]);
});

test.each(["", "posthog", "amplitude", "mixpanel", "launchdarkly", "nobody", "letter", "trophy"])(
  "bytes that are not events of %s have keys as well",
  (metadata) => {
    const body = Buffer.from('{"a":,[[[');
    const keys = partitionKeysOf({ body, ends: Uint32Array.of(5, body.length), metadata });
    expect([...keys].every((key) => key > 0)).toBe(true);
  },
);
