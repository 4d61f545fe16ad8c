import { ConfigError, type RelayConfig } from "@waybill/relay";
import type { Command } from "commander";
import type { AddCommand } from "../command.ts";
import { counted } from "../counted.ts";
import { complain, EXIT, type Io, say, sayJson } from "../io.ts";
import { readConfig } from "../read-config.ts";

export const addConfigCommand: AddCommand = (program, io, finish) => {
  const config: Command = program.command("config").description("work with the relay's configuration file");
  config
    .command("check <file>")
    .description(
      "check a configuration file; prints every fault, and what will hardly do what was meant, with line, path and hint",
    )
    .option("--json", "print the result as JSON, also of a file that is wrong")
    .addHelpText(
      "after",
      "\nExit codes: 0 right (warnings are on standard error), 1 the file cannot be read, 78 wrong.\n\nExample:\n  waybill config check waybill.yaml",
    )
    .action(async (file: string, { json }: { readonly json?: boolean }) => {
      if (json === true) finish(await showJson(file, io));
      else show(file, await readConfig(file, io.env), io);
    });
};

function show(file: string, config: RelayConfig, io: Io): void {
  const { environments, sources, destinations, listen, dataDirectory, warnings } = shapeOf(config);
  for (const warning of warnings) complain(io, `warning: ${warning}`);
  say(
    io,
    `${file} is right: ${counted(environments, "environment")}, ${counted(sources, "source")}, ${counted(destinations, "destination")}, ` +
      `listens on ${listen}, log in ${dataDirectory}`,
  );
}

/** Returns the exit code. */
async function showJson(file: string, io: Io): Promise<number> {
  try {
    sayJson(io, { ok: true, file, faults: [], ...shapeOf(await readConfig(file, io.env)) });
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
