/**
 * Crash points of the log: a workload runs once on a disk that records every operation; then, for
 * every point between two of them and in the middle of each, every state is built that a power cut
 * there could leave, and the log must recover from it.
 *
 * What a power cut may leave: of each file what its last sync made durable, and of each effect
 * since (a write, a truncation; a name created or removed since the sync of its directory) either
 * all or nothing, of a write also any of its sectors. Up to {@link SUBSETS_MAX} subsets of a point
 * are enumerated, beyond that so many are sampled with a seed.
 *
 * Recovery must give every acknowledged record that retention had not begun to remove, at its
 * position, byte for byte; invent none; change nothing when it runs again; and leave a log that
 * takes more. A cursor must not be after what was settled, nor before what was synced.
 */
import { createHash } from "node:crypto";
import type { Disk, DiskFile, OpenOptions } from "@waybill/core";
import { WaybillError } from "@waybill/core";
import { LaneState, type Log, type LogRecord, openLog } from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";

export interface CrashPointResult {
  /** Disk operations that were recorded. */
  readonly operations: number;
  /** Places a crash was put: before each operation, in the middle of each write, at the end. */
  readonly points: number;
  /** Different disk states. */
  readonly states: number;
  /** Times a log was opened. */
  readonly recoveries: number;
  /** Points whose subsets were sampled, being more than the bound. */
  readonly sampled: number;
  readonly failures: readonly string[];
}

export interface CrashPointOptions {
  readonly seed: number;
  /** Appends of the workload. */
  readonly appends: number;
  /** Between the log and its disk: for planted bugs. */
  readonly wrap?: (disk: Disk) => Disk;
}

export const SUBSETS_MAX = 256;
const SECTOR_BYTES = 512;
const LOG = "/log";
const LANES = "/lanes";

/** A file apart from its names. */
interface Inode {
  readonly bytes: Uint8Array;
}

type Effect =
  | { readonly kind: "write"; readonly inode: number; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly inode: number; readonly size: number }
  | { readonly kind: "link"; readonly path: string; readonly inode: number }
  | { readonly kind: "unlink"; readonly path: string }
  /** Both names at once, or neither. */
  | { readonly kind: "rename"; readonly from: string; readonly path: string; readonly inode: number };

type Operation =
  | Effect
  /** Makes the effects on an inode durable, or the names of a directory. */
  | { readonly kind: "sync"; readonly inode: number }
  | { readonly kind: "syncDirectory"; readonly path: string };

interface Appended {
  readonly text: string;
  /**
   * Operations recorded when it was issued, and when it was acknowledged; `undefined` when it never
   * was.
   */
  readonly issuedAt: number;
  acknowledgedAt?: number;
  position?: number;
}

/** A disk in memory that writes down what is done to it. */
class RecordingDisk implements Disk {
  readonly operations: Operation[] = [];
  capacityBytes = Number.POSITIVE_INFINITY;
  readonly #names = new Map<string, number>();
  readonly #directories = new Set<string>();
  readonly #data: Uint8Array[] = [];

  async open(path: string, options: OpenOptions = {}): Promise<DiskFile> {
    let inode = this.#names.get(path);
    if (options.create === true) {
      if (inode !== undefined) throw failure("EEXIST");
      inode = this.#data.push(new Uint8Array(0)) - 1;
      this.#names.set(path, inode);
      this.operations.push({ kind: "link", path, inode });
    }
    if (inode === undefined) throw failure("ENOENT");
    return this.#file(inode, options.durable === true);
  }

  async list(directory: string): Promise<readonly string[]> {
    if (!this.#directories.has(directory)) throw failure("ENOENT");
    const prefix = `${directory}/`;
    return [...this.#names.keys()]
      .filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length))
      .sort();
  }

  async makeDirectory(path: string): Promise<void> {
    this.#directories.add(path);
  }

  async rename(from: string, to: string): Promise<void> {
    const inode = this.#names.get(from);
    if (inode === undefined) throw failure("ENOENT");
    this.#names.delete(from);
    this.#names.set(to, inode);
    this.operations.push({ kind: "rename", from, path: to, inode });
  }

