import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { messageOf, WaybillError } from "@waybill/core";
import { nodeClock } from "@waybill/node";
import { type AddCommand, wholeNumber } from "../command.ts";
import { EXIT, type Io, report, say, sayJson } from "../io.ts";
import { checkedKey, checkedUrl } from "../options.ts";
import { createProgress } from "../progress.ts";
import { type SendResult, sendLines } from "../send-lines.ts";
import { type CaOptions, trustedCa, withCaOption } from "../trusted-ca.ts";

interface SendOptions extends CaOptions {
  readonly url: string;
  readonly writeKey?: string;
  readonly batch: number;
  readonly concurrency: number;
  readonly attempts: number;
  readonly skipBad?: boolean;
  readonly json?: boolean;
}

export const addSendCommand: AddCommand = (program, io, finish) => {
  withCaOption(program.command("send <file>"))
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
    .option("--json", "print the result as JSON")
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
      const ca = trustedCa(options, io);
      const { ca: _ca, ...rest } = options;
      const startedAt = nodeClock.monotonic();
      const { input, totalBytes } = await openInput(file);
      const progress = createProgress(io, { total: totalBytes, unit: "events" });
      const result = await sendLines(input, {
        ...rest,
        ...(ca === undefined ? {} : { ca }),
        ...checked,
        skipBad: options.skipBad === true,
        onProgress: ({ bytes, events }) => progress.update(bytes, events),
        onProblem: (message) => progress.tell(message),
      }).finally(() => progress.stop());
      const seconds = (nodeClock.monotonic() - startedAt) / 1_000;
      finish(show(result, { seconds, json: options.json === true }, io));
    });
};

/** Returns the exit code. */
function show(
  { stopped, ...counts }: SendResult,
  { seconds, json }: { readonly seconds: number; readonly json: boolean },
  io: Io,
): number {
  const { accepted, rejected, failed, bad } = counts;
  const sent = accepted + rejected + failed;
  if (json) sayJson(io, { sent, ...counts, seconds, ...(stopped === undefined ? {} : { stopped: stopped.message }) });
  // Nothing was answered: there is nothing to count.
  else if (stopped === undefined || accepted + rejected > 0)
    say(
      io,
      `sent ${sent} accepted ${accepted} rejected ${rejected} failed ${failed} bad ${bad} in ${seconds.toFixed(1)} s (${Math.round(accepted / Math.max(seconds, 0.001))} ev/s)`,
    );
  if (stopped !== undefined) return report(stopped, io);
  return rejected + failed + bad === 0 ? EXIT.ok : EXIT.failed;
}

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
