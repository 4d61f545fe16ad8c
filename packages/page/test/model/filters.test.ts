import { expect, test } from "vitest";
import { deadLetterQuery, eventIdOf, searchQuery, tailQuery } from "../../src/model/filters.ts";

test("dead letters that wait are shown, unless the URL has another state", () => {
  expect(deadLetterQuery({})).toEqual({ state: "waiting" });
  expect(deadLetterQuery({ state: "retried" })).toEqual({ state: "retried" });
  expect(deadLetterQuery({ state: "all", reason: "400" })).toEqual({ reason: "400" });
});

test("what is of the page alone does not go to the relay", () => {
  expect(deadLetterQuery({ inspect: "17", user: "u1", name: "" })).toEqual({ state: "waiting", user: "u1" });
  expect(searchQuery({ go: "1", environment: "production", id: "x" })).toEqual({ environment: "production" });
  expect(tailQuery({ source: "shop", held: "1" })).toEqual({ source: "shop" });
});

test("digits are a position, positions with counts a receipt, all else a message id", () => {
  expect(eventIdOf(" 1841 ")).toEqual({ is: "position", position: "1841" });
  expect(eventIdOf("1841+2,57+1;more=3")).toEqual({
    is: "receipt",
    positions: "1841+2,57+1;more=3",
    environment: undefined,
  });
  expect(eventIdOf("production/3@1841+2,5@7.1")).toEqual({
    is: "receipt",
    positions: "3@1841+2,5@7.1",
    environment: "production",
  });
  expect(eventIdOf("production/3/17")).toEqual({ is: "receipt", positions: "17", environment: "production/3" });
  expect(eventIdOf("production/9+1")).toEqual({ is: "receipt", positions: "9+1", environment: "production" });
  expect(eventIdOf("0192f3c8-aaaa-7bbb-8ccc-1234567890ab")).toEqual({
    is: "messageId",
    messageId: "0192f3c8-aaaa-7bbb-8ccc-1234567890ab",
  });
  expect(eventIdOf("  ")).toBeUndefined();
});
