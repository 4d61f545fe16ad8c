import { expect, test } from "vitest";
import { abandoned, pacedLimits, parseReplay } from "../../src/delivery/stored-replay.ts";

const STORED = { ...abandoned("r", 5), choice: { deadLetters: { reason: "x", deadLetterIds: [1, 2] } } };

test("a replay of dead letters is read as it was written", () => {
  expect(parseReplay(JSON.parse(JSON.stringify(STORED)), "r")).toEqual(STORED);
});

test("a replay that an earlier version stored still sends the dead letters it named, and no others", () => {
  const stored = { ...STORED, choice: { deadLetters: { reason: "x", letters: [1, 2] } } };
  expect(parseReplay(stored, "r")).toEqual(STORED);
});

test.each([
  [undefined, 500],
  [5, 5],
  [0.2, 1],
  [10_000, 500],
])("a replay of %s events a second has at most %s in a request", (eventsPerSecond, maxEvents) => {
  const limits = { maxEvents: 500, maxBytes: 500_000 };
  expect(pacedLimits(limits, eventsPerSecond)).toEqual({ maxEvents, maxBytes: 500_000 });
});
