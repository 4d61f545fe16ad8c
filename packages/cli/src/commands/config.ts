import { ConfigError, type RelayConfig } from "@waybill/relay";
import type { Command } from "commander";
import type { AddCommand } from "../command.ts";
import { counted } from "../counted.ts";
import { complain, EXIT, type Io, say, sayJson } from "../io.ts";
import { readConfig, readConfigOffline } from "../read-config.ts";

export const addConfigCommand: AddCommand = (program, io, finish) => {
  const config: Command = program.command("config").description("work with the relay's configuration file");
  config
    .command("check <file>")
    .description(
      "check a configuration file; prints every fault, and what will hardly do what was meant, with line, path and hint",
    )
    .option("--offline", "where its secrets are not: name variables and files that are missing as not checked")
    .option("--json", "print the result as JSON, also of a file that is wrong")
    .addHelpText(
      "after",
      [
        "\nExit codes: 0 right (warnings are on standard error), 1 the file cannot be read, 78 wrong.",
        "\nExample:",
        "  waybill config check waybill.yaml",
        "  waybill config check --offline waybill.yaml",
      ].join("\n"),
    )
    .action(async (file: string, { json, offline = false }: CheckFlags) => {
      const check = (): Promise<Checked> => checked(file, offline, io);
      if (json === true) finish(await showJson(file, check, io));
      else show(file, await check(), io);
    });
};

interface CheckFlags {
  readonly json?: boolean;
  readonly offline?: boolean;
}

interface Checked {
  /** Absent where what is missing decides what the rest is. */
  readonly config: RelayConfig | undefined;
  /** Variables and files that are not here. */
  readonly notChecked: readonly string[];
}

async function checked(file: string, offline: boolean, io: Io): Promise<Checked> {
  if (offline) return await readConfigOffline(file, io.env);
  return { config: await readConfig(file, io.env), notChecked: [] };
}

function show(file: string, { config, notChecked }: Checked, io: Io): void {
  for (const warning of config?.warnings ?? []) complain(io, `warning: ${warning}`);
  for (const missing of notChecked) say(io, `not checked: ${missing}`);
  const rest = notChecked.length === 0 ? "" : ", but for what was not checked";
  say(io, `${file} is right${rest}${config === undefined ? "" : `: ${summaryOf(shapeOf(config))}`}`);
}

function summaryOf({ environments, sources, destinations, listen, dataDirectory }: Shape): string {
  return (
    `${counted(environments, "environment")}, ${counted(sources, "source")}, ${counted(destinations, "destination")}, ` +
    `listens on ${listen}, log in ${dataDirectory}`
  );
}

/** Returns the exit code. */
async function showJson(file: string, check: () => Promise<Checked>, io: Io): Promise<number> {
  try {
    const { config, notChecked } = await check();
    sayJson(io, { ok: true, file, faults: [], notChecked, ...(config === undefined ? {} : shapeOf(config)) });
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    sayJson(io, { ok: false, file, faults: error.faults });
    return EXIT.config;
  }
}

interface Shape {
  readonly environments: number;
  readonly sources: number;
  readonly destinations: number;
  readonly listen: string;
  readonly dataDirectory: string;
  readonly warnings: readonly string[];
}

function shapeOf({ environments, listen, dataDirectory, warnings = [] }: RelayConfig): Shape {
  return {
    environments: environments.length,
    sources: environments.reduce((total, { sources }) => total + sources.length, 0),
    destinations: environments.reduce((total, { destinations }) => total + destinations.length, 0),
    listen: `${listen.host}:${listen.port}`,
    dataDirectory,
    warnings,
  };
}
