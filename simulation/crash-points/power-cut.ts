/**
 * What a power cut may leave: of each file what its last sync made durable, and of each effect
 * since (a write, a truncation; a name created or removed since the sync of its directory) either
 * all or nothing, of a write also any of its sectors.
 */
import type { SeededRandom } from "@waybill/testing";
import { type Effect, type Operation, written } from "./recording-disk.ts";
import { digestOf } from "./records.ts";

const SECTOR_BYTES = 512;

/** A file apart from its names. */
interface Inode {
  readonly bytes: Uint8Array;
}

/** What is durable at a point, and the effects that may or may not be. */
class Durable {
  readonly inodes = new Map<number, Inode>();
  readonly names = new Map<string, number>();
  readonly pending: Effect[] = [];

  apply(operation: Operation): void {
    if (operation.kind === "sync")
      this.#settle((effect) => "inode" in effect && !("path" in effect) && effect.inode === operation.inode);
    else if (operation.kind === "syncDirectory")
      this.#settle((effect) => "path" in effect && effect.path.startsWith(`${operation.path}/`));
    else this.pending.push(operation);
  }

  #settle(holds: (effect: Effect) => boolean): void {
    for (const effect of this.pending.filter(holds)) change(this.inodes, this.names, effect);
    const left = this.pending.filter((effect) => !holds(effect));
    this.pending.length = 0;
    this.pending.push(...left);
  }

  /** The files that are left when just these effects made it. */
  state(effects: readonly Effect[]): Map<string, Uint8Array> {
    const inodes = new Map(this.inodes);
    const names = new Map(this.names);
    for (const effect of effects) change(inodes, names, effect);
    return new Map([...names].map(([path, inode]) => [path, inodes.get(inode)?.bytes ?? new Uint8Array(0)]));
  }
}

function change(inodes: Map<number, Inode>, names: Map<string, number>, effect: Effect): void {
  if (effect.kind === "link") names.set(effect.path, effect.inode);
  else if (effect.kind === "unlink") names.delete(effect.path);
  else if (effect.kind === "rename") {
    names.delete(effect.from);
    names.set(effect.path, effect.inode);
  } else {
    const bytes = inodes.get(effect.inode)?.bytes ?? new Uint8Array(0);
    inodes.set(effect.inode, {
      bytes: effect.kind === "write" ? written(bytes, effect.at, effect.bytes) : bytes.slice(0, effect.size),
    });
  }
}

/** Each effect split where a power cut may split it. */
function atoms(effects: readonly Effect[]): Effect[] {
  return effects.flatMap((effect) => {
    if (effect.kind !== "write") return [effect];
    const sectors: Effect[] = [];
    for (let start = 0; start < effect.bytes.length; ) {
      const end = Math.min(effect.bytes.length, start + SECTOR_BYTES - ((effect.at + start) % SECTOR_BYTES));
      sectors.push({ ...effect, at: effect.at + start, bytes: effect.bytes.subarray(start, end) });
      start = end;
    }
    return sectors;
  });
}

/** A disk as a crash before an operation may leave it. */
export interface Crash {
  /** Operations that had begun. */
  readonly at: number;
  /** Counts the states of a point. */
  readonly number: number;
  /** Nothing is missing: the process died, and the power did not fail. */
  readonly isWhole: boolean;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

export interface CrashTally {
  points: number;
  /** Points whose subsets were sampled, being more than the bound. */
  sampled: number;
  states: number;
}

/**
 * Every crash of a run, each different state of a point once: all subsets of what was not synced,
 * or `subsetsMax` of them, chosen by chance, where there are more.
 */
export function* crashesOf(
  operations: readonly Operation[],
  {
    subsetsMax,
    random,
    tally,
  }: { readonly subsetsMax: number; readonly random: SeededRandom; readonly tally: CrashTally },
): Generator<Crash> {
  const durable = new Durable();
  for (let at = 0; at <= operations.length; at++) {
    tally.points += 1;
    const seen = new Set<string>();
    const choices = atoms(durable.pending);
    const isExhaustive = 2 ** choices.length <= subsetsMax;
    if (!isExhaustive) tally.sampled += 1;
    const tries = isExhaustive ? 2 ** choices.length : subsetsMax;
    for (let number = 0; number < tries; number++) {
      const kept = choices.filter((_, index) =>
        isExhaustive ? ((number >> index) & 1) === 1 : number === 0 ? false : number === 1 || random.chance(0.5),
      );
      const files = durable.state(kept);
      const digest = digestOf(files);
      if (seen.has(digest)) continue;
      seen.add(digest);
      tally.states += 1;
      yield { at, number, isWhole: kept.length === choices.length, files };
    }
    const next = operations[at];
    if (next !== undefined) durable.apply(next);
  }
}
