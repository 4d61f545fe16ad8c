/** Which partition an event goes to, and an entry as one for each. */
import type { Entry } from "@waybill/log";
import { type KeysOf, partitionOf, partsOf } from "@waybill/log-kafka";
import { orderHash } from "@waybill/vendors/registry";
import { expect, test } from "vitest";
import { entryOf, eventsOf } from "./lib/entries.ts";

const PARTITIONS = 12;

/** The event is its own key. */
const byEvent: KeysOf = ({ body, ends }) =>
  Uint32Array.from(ends, (end, index) =>
    orderHash(Buffer.from(body).toString("utf8", index === 0 ? 0 : (ends[index - 1] ?? 0) + 1, end)),
  );

test("a key's partition never changes: another one would break order and hide duplicates", () => {
  const ids = ["user-1", "user-2", "a", "12345", "true", "0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa", "用户", "😀", ""];
  const partitions = (count: number): readonly number[] => ids.map((id) => partitionOf(orderHash(id), count));
  expect(partitions(1)).toEqual(ids.map(() => 0));
  expect(partitions(12)).toEqual([5, 2, 1, 5, 4, 5, 0, 2, 8]);
  expect(partitions(1_000)).toEqual([467, 198, 103, 442, 399, 495, 21, 199, 668]);
});

test("the smallest and the largest hash are in the first and the last partition", () => {
  for (const count of [1, 3, 12, 1_000]) {
    expect(partitionOf(1, count)).toBe(0);
    expect(partitionOf(2 ** 32 - 1, count)).toBe(count - 1);
  }
});

test("the events of a partition are spread over all strands of a lane", () => {
  const ids = 100_000;
  const strands = 4;
  const counts = Array.from({ length: PARTITIONS }, () => new Array<number>(strands).fill(0));
  for (let index = 0; index < ids; index++) {
    const hash = orderHash(`user-${index}`);
    const row = counts[partitionOf(hash, PARTITIONS)] as number[];
    row[hash % strands] = (row[hash % strands] as number) + 1;
  }
  const even = ids / PARTITIONS / strands;
  for (const count of counts.flat()) expect(Math.abs(count / even - 1)).toBeLessThan(0.15);
});

test("an entry of one partition is passed on as it is", () => {
  const entry = entryOf(["a", "a", "a"]);
  expect(partsOf(entry, PARTITIONS, byEvent)).toEqual([{ partition: 1, entry, indexes: undefined }]);
  expect(partsOf(entry, PARTITIONS, byEvent)[0]?.entry).toBe(entry);
});

test("every event is in the part of its partition, once, in the order of the request", () => {
  const events = Array.from({ length: 200 }, (_, index) => `user-${index % 37}`);
  const entry: Entry = { ...entryOf(events), metadata: "posthog", source: "web", receivedAtMs: 7 };
  const parts = partsOf(entry, PARTITIONS, byEvent);
  expect(new Set(parts.map(({ partition }) => partition)).size).toBe(parts.length);
  const seen: number[] = [];
  for (const { partition, entry: part, indexes = new Uint32Array() } of parts) {
    expect(part).toMatchObject({ metadata: "posthog", source: "web", receivedAtMs: 7 });
    expect(eventsOf(part)).toEqual([...indexes].map((index) => events[index]));
    expect([...indexes]).toEqual([...indexes].sort((a, b) => a - b));
    for (const event of eventsOf(part)) expect(partitionOf(orderHash(event), PARTITIONS)).toBe(partition);
    seen.push(...indexes);
  }
  expect(seen.sort((a, b) => a - b)).toEqual(events.map((_, index) => index));
});

test("a body in several pieces is one", () => {
  const whole = entryOf(["a", "user-1", "a", "user-2"]);
  const [bytes] = whole.body as [Uint8Array];
  const pieces = { ...whole, body: [bytes.subarray(0, 3), bytes.subarray(3, 9), bytes.subarray(9)] };
  const shown = (entry: Entry): unknown =>
    partsOf(entry, PARTITIONS, byEvent).map(({ partition, entry: part }) => [partition, eventsOf(part)]);
  expect(shown(pieces)).toEqual(shown(whole));
  expect(shown(whole)).toEqual([
    [1, ["a", "a"]],
    [5, ["user-1"]],
    [2, ["user-2"]],
  ]);
});
