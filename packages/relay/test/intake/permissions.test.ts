/** What the relay creates on disk is nobody else's to read, unless the configuration says so. */
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRelay } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { configOf, destination, send, startWorld, until } from "../lib/world.ts";

/** Modes of all files and directories under `directory`. */
function modesUnder(directory: string): { readonly files: readonly string[]; readonly directories: readonly string[] } {
  const files = new Set<string>();
  const directories = new Set<string>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const mode = (statSync(join(entry.parentPath, entry.name)).mode & 0o777).toString(8);
    if (entry.isFile()) files.add(mode);
    if (entry.isDirectory()) directories.add(mode);
  }
  return { files: [...files], directories: [...directories] };
}

test.each([
  { permissions: undefined, file: "600", directory: "700", lock: [] },
  { permissions: { files: "0640", directories: "0750" }, file: "640", directory: "750", lock: ["700"] },
])("the log, states, dead letters, replays, ids and file destinations: $permissions", async (wanted) => {
  const out = mkdtempSync(join(tmpdir(), "waybill-test-out-"));
  onTestFinished(() => rmSync(out, { recursive: true, force: true }));
  const world = await startWorld({
    extra: wanted.permissions === undefined ? {} : { permissions: wanted.permissions },
    destinations: (url) => ({
      emulator: destination(url),
      file: { vendor: "file", path: `${out}/deep/events.ndjson`, batch: { linger: "1ms" } },
    }),
  });
  world.emulator.fail({ kind: "status", status: 400, times: 1 });
  await world.post("/v1/batch", { batch: [{ type: "track", event: "E", userId: "u", messageId: "m" }] });
  await until(() => world.relay.accounts().lanes.every(({ account }) => account.pending === 0));
  await send(world.relay.adminUrl, "POST", "/v1/dead-letters/test/emulator/retry", "", {});
  await until(() => world.relay.accounts().replays[0]?.state === "done");
  const data = `${world.directory}/data/test`;
  expect(readdirSync(`${data}/replays`)).not.toEqual([]);
  for (const path of ["log", "lanes/emulator", "dead/emulator/marks", "attempts/emulator", "ids/seed"])
    expect(existsSync(`${data}/${path}`), path).toBe(true);
  const modes = modesUnder(`${world.directory}/data`);
  expect(modes.files).toEqual([wanted.file]);
  expect([...modes.directories].sort()).toEqual([...wanted.lock, wanted.directory].sort());
  expect(modesUnder(out)).toEqual({ files: [wanted.file], directories: [wanted.directory] });
});

test("a data directory that others may look into is reported at the start, and left as it is", async () => {
  const world = await startWorld();
  await world.relay.stop();
  const data = `${world.directory}/data`;
  chmodSync(data, 0o755);
  const warnings: string[] = [];
  const silent = { info: () => undefined, error: () => undefined, debug: () => undefined };
  const logger = { ...silent, warn: (_fields: object, message: string) => warnings.push(message) };
  const again = await startRelay(configOf(world.directory, world.server.url), { logger: logger as never });
  onTestFinished(() => again.stop());
  expect(warnings.join()).toMatch(/its mode is 0755, wider than 0700/);
  expect((statSync(data).mode & 0o777).toString(8)).toBe("755");
});
