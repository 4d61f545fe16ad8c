/** The waybill command, over the relay, the admin API and the log. */
import { VERSION } from "@waybill/core";
import { Command, CommanderError } from "commander";
import { adminFromEnvironment } from "./admin-client.ts";
import { EXIT, type Io, report } from "./io.ts";
import { loadCommands } from "./load-commands.ts";

export type { Io } from "./io.ts";
export { EXIT } from "./io.ts";

/**
 * Runs the command line `argv` (with node and script first) to its end. Never rejects; resolves to
 * the exit code.
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  let code: number = EXIT.ok;
  // What failed once has failed.
  const finish = (result: number): void => {
    if (code === EXIT.ok) code = result;
  };
  const program = new Command("waybill")
    .description("Delivers product events and can prove what became of each one.")
    .version(VERSION)
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({ writeOut: (text) => io.out.write(text), writeErr: (text) => io.err.write(text) })
    .addHelpText(
      "after",
      "\nExamples:\n  waybill dev\n  waybill relay --config waybill.yaml\n\nExit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration",
    );
  program.hook("preAction", (_, command) => adminFromEnvironment(command, io));
  for (const add of await loadCommands(argv)) add(program, io, finish);
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return report(error, io);
  }
  return code;
}
