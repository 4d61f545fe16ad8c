/**
 * MB/s appended durably in records of 30 KB while 64 appends are under way, so that a wave gathers
 * while the one before it is synced; beside bare `writev` + `fdatasync` of the same bytes in groups
 * of 32.
 */
import { closeSync, fdatasync, mkdtempSync, openSync, rmSync, writev } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLog } from "@waybill/log";
import { nodeRuntime } from "@waybill/node";
import { publish, say } from "../lib/result.ts";
import { round, summarise } from "../lib/statistics.ts";

export interface LogBenchOptions {
  readonly rounds: number;
  readonly records: number;
  readonly publish: boolean;
}

export const FULL: LogBenchOptions = { rounds: 7, records: 16_384, publish: true };
export const QUICK: LogBenchOptions = { rounds: 1, records: 640, publish: false };

const GROUP = 32;
const IN_FLIGHT = 2 * GROUP;
const EVENTS = 100;
const EVENT = `{"type":"track","messageId":"01a1fbe8-3ed8-7000-8000-000000000000","note":"${"x".repeat(220)}"}`;
const BODY = Buffer.from(new Array<string>(EVENTS).fill(EVENT).join(","));
const ENDS = Uint32Array.from({ length: EVENTS }, (_, index) => (index + 1) * (EVENT.length + 1) - 1);

interface LogResult {
  readonly scenario: "log";
  readonly megabytesPerSecond: number;
  readonly floorMegabytesPerSecond: number;
  readonly ofFloor: number;
  readonly spread: number;
  readonly floorSpread: number;
  readonly lost: number;
}

export async function run(options: LogBenchOptions): Promise<LogResult> {
  const ours: number[] = [];
  const floor: number[] = [];
  let lost = 0;
  for (let number = 0; number <= options.rounds; number++) {
    const floorRate = await measureFloor(options.records);
    const measured = await measureLog(options.records);
    lost += measured.lost;
    // The first round warms up.
    if (number === 0 && options.rounds > 1) continue;
    floor.push(floorRate);
    ours.push(measured.rate);
    say(`round ${number}: floor ${Math.round(floorRate)} MB/s, log ${Math.round(measured.rate)} MB/s`);
  }
  const our = summarise(ours);
  const bare = summarise(floor);
  const result: LogResult = {
    scenario: "log",
    megabytesPerSecond: round(our.median),
    floorMegabytesPerSecond: round(bare.median),
    ofFloor: round(our.median / bare.median),
    spread: round(our.spread),
    floorSpread: round(bare.spread),
    lost,
  };
  publish("log", result, options.publish);
  return result;
}

export function failed({ lost }: LogResult): boolean {
  return lost > 0;
}

async function measureLog(records: number): Promise<{ readonly rate: number; readonly lost: number }> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-bench-"));
  const runtime = nodeRuntime();
  const log = await openLog({ directory: `${directory}/log` }, runtime);
  const startedAt = performance.now();
  let left = records;
  const appendMany = async (): Promise<void> => {
    while (left-- > 0) await log.append({ source: "bench", receivedAtMs: 0, metadata: "", body: [BODY], ends: ENDS });
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, appendMany));
  const seconds = (performance.now() - startedAt) / 1_000;
  await log.close();
  const again = await openLog({ directory: `${directory}/log` }, runtime);
  const lost = records * EVENTS - again.head;
  await again.close();
  rmSync(directory, { recursive: true, force: true });
  return { rate: (records * BODY.length) / 1e6 / seconds, lost };
}

async function measureFloor(records: number): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-bench-"));
  const file = openSync(join(directory, "floor"), "w");
  const group = new Array<Buffer>(GROUP).fill(BODY);
  const startedAt = performance.now();
  for (let done = 0; done < records; done += GROUP) await writeDurably(file, group);
  const seconds = (performance.now() - startedAt) / 1_000;
  closeSync(file);
  rmSync(directory, { recursive: true, force: true });
  return (records * BODY.length) / 1e6 / seconds;
}

function writeDurably(file: number, buffers: readonly Buffer[]): Promise<void> {
  return new Promise((resolve, reject) => {
    writev(file, buffers, (writeError) => {
      if (writeError !== null) return reject(writeError);
      fdatasync(file, (syncError) => (syncError === null ? resolve() : reject(syncError)));
    });
  });
}
