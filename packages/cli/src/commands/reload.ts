import { type AdminOptions, callAdmin, understood, withAdminOptions } from "../admin-client.ts";
import type { AddCommand } from "../command.ts";
import { complain, EXIT, say, sayJson } from "../io.ts";

/** The configuration was not taken over. */
const WRONG_CONFIGURATION = 422;

export const addReloadCommand: AddCommand = (program, io, finish) => {
  withAdminOptions(program.command("reload"))
    .description("let the relay read its configuration again; it takes it over as a whole or not at all")
    .option("--json", "print the answer of the admin API")
    .addHelpText(
      "after",
      "\nExit codes: 0 taken over, 78 the configuration is wrong and the one before holds.\n\nExample:\n  waybill reload",
    )
    .action(async (options: AdminOptions & { readonly json?: boolean }) => {
      const result = await callAdmin(options, io, "reload", { alsoAnswer: WRONG_CONFIGURATION });
      const { ok, changed, errors, rotations = [] } = result;
      const lines = understood(options, () => (ok ? [...changed, ...rotations] : [...errors]));
      finish(ok ? EXIT.ok : EXIT.config);
      if (options.json === true) return sayJson(io, result);
      if (!ok) {
        for (const line of lines) complain(io, line);
        return complain(io, "waybill: The configuration was not taken over; the relay goes on with the one before.");
      }
      say(io, lines.length === 0 ? "Reloaded; nothing has changed." : "Reloaded:");
      for (const line of lines) say(io, `  ${line}`);
    });
};
