import { expect, test } from "vitest";
import type { Overview, OverviewDestination, RelayProblem } from "../../src/api/types.ts";
import {
  announcementOf,
  concerns,
  destinationOf,
  flowWidth,
  logNames,
  logsAndParts,
  logsOf,
  orderedDestinations,
  placeText,
  problemKey,
  relayOf,
  shownMode,
} from "../../src/model/lanes.ts";

const destination = (name: string, mode: OverviewDestination["mode"], vendor = "segment"): OverviewDestination =>
  ({ name, vendor, mode, eventsPerSecondOut: 0 }) as OverviewDestination;

const problem = (what: string, fields: Partial<RelayProblem> = {}): RelayProblem => ({
  severity: "error",
  code: "key_refused",
  since: 1,
  what,
  doThis: "Rotate the key.",
  ...fields,
});

test("destinations that need somebody are first, then all by name", () => {
  const given = [destination("b", "idle"), destination("z", "halted"), destination("a", "waiting")];
  expect(orderedDestinations(given, "").map(({ name }) => name)).toEqual(["z", "a", "b"]);
});

test("a filter finds names and vendors, whatever the case", () => {
  const given = [destination("mail", "idle", "letter"), destination("warehouse", "idle")];
  expect(orderedDestinations(given, "LETT").map(({ name }) => name)).toEqual(["mail"]);
  expect(orderedDestinations(given, "ware").map(({ name }) => name)).toEqual(["warehouse"]);
});

test("the flow is wider by powers of ten", () => {
  expect([0, 0.5, 5, 50, 500, 5_000].map(flowWidth)).toEqual([0, 1, 2, 3, 4, 5]);
});

test("a lane that delivers is not shown as idle between two requests", () => {
  expect(shownMode({ ...destination("a", "idle"), eventsPerSecondOut: 3 })).toBe("sending");
  expect(shownMode(destination("a", "idle"))).toBe("idle");
  expect(shownMode({ ...destination("a", "paused"), eventsPerSecondOut: 3 })).toBe("paused");
});

test("a problem is the same while its numbers change", () => {
  const before = problem("mail refuses the key; 10 events are kept.", { destination: "mail" });
  const after = problem("mail refuses the key; 20 events are kept.", { destination: "mail" });
  expect(problemKey(before)).toBe(problemKey(after));
  expect(announcementOf([before], [after])).toBe("");
});

test("what is new is read aloud with what to do, and what is solved", () => {
  const one = problem("mail refuses the key.", { destination: "mail" });
  const other = problem("ads refuses the key.", { destination: "ads" });
  expect(announcementOf([one], [one, other])).toBe("ads refuses the key. Rotate the key.");
  expect(announcementOf([one, other], [one])).toBe("Solved: ads refuses the key.");
  expect(announcementOf([one], [])).toBe("Nothing is wrong any more.");
});

const inCluster = {
  name: "production",
  sources: [],
  destinations: [
    {
      ...destination("mail", "halted", "letter"),
      partitions: [
        { partition: 10, mode: "halted", waitingEvents: 4 },
        { partition: 2, mode: "idle", waitingEvents: 0 },
      ],
      missingPartitions: [7],
    } as unknown as OverviewDestination,
  ],
};
const onDisk = { name: "staging", sources: [], destinations: [destination("mail", "idle")] };
const overview = { environments: [inCluster, onDisk] } as unknown as Overview;

test("a destination is found as a whole, and its lane of one partition", () => {
  const found = (environment: string): object | undefined =>
    destinationOf(overview, { environment, destination: "mail" });
  expect(found("production")).toMatchObject({ mode: "halted", missingPartitions: [7] });
  expect(found("production/10")).toMatchObject({ name: "mail", vendor: "letter", mode: "halted", waitingEvents: 4 });
  expect(found("production/10")).not.toHaveProperty("partitions");
  expect(found("production/7")).toBeUndefined();
  expect(found("staging")).toMatchObject({ mode: "idle" });
});

test("logs are those of environments, or of each of their partitions", () => {
  const partitions = ["production/2", "production/7", "production/10"];
  expect(logNames(overview.environments)).toEqual([...partitions, "staging"]);
  expect(logsAndParts(overview.environments)).toEqual(["production", ...partitions, "staging"]);
  expect(logsOf(overview.environments, "production")).toEqual(partitions);
  expect(logsOf(overview.environments, "staging")).toEqual(["staging"]);
  expect(logsOf(overview.environments, "production/2")).toEqual(["production/2"]);
});

test("a partition is named with its environment, and with the relay that has its lane", () => {
  expect([placeText("production"), placeText("production/3")]).toEqual(["production", "production, partition 3"]);
  const cluster = {
    relays: [{ id: "one", name: "relay-a" }],
    lanes: [
      { environment: "production", partition: 3, destination: "mail", relay: "one" },
      { environment: "production", partition: 4, destination: "mail", relay: null },
    ],
  };
  const overview = { cluster } as unknown as Overview;
  expect(relayOf(overview, { environment: "production/3", destination: "mail" })).toBe("relay-a");
  expect(relayOf(overview, { environment: "production/4", destination: "mail" })).toBeUndefined();
  expect(relayOf(overview, { environment: "production", destination: "mail" })).toBeUndefined();
});

test("what is wrong with a lane is shown at its destination, and what is wrong with all at each", () => {
  const one = problem("mail refuses the key.", { environment: "production/3", destination: "mail" });
  expect(concerns(one, { environment: "production", destination: "mail" })).toBe(true);
  expect(concerns(one, { environment: "production/3", destination: "mail" })).toBe(true);
  expect(concerns(one, { environment: "production/4", destination: "mail" })).toBe(false);
  const all = problem("mail refuses the key.", { environment: "production", destination: "mail" });
  expect(concerns(all, { environment: "production/4", destination: "mail" })).toBe(true);
  expect(concerns(one, { environment: "production", destination: "ads" })).toBe(false);
  expect(concerns(one, { environment: "staging", destination: "mail" })).toBe(false);
});
