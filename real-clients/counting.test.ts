/** What the command counts: an event that is lost, there twice or never sent does not pass. */
import { expect, test } from "vitest";
import { count } from "./count.ts";
import { type Outcome, obstacleOf, play, type Scenario } from "./scenario.ts";
import { figuresOf, isGood, tableOf } from "./summary.ts";

const GOOD: Outcome = { client: "a", how: "one", events: 20, lost: 0, duplicates: 0, relayKills: 1 };

test("what the vendor lacks is lost, its copies are duplicates, what the SDK made itself is neither", () => {
  expect(count(["a", "b", "c"], ["b", "$made", "c", "c", "c"])).toEqual({ events: 3, lost: 1, duplicates: 2 });
  expect(count([], [])).toEqual({ events: 0, lost: 0, duplicates: 0 });
});

test("a scenario is counted also when it fails in the middle", async () => {
  const scenario: Scenario = {
    client: "a",
    how: "one",
    run(stage) {
      stage.keeps(() => ["first", "first"]);
      stage.give("first");
      stage.give("second");
      return Promise.reject(new Error("broken"));
    },
  };
  const outcome = await play(scenario);
  expect(outcome).toMatchObject({ client: "a", how: "one", events: 2, lost: 1, duplicates: 1, relayKills: 0 });
  expect(outcome.failure).toMatchObject({ message: "broken" });
});

test("an event under a name that was given before is a mistake of the scenario", async () => {
  const run: Scenario["run"] = async (stage) => void [stage.give("first"), stage.give("first")];
  expect(await play({ client: "a", how: "one", run })).toMatchObject({ events: 1, failure: expect.any(Error) });
});

test("an SDK counts once, whatever its scenarios, and not when one of them failed", () => {
  const outcomes: readonly Outcome[] = [
    GOOD,
    { ...GOOD, how: "two" },
    { ...GOOD, client: "b" },
    { ...GOOD, client: "b", how: "two", events: 1, lost: 1, relayKills: 0, failure: new Error("broken") },
  ];
  expect(figuresOf(outcomes)).toEqual({ clients: 1, events: 61, lost: 1, duplicates: 0, relayKills: 3 });
  const lines = tableOf(outcomes, (client) => (client === "a" ? "1.2.3" : undefined))
    .trimEnd()
    .split("\n");
  expect(lines.map((line) => line.split(/\s{2,}/))).toEqual([
    ["SDK", "events", "lost", "duplicates", "relay kills", "by"],
    ["a 1.2.3", "40", "0", "0", "2", "one; two"],
    ["b", "21", "1", "0", "1", "one; two (failed)"],
    ["all", "61", "1", "0", "3", "1 SDKs"],
  ]);
});

test.each([
  ["nothing ran", []],
  ["one is lost", [{ ...GOOD, lost: 1 }]],
  ["one is there twice", [{ ...GOOD, duplicates: 1 }]],
  ["one failed", [{ ...GOOD, failure: new Error("broken") }]],
])("it is not good when %s", (_what, others: readonly Outcome[]) => {
  expect(isGood([GOOD])).toBe(true);
  expect(isGood(others)).toBe(false);
});

test("what is not installed is left out, and why", () => {
  const run = (): Promise<void> => Promise.resolve();
  const scenario = { client: "no-such-sdk", how: "one", needs: ["no-such-page"], run };
  expect(obstacleOf(scenario)).toBe("no-such-sdk and no-such-page not installed");
});
