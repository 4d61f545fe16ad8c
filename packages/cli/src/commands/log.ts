import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { printable, sleep, WaybillError } from "@waybill/core";
import {
  type FilePlace,
  type LogRecord,
  repairLog,
  segmentNames,
  verifyLanes,
  verifyLog,
  type Walked,
  walkLog,
} from "@waybill/log";
import { LOCK_NAME, lockDirectory, nodeDisk, nodeRuntime } from "@waybill/node";
import type { Command } from "commander";
import { type AddCommand, wholeNumber } from "../command.ts";
import { counted } from "../counted.ts";
import { complain, EXIT, type Io, report, say } from "../io.ts";
import { LineWriter, NEWLINE } from "../line-writer.ts";

interface DumpOptions {
  readonly from?: number;
  readonly to?: number;
  readonly since?: string;
  readonly until?: string;
  readonly source?: string;
  readonly raw?: boolean;
}

const DIRECTORY = "\nThe directory is that of the segments: <dataDirectory>/<environment>/log";
const FOLLOW_MS = 500;
const POSITION = wholeNumber(0, Number.MAX_SAFE_INTEGER);

const addVerify: AddCommand = (log, io, finish) => {
  log
    .command("verify <directory>")
    .description(
      "read every record of a log against its checksum, and check each lane's ledger against the outcomes of its events; changes nothing, also while a relay runs",
    )
    .addHelpText(
      "after",
      `${DIRECTORY}; the lanes are looked for beside it.\nExit codes: 0 whole, 1 something is damaged or does not agree, 2 there is no log.\n\nExample:\n  waybill log verify ./waybill-data/production/log`,
    )
    .action(async (directory: string) => {
      const missing = await missingLog(directory);
      if (missing !== undefined) {
        report(missing, io);
        return finish(EXIT.usage);
      }
      const { segments, first, records, events, bytes, damaged, tornBytes } = await verifyLog(directory, nodeDisk);
      for (const range of damaged)
        say(
          io,
          `damaged: ${range.segment} bytes ${range.offset} to ${range.offset + range.bytes}, ${counted(range.events, "event")} lost`,
        );
      if (tornBytes > 0)
        say(
          io,
          `torn: ${tornBytes} bytes of an unfinished write at the end, never acknowledged; the next start cuts them`,
        );
      say(
        io,
        `${counted(segments, "segment")}, ${counted(records, "record")}, ${counted(events, "event")}, ${counted(bytes, "byte")}: ${damaged.length === 0 ? "whole" : `${damaged.length} damaged`}`,
      );
      const lanes = await verifyLanes(resolve(directory, ".."), first, nodeDisk);
      for (const { lane, settled, known, faults } of lanes) {
        say(
          io,
          `lane ${printable(lane)}: ${counted(settled, "event")} settled, the outcome of ${known} known one by one`,
        );
        for (const fault of faults) say(io, `lane ${printable(lane)}: ${fault}`);
      }
      const isWhole = damaged.length === 0 && lanes.every(({ faults }) => faults.length === 0);
      finish(isWhole ? EXIT.ok : EXIT.failed);
    });
};

const addRepair: AddCommand = (log, io) => {
  log
    .command("repair <directory>")
    .description("set aside what is damaged and cut what is unfinished; what is whole stays, at its positions")
    .option("--dry-run", "only say what would be done")
    .addHelpText(
      "after",
      `${DIRECTORY}; no relay may use it.\nDamaged bytes are copied to <directory>/damaged first. Exit codes: 0 done or nothing to do, 1 failed.\n\nExample:\n  waybill log repair ./waybill-data/production/log --dry-run`,
    )
    .action(async (directory: string, { dryRun = false }: { readonly dryRun?: boolean }) => {
      await segmentsOf(directory);
      const lock = dryRun ? undefined : await lockDirectory(lockedDirectoryOf(directory));
      try {
        const repairs = await repairLog(directory, nodeDisk, { dryRun });
        for (const { segment, removed, lost } of repairs) {
          for (const { offset, bytes, copy } of removed)
            say(
              io,
              `${segment}: ${bytes} bytes at ${offset} ${copy === undefined ? "were an unfinished write, cut" : `damaged, copied to ${copy}`}`,
            );
          for (const { from, to } of lost) say(io, `${segment}: positions ${from} to ${to - 1} are lost`);
        }
        const what =
          repairs.length === 0
            ? "nothing to repair"
            : `${counted(repairs.length, "segment")} ${dryRun ? "would be" : ""} repaired`;
        say(io, `${what.replace("  ", " ")}`);
      } finally {
        await lock?.release();
      }
    });
};

