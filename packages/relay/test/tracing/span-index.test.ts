import type { SpanContext } from "@opentelemetry/api";
import { expect, test } from "vitest";
import { SpanIndex } from "../../src/tracing/span-index.ts";

const span = (id: number): SpanContext => ({
  traceId: String(id).padStart(32, "0"),
  spanId: String(id).padStart(16, "0"),
  traceFlags: 1,
});
const idsOf = ({ spans }: ReturnType<SpanIndex["of"]>): readonly number[] => spans.map(({ spanId }) => Number(spanId));

test("events find the requests that brought them, each once, whatever the order they were noted in", () => {
  const index = new SpanIndex();
  for (const [first, id] of [
    [10, 2],
    [0, 1],
    [30, 4],
    [20, 3],
  ] as const)
    index.note({ first, count: 10 }, span(id));
  const found = index.of(
    [
      { first: 5, count: 10 },
      { first: 35, count: 5 },
    ],
    32,
  );
  expect([idsOf(found), found.isWhole]).toEqual([[1, 2, 4], true]);
  expect(index.of([{ first: 19, count: 1 }], 32)).toMatchObject({ spans: [span(2)], isWhole: true });
});

test("events of before the process, or of a request without a trace, leave the answer incomplete", () => {
  const index = new SpanIndex();
  index.note({ first: 10, count: 5 }, span(1));
  expect(index.of([{ first: 0, count: 12 }], 32)).toMatchObject({ spans: [span(1)], isWhole: false });
  expect(index.of([{ first: 20, count: 1 }], 32)).toEqual({ spans: [], isWhole: false });
  expect(index.of([], 32)).toEqual({ spans: [], isWhole: true });
});

test("at most so many are found, and at most so many are remembered, the newest", () => {
  const index = new SpanIndex();
  for (let first = 0; first < 25_000; first++) index.note({ first, count: 1 }, span(first));
  expect(idsOf(index.of([{ first: 24_000, count: 100 }], 3))).toEqual([24_000, 24_001, 24_002]);
  expect(index.of([{ first: 24_000, count: 100 }], 3).isWhole).toBe(false);
  expect(index.of([{ first: 0, count: 14_000 }], 32).spans).toEqual([]);
  expect(idsOf(index.of([{ first: 20_001, count: 1 }], 32))).toEqual([20_001]);
});
