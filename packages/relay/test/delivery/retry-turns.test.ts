import { expect, test } from "vitest";
import { RetryTurns } from "../../src/delivery/retry-turns.ts";

test("turns come in the order in which they were asked for, and who leaves holds nobody up", () => {
  const turns = new RetryTurns();
  const woken: string[] = [];
  const [one, two, three] = ["one", "two", "three"].map((name) => turns.join(() => woken.push(name)));
  if (one === undefined || two === undefined || three === undefined) throw new Error("three turns");
  expect([one.take(), one.take(), two.take(), three.take()]).toEqual([true, true, false, false]);
  // Who does not have the turn cannot end it.
  two.end();
  expect([two.take(), woken]).toEqual([false, []]);
  one.end();
  expect(woken).toEqual(["two"]);
  // It was not its last: it asks again, after the others.
  expect([one.take(), two.take()]).toEqual([false, true]);
  two.leave();
  expect([woken.at(-1), three.take()]).toEqual(["three", true]);
  one.leave();
  three.end();
  expect(woken).toEqual(["two", "three"]);
  expect(two.take()).toBe(true);
});
