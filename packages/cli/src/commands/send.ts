import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { messageOf, WaybillError } from "@waybill/core";
import { nodeRuntime } from "@waybill/node";
import { SingleBar } from "cli-progress";
import { type AddCommand, wholeNumber } from "../command.ts";
import { complain, EXIT, type Io, say } from "../io.ts";
import { checkedKey, checkedUrl } from "../options.ts";
import { type SendProgress, sendLines } from "../send-lines.ts";

interface SendOptions {
  readonly url: string;
  readonly writeKey?: string;
  readonly batch: number;
  readonly concurrency: number;
  readonly attempts: number;
  readonly skipBad?: boolean;
}

export const addSendCommand: AddCommand = (program, io, finish) => {
  program
    .command("send <file>")
    .description("send events from a file of one JSON object per line (NDJSON); - is standard input")
    .option("--url <url>", "the relay, or any Segment endpoint", "http://127.0.0.1:8080")
    .option("--write-key <key>", "the source's write key; also WAYBILL_WRITE_KEY")
    .option("--batch <events>", "events in one request", wholeNumber(1, 2_500), 500)
    .option(
      "--concurrency <requests>",
      "requests at once; with more than 1 the order between batches is not kept",
      wholeNumber(1, 64),
      4,
    )
    .option("--attempts <number>", "attempts per request before its events count as failed", wholeNumber(1, 1_000), 10)
    .option("--skip-bad", "go on after a line that is not an event, and count it as bad")
    .addHelpText(
      "after",
      "\nEvents without a messageId get one, so that a retry stores nothing twice.\nExit code 0 only when every line was accepted.\n\nExample:\n  waybill send events.ndjson --write-key dev",
    )
    .action(async (file: string, options: SendOptions) => {
      const writeKey = options.writeKey ?? io.env["WAYBILL_WRITE_KEY"];
      if (writeKey === undefined)
        throw new WaybillError("WAYBILL_INPUT", "No write key is given", {
          hint: "Give it with --write-key, or in WAYBILL_WRITE_KEY.",
        });
      const checked = { writeKey: checkedKey(writeKey, "The write key"), url: checkedUrl(options.url, "--url") };
      const { clock } = nodeRuntime();
      const startedAt = clock.monotonic();
      const { input, totalBytes } = await openInput(file);
      const bar = progressBar(io, totalBytes);
      const result = await sendLines(input, {
        ...options,
        ...checked,
        skipBad: options.skipBad === true,
        onProgress: bar.update,
        onProblem: (message) => bar.say(message),
      });
      bar.stop();
      const seconds = (clock.monotonic() - startedAt) / 1_000;
      const { accepted, rejected, failed, bad } = result;
      const sent = accepted + rejected + failed;
      say(
        io,
        `sent ${sent} accepted ${accepted} rejected ${rejected} failed ${failed} bad ${bad} in ${seconds.toFixed(1)} s (${Math.round(accepted / Math.max(seconds, 0.001))} ev/s)`,
      );
      finish(rejected + failed + bad === 0 ? EXIT.ok : EXIT.failed);
    });
};

async function openInput(file: string): Promise<{ readonly input: Readable; readonly totalBytes: number | undefined }> {
  if (file === "-") return { input: process.stdin, totalBytes: undefined };
  try {
    const handle = await open(file);
    const stats = await handle.stat();
    if (!stats.isDirectory())
      return { input: handle.createReadStream(), totalBytes: stats.isFile() ? stats.size : undefined };
    await handle.close();
    throw new Error("it is a directory");
  } catch (error) {
    throw new WaybillError("WAYBILL_INPUT", `Cannot read ${file}: ${messageOf(error)}`, {
      hint: "Give the path of an NDJSON file, or - for standard input.",
    });
  }
}

/** A bar with rate and time left on a terminal; nothing elsewhere. */
function progressBar(
  io: Io,
  totalBytes: number | undefined,
): {
  readonly update: (progress: SendProgress) => void;
  readonly say: (message: string) => void;
  readonly stop: () => void;
} {
  const { err } = io;
  const tell = (message: string): void => complain(io, message);
  if (err.isTTY !== true) return { update: () => undefined, say: tell, stop: () => undefined };
  const format =
    totalBytes === undefined
      ? "{events} events, {rate} ev/s, {duration_formatted}"
      : "{bar} {percentage} %, {events} events, {rate} ev/s, {eta_formatted} left";
  const bar = new SingleBar({ format, stream: err, hideCursor: true, etaBuffer: 50 });
  const { clock } = nodeRuntime();
  const startedAt = clock.monotonic();
  bar.start(totalBytes ?? 1, 0, { events: 0, rate: 0 });
  return {
    update: ({ bytes, events }) => {
      const rate = Math.round((events * 1_000) / Math.max(1, clock.monotonic() - startedAt));
      bar.update(totalBytes === undefined ? 0 : bytes, { events, rate });
    },
    say: tell,
    stop: () => bar.stop(),
  };
}