const addDump: AddCommand = (log, io, finish) => {
  log
    .command("dump <directory>")
    .description("write the events to standard output, one JSON object per line; also while a relay runs")
    .option("--from <position>", "begin here", POSITION)
    .option("--to <position>", "end before this one", POSITION)
    .option("--since <time>", "received then or later: ISO 8601")
    .option("--until <time>", "received before then")
    .option("--source <name>", "only of this source")
    .option("--raw", "only the events, as they were stored")
    .addHelpText(
      "after",
      `${DIRECTORY}\nExit codes: 0 whole, 1 a damaged place was passed over (it is named on standard error).\n\nExample:\n  waybill log dump ./waybill-data/production/log --raw > events.ndjson`,
    )
    .action(async (directory: string, options: DumpOptions) => {
      await segmentsOf(directory);
      finish(await dump(walkLog(directory, nodeDisk), options, io));
    });
};

const addTail: AddCommand = (log, io) => {
  log
    .command("tail <directory>")
    .description("show the newest events of a log on disk; waybill tail asks a running relay instead")
    .option("-n, --events <number>", "how many", wholeNumber(0, 1_000_000), 10)
    .option("--follow", "go on as the log grows, until Ctrl-C")
    .option("--raw", "only the events, as they were stored")
    .addHelpText("after", `${DIRECTORY}\n\nExample:\n  waybill log tail ./waybill-data/production/log --follow`)
    .action(
      async (
        directory: string,
        options: { readonly events: number; readonly follow?: boolean; readonly raw?: boolean },
      ) => {
        const { from, place } = await newest(directory, options.events);
        const raw = options.raw === true ? { raw: true } : {};
        let next = await dumpOn(walkLog(directory, nodeDisk, place), { from, ...raw }, io, place);
        if (options.follow !== true) return;
        const stop = new AbortController();
        io.onStop(() => stop.abort());
        io.onGone(() => stop.abort());
        const { clock } = nodeRuntime();
        while (await sleep(clock, FOLLOW_MS, stop.signal))
          next = await dumpOn(walkLog(directory, nodeDisk, next), raw, io, next);
      },
    );
};

export const addLogCommand: AddCommand = (program, io, finish) => {
  const log: Command = program.command("log").description("work with the log on disk");
  for (const add of [addVerify, addRepair, addDump, addTail]) add(log, io, finish);
};

/**
 * A relay locks its data directory, two levels above its segments, a spool the one above. Where
 * none of them has run no lock lies yet.
 */
function lockedDirectoryOf(directory: string): string {
  const relay = resolve(directory, "../..");
  return existsSync(resolve(relay, LOCK_NAME)) ? relay : resolve(directory, "..");
}

/** What to say when there is no log in `directory`; nothing is created. */
async function missingLog(directory: string): Promise<WaybillError | undefined> {
  const isFolder = statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isFolder && (await segmentNames(directory, nodeDisk)).length > 0) return undefined;
  const nearby = join(directory, "log");
  const segments = await segmentNames(nearby, nodeDisk).catch((): readonly string[] => []);
  const hint = segments.length > 0 ? `Did you mean ${nearby}?` : "Give <dataDirectory>/<environment>/log.";
  return new WaybillError("WAYBILL_INPUT", `There is no log in ${directory}`, { hint });
}

/** **Errors**: `WAYBILL_INPUT` when there is no log. */
async function segmentsOf(directory: string): Promise<readonly string[]> {
  const names = await segmentNames(directory, nodeDisk);
  if (names.length === 0)
    throw new WaybillError("WAYBILL_INPUT", `There are no segments in ${directory}`, {
      hint: "Give <dataDirectory>/<environment>/log.",
    });
  return names;
}

