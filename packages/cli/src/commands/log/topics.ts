/** The commands' other log: that of an environment on Kafka, by a configuration. */
import { WaybillError } from "@waybill/core";
import { nodeRuntime } from "@waybill/node";
import type { PartitionReport, TopicReader, WalkedValue } from "@waybill/relay/offline";
import { counted } from "../../counted.ts";
import { complain, EXIT, type Io, say, sayJson } from "../../io.ts";
import { LineWriter } from "../../line-writer.ts";
import { readConfig } from "../../read-config.ts";
import { type DumpOptions, linesOf } from "./lines.ts";

export interface TopicsOf {
  readonly config: string;
  readonly environment: string;
}

/** For the help of each command. */
export const TOPICS = "\nWith --config the argument is the name of an environment of that file, whose log is on Kafka.";

type Side = Parameters<typeof import("@waybill/relay/offline").verifyTopics>[0];

/** **Errors**: `WAYBILL_INPUT`, those of the configuration and of the cluster. */
async function withTopics<T>(
  { config: file, environment }: TopicsOf,
  io: Io,
  run: (side: Side, offline: typeof import("@waybill/relay/offline")) => Promise<T>,
): Promise<T> {
  const config = await readConfig(file, io.env);
  const { kafka, dedupe, retention, environments, permissions } = config;
  const found = environments.find(({ name }) => name === environment);
  if (kafka === undefined)
    throw new WaybillError("WAYBILL_INPUT", `${file} has engine: disk`, { hint: "Give the directory of the log." });
  if (found === undefined)
    throw new WaybillError("WAYBILL_INPUT", `${file} has no environment ${environment}`, {
      hint: `It has ${environments.map(({ name }) => name).join(", ")}.`,
    });
  const offline = await import("@waybill/relay/offline");
  const runtime = nodeRuntime({ permissions });
  return offline.withBroker(kafka, runtime.clock, (broker) =>
    run({ config: found, kafka, broker, runtime, dedupe, retention }, offline),
  );
}

/** Returns the exit code. */
export function verifyOnTopics(of: TopicsOf, isJson: boolean, io: Io): Promise<number> {
  return withTopics(of, io, async (side, { verifyTopics }) => {
    let isWhole = true;
    for await (const report of verifyTopics(side)) {
      const whole = report.damaged.length === 0 && report.lanes.every(({ faults }) => faults.length === 0);
      isWhole &&= whole;
      if (isJson) sayJson(io, { whole, ...report });
      else show(of.environment, report, io);
    }
    return isWhole ? EXIT.ok : EXIT.failed;
  });
}

function show(environment: string, report: PartitionReport, io: Io): void {
  const { partition, first, end, records, events, bytes, damaged, lanes } = report;
  for (const one of damaged)
    say(io, `damaged: ${one.topic}-${partition} offset ${one.offset}, ${counted(one.bytes, "byte")}`);
  say(
    io,
    `${environment}/${partition}: offsets ${first} to ${end}, ${counted(records, "record")}, ${counted(events, "event")}, ${counted(bytes, "byte")}: ${damaged.length === 0 ? "whole" : `${damaged.length} damaged`}`,
  );
  for (const { lane, settled, known, faults } of lanes) {
    say(io, `  lane ${lane}: ${counted(settled, "event")} settled, the outcome of ${known} known one by one`);
    for (const fault of faults) say(io, `  lane ${lane}: ${fault}`);
  }
}

/** Partition by partition. Returns the exit code. */
export function dumpTopics(of: TopicsOf, options: DumpOptions, io: Io): Promise<number> {
  return withReader(of, io, async (reader) => {
    const writer = new LineWriter(io);
    let damaged = false;
    for (const bounds of await reader.bounds()) {
      for await (const walked of reader.walk(bounds)) {
        if (writer.isGone) return EXIT.ok;
        damaged ||= walked.kind === "damaged";
        await writer.write(linesOfValue(walked, { reader, options, io }));
      }
    }
    await writer.flush();
    return damaged ? EXIT.failed : EXIT.ok;
  });
}

function withReader<T>(of: TopicsOf, io: Io, run: (reader: TopicReader) => Promise<T>): Promise<T> {
  return withTopics(of, io, ({ kafka, broker, runtime }, offline) =>
    run(new offline.TopicReader({ environment: of.environment, kafka, broker, clock: runtime.clock })),
  );
}

interface Shown {
  readonly reader: TopicReader;
  readonly options: DumpOptions;
  readonly io: Io;
}

function linesOfValue(walked: WalkedValue, { reader, options, io }: Shown): Buffer[] {
  const { partition, offset } = walked;
  if (walked.kind === "damaged") {
    complain(io, `damaged: ${reader.topic}-${partition} offset ${offset}, ${counted(walked.bytes, "byte")}`);
    return [];
  }
  const receipt = (index: number): string => `"receipt":"${reader.receiptOf(walked, index)}"`;
  return linesOf(walked.record, options, receipt);
}

/**
 * The newest events of all partitions, by when they were received; then, as long as `goOn`
 * resolves to true, those that come.
 */
export function tailTopics(
  of: TopicsOf,
  { events, raw }: { readonly events: number; readonly raw: boolean },
  io: Io,
  goOn: () => Promise<boolean>,
): Promise<void> {
  return withReader(of, io, async (reader) => {
    const writer = new LineWriter(io);
    const shown = { reader, options: { raw }, io };
    const newest: { readonly atMs: number; readonly line: Buffer }[] = [];
    const ends = new Map<number, number>();
    for (const bounds of await reader.bounds()) {
      ends.set(bounds.partition, bounds.end);
      const first = Math.max(bounds.first, bounds.end - events);
      for await (const walked of reader.walk({ ...bounds, first })) {
        const atMs = walked.kind === "record" ? walked.record.receivedAtMs : 0;
        for (const line of wholeLines(linesOfValue(walked, shown))) newest.push({ atMs, line });
      }
    }
    newest.sort((one, other) => one.atMs - other.atMs);
    await writer.write(events === 0 ? [] : newest.slice(-events).map(({ line }) => line));
    await writer.flush();
    while (!writer.isGone && (await goOn())) {
      for (const bounds of await reader.bounds()) {
        const first = ends.get(bounds.partition) ?? bounds.first;
        for await (const walked of reader.walk({ ...bounds, first })) await writer.write(linesOfValue(walked, shown));
        ends.set(bounds.partition, Math.max(first, bounds.end));
      }
      await writer.flush();
    }
  });
}

const NEWLINE = 0x0a;

/** An event's line may be in several pieces. */
function wholeLines(pieces: readonly Buffer[]): Buffer[] {
  const lines: Buffer[] = [];
  let line: Buffer[] = [];
  for (const piece of pieces) {
    line.push(piece);
    if (piece.at(-1) !== NEWLINE) continue;
    lines.push(Buffer.concat(line));
    line = [];
  }
  return lines;
}
