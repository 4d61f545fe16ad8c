import { expect, test } from "vitest";
import { createTailBuffer } from "../../src/model/tail-buffer.ts";

const text = (position: number): string => JSON.stringify({ position });
const positionsOf = (buffer: ReturnType<typeof createTailBuffer>): readonly number[] =>
  buffer.view().rows.map(({ event }) => event.position);

test("the newest are shown, newest first, and all are counted", () => {
  const buffer = createTailBuffer(3);
  for (let position = 0; position < 100; position += 1) buffer.add(text(position));
  expect(positionsOf(buffer)).toEqual([99, 98, 97]);
  buffer.add(text(100));
  expect(positionsOf(buffer)).toEqual([100, 99, 98]);
  expect(buffer.view().seen).toBe(101);
});

test("each row has a key of its own over all draws", () => {
  const buffer = createTailBuffer(4);
  buffer.add(text(1));
  buffer.view();
  buffer.add(text(2));
  const keys = buffer.view().rows.map(({ key }) => key);
  expect(new Set(keys).size).toBe(2);
});

test("what the relay skipped is counted, and a text that is never shown is never parsed", () => {
  const buffer = createTailBuffer(1);
  buffer.add("not JSON");
  buffer.add(text(2));
  buffer.skip(40);
  buffer.skip(2);
  expect(buffer.view()).toMatchObject({ seen: 2, skipped: 42 });
});
