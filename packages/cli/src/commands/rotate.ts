import { open } from "node:fs/promises";
import { messageOf, WaybillError } from "@waybill/core";
import { duration } from "@waybill/vendors/config";
import { InvalidArgumentError, Option } from "commander";
import { type AdminOptions, callAdmin, understood, withAdminOptions } from "../admin-client.ts";
import { type AddCommand, partsOf } from "../command.ts";
import { type Io, say, sayJson } from "../io.ts";
import { checkedKey } from "../options.ts";
import { durationText } from "../terminal/units.ts";
import { complainOfUnconfirmed } from "../unconfirmed.ts";

interface RotateOptions extends AdminOptions {
  readonly source?: boolean;
  readonly keyFile?: string;
  readonly keyEnv?: string;
  readonly grace?: number;
  readonly kind?: "mobile" | "js";
  readonly json?: boolean;
}

/** More than any key has. */
const KEY_MAX_BYTES = 64 * 1024;
const GIVE_IT =
  "Give it on standard input, with --key-file or with --key-env; not as an argument, which others can see.";

export const addRotateCommand: AddCommand = (program, io) => {
  withAdminOptions(program.command("rotate"))
    .description("give a destination, or a source, a new key; it holds until the configuration has it")
    .argument("<environment/destination>", "whose key; with --source environment/source")
    .option("--source", "the key of a source, with which events come in")
    .option("--key-file <file>", "the new key is in this file; -, the default, is standard input")
    .option("--key-env <name>", "the new key is in this environment variable")
    .option("--grace <duration>", "how long the keys before it may still be used: 0s, 30m, 2d (default: 1h)", grace)
    .addOption(new Option("--kind <kind>", "which of LaunchDarkly's kinds of keys").choices(["mobile", "js"]))
    .option("--json", "print the answer of the admin API")
    .addHelpText(
      "after",
      "\nExample:\n  waybill rotate production/segment < new-key.txt\n  waybill rotate production/web --source --key-env NEW_KEY --grace 2d",
    )
    .action(async (name: string, options: RotateOptions) => {
      const { kind, grace: graceMs } = options;
      const what = options.source === true ? "source" : "destination";
      const [environment, target] = partsOf(name, { what, format: `environment/${what}` });
      const key = await newKey(options, io);
      const body = {
        key,
        ...(graceMs === undefined ? {} : { graceMs }),
        ...(kind === undefined ? {} : { kind }),
      };
      const answer =
        options.source === true
          ? await callAdmin(options, io, "rotateSourceKey", { params: { environment, source: target }, body })
          : await callAdmin(options, io, "rotateDestinationKey", {
              params: { environment, destination: target },
              body,
            });
      if (options.json === true) return sayJson(io, answer);
      if (answer.unconfirmed !== undefined) complainOfUnconfirmed(io, answer.unconfirmed);
      say(
        io,
        understood(options, () =>
          options.source === true
            ? `${name} takes the new key from now on; ${beforeText(answer.graceMs)}.`
            : `${name} uses the new key from its next request on${refusedText(answer.graceMs)}.`,
        ),
      );
      say(io, "Put the new key into the configuration: until then the relay keeps it.");
    });
};

function beforeText(graceMs: number): string {
  return `the keys before it are ${graceMs === 0 ? "no longer valid" : `valid for another ${durationText(graceMs)}`}`;
}

function refusedText(graceMs: number): string {
  const grace = durationText(graceMs);
  return graceMs === 0 ? "" : `; if the vendor refuses it within ${grace}, the key before it is used again`;
}

const GRACE = duration({ description: "Grace" });

function grace(text: string): number {
  const { success, data } = GRACE.safeParse(text);
  if (!success) throw new InvalidArgumentError("Write it as 0s, 30m, 1h or 2d.");
  return data;
}

/** Without the end of its line. **Errors**: `WAYBILL_INPUT`. */
async function newKey({ keyFile, keyEnv }: RotateOptions, io: Io): Promise<string> {
  if (keyFile !== undefined && keyEnv !== undefined)
    throw new WaybillError("WAYBILL_INPUT", "--key-file and --key-env were both given", { hint: GIVE_IT });
  if (keyEnv !== undefined) {
    const key = io.env[keyEnv];
    if (key === undefined) throw new WaybillError("WAYBILL_INPUT", `${keyEnv} is not set`, { hint: GIVE_IT });
    return checkedKey(key, "The new key");
  }
  const file = keyFile ?? "-";
  if (file === "-" && process.stdin.isTTY)
    throw new WaybillError("WAYBILL_INPUT", "No new key is given", { hint: GIVE_IT });
  return checkedKey((await textOf(file)).replace(/\r?\n$/, ""), "The new key");
}

async function textOf(file: string): Promise<string> {
  try {
    if (file === "-") return await shortText(process.stdin as AsyncIterable<Buffer>);
    const handle = await open(file);
    try {
      return await shortText(handle.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>);
    } finally {
      await handle.close();
    }
  } catch (error) {
    const name = file === "-" ? "standard input" : file;
    throw new WaybillError("WAYBILL_INPUT", `Cannot read the new key from ${name}: ${messageOf(error)}`, {
      hint: GIVE_IT,
    });
  }
}

async function shortText(input: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > KEY_MAX_BYTES) throw new Error(`it has more than ${KEY_MAX_BYTES} bytes`);
  }
  return Buffer.concat(chunks).toString();
}
