import type { Command } from "commander";
import type { AddCommand } from "../command.ts";
import { counted } from "../counted.ts";
import { complain, say } from "../io.ts";
import { readConfig } from "../read-config.ts";

export const addConfigCommand: AddCommand = (program, io) => {
  const config: Command = program.command("config").description("work with the relay's configuration file");
  config
    .command("check <file>")
    .description(
      "check a configuration file; prints every fault, and what will hardly do what was meant, with line, path and hint",
    )
    .addHelpText(
      "after",
      "\nExit codes: 0 right (warnings are on standard error), 78 wrong.\n\nExample:\n  waybill config check waybill.yaml",
    )
    .action(async (file: string) => {
      const { environments, listen, dataDirectory, warnings = [] } = await readConfig(file, io.env);
      const sources = environments.reduce((total, environment) => total + environment.sources.length, 0);
      const destinations = environments.reduce((total, environment) => total + environment.destinations.length, 0);
      for (const warning of warnings) complain(io, `warning: ${warning}`);
      say(
        io,
        `${file} is right: ${counted(environments.length, "environment")}, ${counted(sources, "source")}, ${counted(destinations, "destination")}, ` +
          `listens on ${listen.host}:${listen.port}, log in ${dataDirectory}`,
      );
    });
};
