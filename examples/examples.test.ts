import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { emulators } from "@waybill/testing";
import { transformSync } from "esbuild";
import { expect, onTestFinished, test } from "vitest";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The example without its types, where the packages are found. */
function built(name: string): string {
  const { code } = transformSync(readFileSync(join(ROOT, "examples", `${name}.ts`), "utf8"), { loader: "ts" });
  const file = join(ROOT, "build/examples", `${name}.mjs`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, code);
  return file;
}

/** The output of an example that is given the URLs of these vendors. */
async function example(name: string, ...vendors: readonly emulators.VendorEmulator[]): Promise<string> {
  const servers = await Promise.all(vendors.map((emulator) => emulator.listen()));
  onTestFinished(async () => {
    for (const server of servers) await server.close();
  });
  const { stdout, stderr } = await run(process.execPath, [built(name), ...servers.map(({ url }) => url)]);
  expect(stderr).toBe("");
  return stdout;
}

test("track delivers its event and says so", async () => {
  const emulator = new emulators.SegmentEmulator();
  expect(await example("track", emulator)).toBe("{ delivered: 1, rejected: 0, dropped: 0, left: 0 }\n");
  expect(emulator.events).toMatchObject([
    { type: "track", event: { event: "Order Completed", properties: { total: 42 } } },
  ]);
});

test("two-destinations delivers to both", async () => {
  const both = [new emulators.SegmentEmulator(), new emulators.SegmentEmulator()];
  const output = await example("two-destinations", ...both);
  expect(output).toContain("{ status: 'delivered' }");
  expect(output).toContain("delivered: 4");
  for (const emulator of both) expect(emulator.events.map(({ type }) => type)).toEqual(["identify", "track"]);
});

test("letter", async () => {
  const emulator = new emulators.LetterEmulator();
  expect(await example("letter", emulator)).toBe("sent\n");
  expect(emulator.contacts.get("u-7")?.timezone).toBe("Europe/Rome");
  expect(emulator.accounts.get("acct-2")?.name).toBe("Analytical Engines");
  expect(emulator.events).toHaveLength(1);
});

test("getfluxly", async () => {
  const emulator = new emulators.GetFluxlyEmulator();
  expect(await example("getfluxly", emulator)).toBe("{ accepted: 2, rejected: 0, batches: 1, errors: [] }\nold-9\n");
  expect(emulator.profiles[0]?.userIds.has("u-9")).toBe(true);
});

test("trophy", async () => {
  const emulator = new emulators.TrophyEmulator();
  expect(await example("trophy", emulator)).toBe("250 1\nStatus 422: Invalid attribute keys: unknown.\nEurope/Rome\n");
  expect(emulator.total("u-7", "words-written")).toBe(250);
});

test("valued", async () => {
  const emulator = new emulators.ValuedEmulator();
  expect(await example("valued", emulator)).toBe("sent\n");
  const users = emulator.events.filter(({ category }) => category === "action").map(({ user }) => user);
  expect(users).toEqual(expect.arrayContaining([{ id: 5 }, { id: 6 }]));
  expect(emulator.users.get("5")).toMatchObject({ name: "Ada" });
});

test("launchdarkly", async () => {
  const emulator = new emulators.LaunchDarklyEmulator();
  expect(await example("launchdarkly", emulator)).toBe("sent\n");
  expect(emulator.payloads.map(({ headers, events }) => [headers["authorization"], events.length])).toEqual([
    ["sdk-1", 2],
    ["sdk-2", 1],
  ]);
});

test("all-vendors delivers to each in its own format, and the ledgers balance", async () => {
  const letter = new emulators.LetterEmulator();
  const trophy = new emulators.TrophyEmulator();
  const output = await example(
    "all-vendors",
    letter,
    new emulators.GetFluxlyEmulator(),
    trophy,
    new emulators.ValuedEmulator(),
  );
  expect(output).toBe("letter 2 1 true\ngetfluxly 3 0 true\ntrophy 2 1 true\nvalued 2 1 true\n");
  expect(trophy.total("u-1", "spent")).toBe(42);
});
