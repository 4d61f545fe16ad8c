import { expect, test } from "vitest";
import { storedIds } from "../../src/segment/stored-ids.ts";

const event = (id: string | undefined, note = ""): string =>
  JSON.stringify({ type: "track", userId: "u", ...(id === undefined ? {} : { messageId: id }), properties: { note } });

function idsIn(...events: readonly string[]): readonly string[] {
  const body = Buffer.from(events.join(","));
  return storedIds(body).map(({ idStart, idEnd }) => (idStart < 0 ? "" : body.toString("utf8", idStart, idEnd)));
}

test("ids of bodies of all sizes are found, one after another", () => {
  expect(idsIn(event("a"), event(undefined), event("c"))).toEqual(["a", "", "c"]);
  expect(idsIn(event("large", "x".repeat(100_000)), event("b"))).toEqual(["large", "b"]);
  expect(idsIn(event("d"))).toEqual(["d"]);
  // Nothing of the body before is taken for a part of this one.
  expect(idsIn(event("e").slice(0, -1))).toEqual([]);
  expect(idsIn("")).toEqual([]);
});
