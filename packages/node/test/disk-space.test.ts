import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diskSpaceOf, diskUsageOf } from "@waybill/node";
import { expect, onTestFinished, test } from "vitest";

test("what files take on the disk is added up through all directories; links and what is not there are nothing", async () => {
  const directory = mkdtempSync(join(tmpdir(), "waybill-test-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const before = await diskUsageOf(directory);
  mkdirSync(join(directory, "a/b"), { recursive: true });
  writeFileSync(join(directory, "a/one"), Buffer.alloc(100_000, 1));
  writeFileSync(join(directory, "a/b/two"), Buffer.alloc(50_000, 1));
  symlinkSync(join(directory, "a/one"), join(directory, "link"));
  const bytes = (await diskUsageOf(directory)) - before;
  // Disks give whole blocks.
  expect(bytes).toBeGreaterThanOrEqual(150_000);
  expect(bytes).toBeLessThan(250_000);
  expect(await diskUsageOf(join(directory, "none"))).toBe(0);
});

test("what is left on a disk is known, and of a directory that is not there nothing", async () => {
  const space = await diskSpaceOf(tmpdir());
  expect(space?.totalBytes).toBeGreaterThan(space?.freeBytes ?? Number.POSITIVE_INFINITY);
  expect(await diskSpaceOf("/nowhere/at/all")).toBeUndefined();
});
