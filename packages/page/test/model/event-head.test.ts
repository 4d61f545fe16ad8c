import { expect, test } from "vitest";
import { headOf, pretty } from "../../src/model/event-head.ts";

test("an event's name, id and user are found in each vendor's wire format", () => {
  expect(headOf({ type: "track", event: "Order Completed", messageId: "m1", userId: "u1" })).toEqual({
    type: "track",
    name: "Order Completed",
    messageId: "m1",
    user: "u1",
  });
  expect(headOf({ event_type: "Hello", insert_id: "i1", user_id: "u1" })).toMatchObject({
    name: "Hello",
    messageId: "i1",
    user: "u1",
  });
  expect(headOf({ event: "Hello", properties: { $insert_id: "i2", distinct_id: "d" } })).toMatchObject({
    messageId: "i2",
    user: "d",
  });
});

test("what is not an object, or has a name that is not a text, has an empty head", () => {
  const empty = { type: "", name: "", messageId: "", user: "" };
  expect(headOf(null)).toEqual(empty);
  expect(headOf("text")).toEqual(empty);
  expect(headOf({ event: { nested: true } })).toEqual(empty);
});

test("JSON is indented, and what is not JSON stays as it is", () => {
  expect(pretty('{"a":1}')).toBe('{\n  "a": 1\n}');
  expect(pretty('{"a":1}\n{"b":2}')).toBe('{"a":1}\n{"b":2}');
});
