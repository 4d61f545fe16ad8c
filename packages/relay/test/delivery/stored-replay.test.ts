import { expect, test } from "vitest";
import { abandoned, parseReplay } from "../../src/delivery/stored-replay.ts";

const STORED = { ...abandoned("r", 5), choice: { deadLetters: { reason: "x", deadLetterIds: [1, 2] } } };

test("a replay of dead letters is read as it was written", () => {
  expect(parseReplay(JSON.parse(JSON.stringify(STORED)), "r")).toEqual(STORED);
});

test("a replay that an earlier version stored still sends the dead letters it named, and no others", () => {
  const stored = { ...STORED, choice: { deadLetters: { reason: "x", letters: [1, 2] } } };
  expect(parseReplay(stored, "r")).toEqual(STORED);
});
