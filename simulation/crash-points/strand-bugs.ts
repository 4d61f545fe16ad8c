/** Bugs in the order of what a lane with strands writes, for its crash points to find. */
import type { Disk } from "@waybill/core";
import { Fates, LogStore } from "@waybill/log";
import { Parked } from "../../packages/log/src/lanes/parked.ts";
import { Strands } from "../../packages/log/src/lanes/strands.ts";
import { replaced } from "../replaced.ts";

export interface StrandBug {
  readonly name: string;
  readonly wrap?: (disk: Disk) => Disk;
  /** Returns what takes it back. */
  readonly patch?: () => () => void;
}

/** Turns until what was put off is written: the state is written before. */
const LATE_TURNS = 20;

/** The state is written before the fates that it speaks of. */
function flushLate(): () => void {
  const original = Object.getOwnPropertyDescriptor(Fates.prototype, "isLong") as PropertyDescriptor;
  let isLate = false;
  const flush = async (fates: Fates): Promise<void> => {
    for (let turn = 0; turn < LATE_TURNS; turn++) await Promise.resolve();
    isLate = true;
    const flushed = fates.flush();
    isLate = false;
    await flushed;
  };
  Object.defineProperty(Fates.prototype, "isLong", {
    configurable: true,
    get(this: Fates) {
      const isLong = original.get?.call(this) as boolean;
      if (isLong && !isLate) void flush(this);
      return isLong && isLate;
    },
  });
  return () => Object.defineProperty(Fates.prototype, "isLong", original);
}

/** What is written under this path is never made durable. */
const withoutSync =
  (prefix: string) =>
  (disk: Disk): Disk => ({
    open: async (path, options) => {
      if (!path.startsWith(prefix)) return disk.open(path, options);
      const file = await disk.open(path, { ...options, durable: false });
      return { ...file, sync: () => Promise.resolve() };
    },
    list: (directory) => disk.list(directory),
    makeDirectory: (path) => disk.makeDirectory(path),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    syncDirectory: (path) => disk.syncDirectory(path),
  });

export const STRAND_ORDER_BUGS: readonly StrandBug[] = [
  { name: "the state is written before the fates", patch: flushLate },
  { name: "the blocks of fates are not synced", wrap: withoutSync("/fates/") },
  { name: "the dead letters are not synced", wrap: withoutSync("/dead/") },
  { name: "the state of the lane is not synced", wrap: withoutSync("/lanes/") },
  {
    name: "what is settled is not written down before retention removes it",
    patch: () => replaced(LogStore.prototype, "expiring", () => () => Promise.resolve()),
  },
  {
    name: "the state does not have the parked users",
    patch: () => replaced(Parked.prototype, "values", () => () => []),
  },
  {
    name: "a strand forgets its plan",
    patch: () =>
      replaced(
        Strands.prototype,
        "values",
        (values) =>
          function (this: Strands, otherwise: number) {
            return values.call(this, otherwise).map((strand) => ({ ...strand, planned: 0 }));
          },
      ),
  },
];
