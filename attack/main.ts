/**
 * `npm run -s attack`: a real relay, real sockets, on loopback; each case is one attack and what
 * must hold after it. One line per case as it ends, then one JSON object; exit 1 unless all
 * survived, no relay ended by itself, its event loop was never blocked for more than 50 ms and its
 * memory stayed under 512 MB.
 */
import { parseArgs } from "node:util";
import { ATTACKS } from "./cases/index.ts";
import { Broken } from "./lib/check.ts";
import { runAttacks } from "./lib/run.ts";
import { BLOCKED_MAX_MS, RSS_MAX_MB } from "./lib/stage.ts";

const USAGE = `usage: npm run -s attack -- [--only NAME] [--quick] [--list] [--help]

  --only NAME   the cases whose name contains NAME
  --quick       the cases that npm test runs
  --list        names the cases and what must hold, and runs none
`;
const OPTIONS = {
  only: { type: "string" },
  quick: { type: "boolean" },
  list: { type: "boolean" },
  help: { type: "boolean" },
} as const;

// What a case left running may fail after it ended; what it did not hold is reported by then.
process.on("unhandledRejection", (error) => {
  if (!(error instanceof Broken)) throw error;
});
// A connection that a failed case left open must not hold the end up.
process.exit(await main());

async function main(): Promise<number> {
  const flags = readFlags();
  if (flags === undefined) return 2;
  if (flags.help === true) return write(USAGE, 0);
  const { only = "", quick = false } = flags;
  const chosen = ATTACKS.filter((attack) => attack.name.includes(only) && (!quick || attack.quick === true));
  if (chosen.length === 0) return write(`no case has ${only} in its name; see --list\n`, 2);
  if (flags.list === true) return write(chosen.map(({ name, holds }) => `${name}: ${holds}\n`).join(""), 0);
  const result = await runAttacks(chosen, (line) => process.stdout.write(`${line}\n`));
  const isGood =
    result.failed.length === 0 &&
    result.exits === 0 &&
    result.loopBlockedMsMax <= BLOCKED_MAX_MS &&
    result.peakRssMb < RSS_MAX_MB;
  return write(`${JSON.stringify(result)}\n`, isGood ? 0 : 1);
}

function readFlags(): { only?: string; quick?: boolean; list?: boolean; help?: boolean } | undefined {
  try {
    return parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}`);
    return undefined;
  }
}

function write(text: string, code: number): number {
  process.stdout.write(text);
  return code;
}