  async remove(path: string): Promise<void> {
    if (!this.#names.delete(path)) throw failure("ENOENT");
    this.operations.push({ kind: "unlink", path });
  }

  async syncDirectory(path: string): Promise<void> {
    this.operations.push({ kind: "syncDirectory", path });
  }

  #usedBytes(): number {
    return [...this.#names.values()].reduce((total, inode) => total + (this.#data[inode] as Uint8Array).length, 0);
  }

  #file(inode: number, durable: boolean): DiskFile {
    const sync = async (): Promise<void> => {
      this.operations.push({ kind: "sync", inode });
    };
    return {
      write: async (buffers, position) => {
        let at = position;
        for (const buffer of buffers) {
          const room = Math.max(0, this.capacityBytes - this.#usedBytes());
          const growth = Math.max(0, at + buffer.length - (this.#data[inode] as Uint8Array).length);
          const fits = Math.max(0, buffer.length - Math.max(0, growth - room));
          const bytes = Uint8Array.from(buffer.subarray(0, fits));
          this.#data[inode] = written(this.#data[inode] as Uint8Array, at, bytes);
          this.operations.push({ kind: "write", inode, at, bytes });
          if (bytes.length < buffer.length) throw failure("ENOSPC");
          at += buffer.length;
        }
        if (durable) await sync();
      },
      read: async (target, position) => {
        const bytes = (this.#data[inode] as Uint8Array).subarray(position, position + target.length);
        target.set(bytes);
        return bytes.length;
      },
      sync,
      truncate: async (size) => {
        this.#data[inode] = (this.#data[inode] as Uint8Array).slice(0, size);
        this.operations.push({ kind: "truncate", inode, size });
      },
      size: async () => (this.#data[inode] as Uint8Array).length,
      close: async () => undefined,
    };
  }
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

/** `bytes` put into `data` at `at`. */
function written(data: Uint8Array, at: number, bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return data;
  const result = new Uint8Array(Math.max(data.length, at + bytes.length));
  result.set(data);
  result.set(bytes, at);
  return result;
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

interface Workload {
  readonly operations: readonly Operation[];
  readonly appended: readonly Appended[];
  /** The lane's positions: operations recorded when it was written, and when it was synced. */
  readonly cursors: readonly { readonly position: number; readonly writtenAt: number; syncedAt?: number }[];
}

async function runWorkload({ seed, appends, wrap }: CrashPointOptions): Promise<Workload> {
  const random = new SeededRandom(seed);
  const disk = new RecordingDisk();
  const clock = new VirtualClock();
  const runtime = { disk: wrap?.(disk) ?? disk, clock };
  const appended: Appended[] = [];
  const cursors: { position: number; writtenAt: number; syncedAt?: number }[] = [];
  const open = (): Promise<Log> => openLog({ directory: LOG, segmentMaxBytes: 1_500 }, runtime);
  let log = await open();
  let lane = await LaneState.open(runtime.disk, LANES, "one", () => ({ position: 0 }));
  const append = async (index: number): Promise<void> => {
    const text = `{"n":${index},"pad":"${"x".repeat(random.below(900))}"}`;
    const entry: Appended = { text, issuedAt: disk.operations.length };
    appended.push(entry);
    try {
      entry.position = await log.append(entryOf(text));
      entry.acknowledgedAt = disk.operations.length;
    } catch {
      // Refused: it may be anywhere or nowhere, and was promised nothing.
    }
  };
  for (let index = 0; index < appends; ) {
    const together = 1 + random.below(4);
    await Promise.all(Array.from({ length: together }, () => append(index++)));
    const roll = random.next();
    if (roll < 0.5) {
      const position = Math.max(cursors.at(-1)?.position ?? 0, random.below(log.head + 1));
      cursors.push({ position, writtenAt: disk.operations.length });
      await lane.write({ position });
    } else if (roll < 0.65) {
      await lane.sync();
      for (const cursor of cursors) cursor.syncedAt ??= disk.operations.length;
    } else if (roll < 0.75) {
      await log.retain({ maxAgeMs: 0, maxBytes: 6_000, hardMaxBytes: 6_000 }, clock.now(), log.head);
    } else if (roll < 0.83) {
      disk.capacityBytes = disk.capacityBytes === Number.POSITIVE_INFINITY ? 14_000 : Number.POSITIVE_INFINITY;
    } else if (roll < 0.9) {
      await log.close();
      await lane.close();
      for (const cursor of cursors) cursor.syncedAt ??= disk.operations.length;
      log = await open();
      lane = await LaneState.open(runtime.disk, LANES, "one", () => ({ position: 0 }));
    }
  }
  return { operations: disk.operations, appended, cursors };
}

/** Runs the workload and tries every crash point of it. */
export async function tryCrashPoints(options: CrashPointOptions): Promise<CrashPointResult> {
  const workload = await runWorkload(options);
  const { operations } = workload;
  const random = new SeededRandom(options.seed + 1);
  const durable = new Durable();
  const seen = new Set<string>();
  const failures: string[] = [];
  let points = 0;
  let recoveries = 0;
  let sampled = 0;
  for (let at = 0; at <= operations.length; at++) {
    points += 1;
    const choices = atoms(durable.pending);
    const exhaustive = 2 ** choices.length <= SUBSETS_MAX;
    if (!exhaustive) sampled += 1;
    const tries = exhaustive ? 2 ** choices.length : SUBSETS_MAX;
    for (let mask = 0; mask < tries; mask++) {
      const kept = choices.filter((_, index) =>
        exhaustive ? ((mask >> index) & 1) === 1 : mask === 0 ? false : mask === 1 ? true : random.chance(0.5),
      );
      const files = durable.state(kept);
      const key = `${at}:${digestOf(files)}`;
      if (seen.has(key)) continue;
      seen.add(key);
      recoveries += 3;
      const problem = await problemOf(files, at, workload);
      if (problem !== undefined)
        failures.push(
          `seed ${options.seed}, before operation ${at} (${operations[at]?.kind ?? "the end"}), state ${mask}: ${problem}`,
        );
    }
    const next = operations[at];
    if (next !== undefined) durable.apply(next);
  }
  return { operations: operations.length, points, states: seen.size, recoveries, sampled, failures };
}

async function problemOf(
  files: ReadonlyMap<string, Uint8Array>,
  at: number,
  workload: Workload,
): Promise<string | undefined> {
  const disk = SimDisk.of(files, [LOG, LANES]);
  const clock = new VirtualClock();
  const runtime = { disk, clock };
  const options = { directory: LOG, segmentMaxBytes: 1_500 };
  try {
    const log = await openLog(options, runtime);
    const records = new Map((await readAll(log)).map((record) => [record.first, Buffer.from(record.body).toString()]));
    const wrong = missingOrInvented(records, at, workload);
    if (wrong !== undefined) return wrong;
    const lane = await LaneState.open(disk, LANES, "one", () => ({ position: 0 }));
    const cursor = wrongCursor(lane.initial.position, at, workload);
    if (cursor !== undefined) return cursor;
    await log.close();
    const before = digestOf(contents(disk));
    const again = await openLog(options, runtime);
    if (again.recovery.tornBytes > 0 || again.head !== log.head || again.first !== log.first)
      return "a second recovery finds something else";
    if (digestOf(contents(disk)) !== before) return "a second recovery changes the disk";
    const position = await again.append(entryOf('"more"'));
    await again.close();
    const last = (await readAll(await openLog(options, runtime))).at(-1);
    if (last?.first !== position || Buffer.from(last.body).toString() !== '"more"')
      return "what is appended after it is lost";
    return undefined;
  } catch (error) {
    return `recovery fails: ${String(error)}`;
  }
}

function missingOrInvented(
  records: ReadonlyMap<number, string>,
  at: number,
  { operations, appended }: Workload,
): string | undefined {
  const removedBelow = keptFrom(operations, at);
  for (const { position, text, acknowledgedAt } of appended) {
    if (position === undefined || acknowledgedAt === undefined || acknowledgedAt > at || position < removedBelow)
      continue;
    if (records.get(position) !== text) return `the acknowledged record at ${position} is missing or changed`;
  }
  const issued = new Set(appended.filter(({ issuedAt }) => issuedAt <= at).map(({ text }) => text));
  for (const [position, text] of records)
    if (text !== '"more"' && !issued.has(text)) return `the record at ${position} was never appended`;
  if (new Set(records.values()).size !== records.size) return "a record is there twice";
  return undefined;
}

/**
 * Records below were in a segment that retention had begun to remove: its name is that of the next
 * one.
 */
function keptFrom(operations: readonly Operation[], at: number): number {
  let from = 0;
  const bases = new Set<number>();
  for (const operation of operations.slice(0, at)) {
    if (!("path" in operation) || !operation.path.startsWith(`${LOG}/`)) continue;
    const base = Number(operation.path.slice(LOG.length + 1, -".log".length));
    if (operation.kind === "link") bases.add(base);
    if (operation.kind !== "unlink") continue;
    bases.delete(base);
    const next = Math.min(...bases);
    // A segment that was created anew under the same name was empty.
    if (next > base && next !== Number.POSITIVE_INFINITY) from = Math.max(from, next);
  }
  return from;
}

function wrongCursor(position: number, at: number, { cursors }: Workload): string | undefined {
  const writtenLast = cursors.filter(({ writtenAt }) => writtenAt <= at).at(-1)?.position ?? 0;
  const syncedLast = cursors.filter(({ syncedAt }) => syncedAt !== undefined && syncedAt <= at).at(-1)?.position ?? 0;
  if (position > writtenLast) return `the cursor is at ${position}, past ${writtenLast}, the last one written`;
  if (position < syncedLast) return `the cursor is at ${position}, before ${syncedLast}, the last one synced`;
  return undefined;
}

export interface CorruptionResult {
  readonly bytes: number;
  readonly failures: readonly string[];
}

/**
 * Turns a bit in every byte of a log, one at a time: only the record it is in may be lost, and the
 * loss must be reported.
 */
export async function tryCorruption(seed: number, appends: number): Promise<CorruptionResult> {
  const random = new SeededRandom(seed);
  const clock = new VirtualClock();
  const original = new SimDisk();
  const options = { directory: LOG, segmentMaxBytes: 1_500 };
  const log = await openLog(options, { disk: original, clock });
  for (let index = 0; index < appends; index++)
    await log.append(entryOf(`{"n":${index},"pad":"${"x".repeat(random.below(300))}"}`));
  await log.close();
  const files = contents(original);
  const whole = await readAll(await openLog(options, { disk: SimDisk.of(files, [LOG]), clock }));
  const failures: string[] = [];
  let bytes = 0;
  for (const [path, data] of files) {
    for (let offset = 0; offset < data.length; offset++) {
      bytes += 1;
      const disk = SimDisk.of(files, [LOG]);
      disk.flipBit(path, offset, random.below(8));
      const where = `seed ${seed}, ${path} byte ${offset}`;
      try {
        const damaged = await openLog(options, { disk, clock });
        const left = new Map(
          (await readAll(damaged)).map((record) => [record.first, Buffer.from(record.body).toString()]),
        );
        const lost = whole.filter(({ first, body }) => left.get(first) !== Buffer.from(body).toString());
        if (lost.length > 1) failures.push(`${where}: ${lost.length} records are lost`);
        if (left.size > whole.length - lost.length) failures.push(`${where}: a record was invented`);
      } catch (error) {
        failures.push(`${where}: the log does not open: ${String(error)}`);
      }
    }
  }
  return { bytes, failures };
}

function entryOf(text: string): Parameters<Log["append"]>[0] {
  const body = Buffer.from(text);
  return { source: "s", receivedAtMs: 7, metadata: "", body: [body], ends: Uint32Array.of(body.length) };
}

async function readAll(log: Log): Promise<readonly LogRecord[]> {
  const reader = log.reader({ position: log.first });
  const records: LogRecord[] = [];
  for (let read = await reader.read(100_000); read.length > 0; read = await reader.read(100_000)) records.push(...read);
  await reader.close();
  return records;
}

function contents(disk: SimDisk): Map<string, Uint8Array> {
  return new Map(disk.paths().map((path) => [path, disk.contents(path)]));
}

function digestOf(files: ReadonlyMap<string, Uint8Array>): string {
  const hash = createHash("sha1");
  for (const path of [...files.keys()].sort())
    hash.update(`${path}\0${files.get(path)?.length}\0`).update(files.get(path) ?? "");
  return hash.digest("base64");
}

function failure(reason: "ENOENT" | "EEXIST" | "ENOSPC"): WaybillError {
  return new WaybillError("WAYBILL_DISK", reason, { reason });
}
