import type { Disk } from "@waybill/core";
import { expect, test } from "vitest";
import { tryCorruption } from "./corruption.ts";
import { tryCrashPoints } from "./crash-points.ts";

const APPENDS = 40;

test("every crash point of a workload recovers to what was acknowledged and nothing else", {
  timeout: 60_000,
}, async () => {
  const { operations, points, states, failures } = await tryCrashPoints({ seed: 1, appends: APPENDS });
  expect(failures).toEqual([]);
  expect(points).toBe(operations + 1);
  expect(operations).toBeGreaterThan(100);
  expect(states).toBeGreaterThan(500);
});

test("a bit turned in any byte of a log costs at most the record it is in", { timeout: 60_000 }, async () => {
  const { bytes, failures } = await tryCorruption(1, 12);
  expect(failures).toEqual([]);
  expect(bytes).toBeGreaterThan(2_000);
});

const forwarding = (disk: Disk): Disk => ({
  open: (path, options) => disk.open(path, options),
  list: (directory) => disk.list(directory),
  makeDirectory: (path) => disk.makeDirectory(path),
  rename: (from, to) => disk.rename(from, to),
  remove: (path) => disk.remove(path),
  syncDirectory: (path) => disk.syncDirectory(path),
});

test.each<[string, (disk: Disk) => Disk]>([
  [
    "the fsync of the log",
    (disk) => ({ ...forwarding(disk), open: (path, options) => disk.open(path, { ...options, durable: false }) }),
  ],
  ["the fsync of the directory", (disk) => ({ ...forwarding(disk), syncDirectory: () => Promise.resolve() })],
  [
    "the fsync of the cursor",
    (disk) => ({
      ...forwarding(disk),
      open: async (path, options) => {
        const file = await disk.open(path, options);
        return path.startsWith("/lanes/") ? { ...file, sync: () => Promise.resolve() } : file;
      },
    }),
  ],
])("finds that %s is missing", { timeout: 60_000 }, async (_name, wrap) => {
  const { failures } = await tryCrashPoints({ seed: 1, appends: APPENDS, wrap });
  expect(failures.length).toBeGreaterThan(0);
});
