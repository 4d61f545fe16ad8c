import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { twins } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";

const run = promisify(execFile);

/** The output of an example that is given the URLs of these vendors. */
async function example(name: string, ...vendors: readonly twins.VendorTwin[]): Promise<string> {
  const servers = await Promise.all(vendors.map((twin) => twin.listen()));
  onTestFinished(async () => {
    for (const server of servers) await server.close();
  });
  const file = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  const { stdout, stderr } = await run(process.execPath, ["--import", "tsx", file, ...servers.map(({ url }) => url)]);
  expect(stderr).toBe("");
  return stdout;
}

test("track delivers its event and says so", async () => {
  const twin = new twins.SegmentTwin();
  expect(await example("track", twin)).toBe("{ delivered: 1, rejected: 0, dropped: 0, left: 0 }\n");
  expect(twin.events).toMatchObject([
    { type: "track", event: { event: "Order Completed", properties: { total: 42 } } },
  ]);
});

test("two-destinations delivers to both", async () => {
  const both = [new twins.SegmentTwin(), new twins.SegmentTwin()];
  const output = await example("two-destinations", ...both);
  expect(output).toContain("{ status: 'delivered' }");
  expect(output).toContain("delivered: 4");
  for (const twin of both) expect(twin.events.map(({ type }) => type)).toEqual(["identify", "track"]);
});

test("letter", async () => {
  const twin = new twins.LetterTwin();
  expect(await example("letter", twin)).toBe("sent\n");
  expect(twin.contacts.get("u-7")?.timezone).toBe("Europe/Rome");
  expect(twin.accounts.get("acct-2")?.name).toBe("Analytical Engines");
  expect(twin.events).toHaveLength(1);
});

test("getfluxly", async () => {
  const twin = new twins.GetFluxlyTwin();
  expect(await example("getfluxly", twin)).toBe("{ accepted: 2, rejected: 0, batches: 1, errors: [] }\nold-9\n");
  expect(twin.profiles[0]?.userIds.has("u-9")).toBe(true);
});

test("trophy", async () => {
  const twin = new twins.TrophyTwin();
  expect(await example("trophy", twin)).toBe("250 1\nStatus 422: Invalid attribute keys: unknown.\nEurope/Rome\n");
  expect(twin.total("u-7", "words-written")).toBe(250);
});

test("valued", async () => {
  const twin = new twins.ValuedTwin();
  expect(await example("valued", twin)).toBe("sent\n");
  const users = twin.events.filter(({ category }) => category === "action").map(({ user }) => user);
  expect(users).toEqual(expect.arrayContaining([{ id: 5 }, { id: 6 }]));
  expect(twin.users.get("5")).toMatchObject({ name: "Ada" });
});

test("launchdarkly", async () => {
  const twin = new twins.LaunchDarklyTwin();
  expect(await example("launchdarkly", twin)).toBe("sent\n");
  expect(twin.payloads.map(({ headers, events }) => [headers["authorization"], events.length])).toEqual([
    ["sdk-1", 2],
    ["sdk-2", 1],
  ]);
});

test("all-vendors delivers to each in its own words, and the books balance", async () => {
  const letter = new twins.LetterTwin();
  const trophy = new twins.TrophyTwin();
  const output = await example("all-vendors", letter, new twins.GetFluxlyTwin(), trophy, new twins.ValuedTwin());
  expect(output).toBe("letter 2 1 true\ngetfluxly 3 0 true\ntrophy 2 1 true\nvalued 2 1 true\n");
  expect(trophy.total("u-1", "spent")).toBe(42);
});