/** Writes what is asked for; damage is named on standard error. Returns the exit code. */
async function dump(walk: AsyncGenerator<Walked>, options: DumpOptions, io: Io): Promise<number> {
  let damaged = false;
  const writer = new LineWriter(io);
  for await (const walked of walk) {
    if (writer.isGone) break;
    if (walked.kind === "record") await writer.write(linesOf(walked.record, options));
    else if (walked.kind === "damaged") {
      damaged = true;
      complain(io, `damaged: ${walked.segment} bytes ${walked.offset} to ${walked.offset + walked.bytes}`);
    }
  }
  await writer.flush();
  return damaged ? EXIT.failed : EXIT.ok;
}

/** Dumps, and says where the next walk should begin. */
async function dumpOn(
  walk: AsyncGenerator<Walked>,
  options: DumpOptions,
  io: Io,
  from: FilePlace | undefined,
): Promise<FilePlace | undefined> {
  let place = from;
  async function* noted(): AsyncGenerator<Walked> {
    for await (const walked of walk) {
      if (walked.kind === "record")
        place = { segment: walked.segment, offset: walked.offset + walked.record.sizeBytes };
      yield walked;
    }
  }
  await dump(noted(), options, io);
  return place;
}

/** Where the newest `events` begin: a position, and a place at or before it. */
async function newest(
  directory: string,
  events: number,
): Promise<{ readonly from: number; readonly place: FilePlace }> {
  const names = await segmentsOf(directory);
  for (const segment of [...names].reverse()) {
    const place = { segment, offset: 64 };
    let first: number | undefined;
    let head = 0;
    for await (const walked of walkLog(directory, nodeDisk, place)) {
      if (walked.kind !== "record") continue;
      first ??= walked.record.first;
      head = walked.record.first + walked.record.count;
    }
    if ((first !== undefined && head - first >= events) || segment === names[0])
      return { from: Math.max(0, head - events), place };
  }
  throw new Error("unreachable: the oldest segment ends the search");
}

/**
 * The lines of a record's events that are asked for; the events' own bytes are copied, never
 * parsed.
 */
function linesOf(record: LogRecord, options: DumpOptions): Buffer[] {
  const { first, count, source, receivedAtMs, metadata, body, ends } = record;
  const { from = 0, to = Number.POSITIVE_INFINITY, raw = false } = options;
  if (options.source !== undefined && options.source !== source) return [];
  if (receivedAtMs < timeOf(options.since, 0) || receivedAtMs >= timeOf(options.until, Number.POSITIVE_INFINITY))
    return [];
  const rest = `,"receivedAt":"${new Date(receivedAtMs).toISOString()}","source":${JSON.stringify(source)}${metadata === "" ? "" : `,"metadata":${JSON.stringify(metadata)}`},"event":`;
  const lines: Buffer[] = [];
  for (let index = 0; index < count; index++) {
    const position = first + index;
    if (position < from || position >= to) continue;
    const start = index === 0 ? 0 : (ends[index - 1] as number) + 1;
    const event = oneLine(body.subarray(start, ends[index]));
    if (raw) lines.push(event, NEWLINE);
    else lines.push(Buffer.from(`{"position":${position}${rest}`), event, CLOSED);
  }
  return lines;
}

const CLOSED = Buffer.from("}\n");

/** Line ends within an event are white space of its JSON: texts cannot hold them. */
function oneLine(event: Uint8Array): Buffer {
  const line = Buffer.from(event);
  for (const end of LINE_ENDS)
    for (let at = line.indexOf(end); at !== -1; at = line.indexOf(end, at + 1)) line[at] = SPACE;
  return line;
}

const LINE_ENDS = [0x0a, 0x0d];
const SPACE = 0x20;

function timeOf(text: string | undefined, otherwise: number): number {
  const ms = text === undefined ? otherwise : Date.parse(text);
  if (Number.isNaN(ms))
    throw new WaybillError("WAYBILL_INPUT", `${text} is not a time`, { hint: "Write it as 2026-03-01T00:00:00Z." });
  return ms;
}
