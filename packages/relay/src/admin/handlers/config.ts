/** Handlers of the routes that show the configuration, and check another one. */
import { messageOf } from "@waybill/core";
import { faultsIn } from "../../config/faults.ts";
import { problem } from "../../intake/answers.ts";
import { Refusal } from "../refusal.ts";
import type { configRoutes } from "../routes/config.ts";
import type { AdminView } from "../view.ts";
import type { ConfigCheck } from "../views.ts";
import { answer, type Handlers } from "./call.ts";

export const configHandlers: Handlers<keyof typeof configRoutes> = {
  showConfig: (view, call) => answer(call, 200, view.config()),
  checkConfig: async (view, call) => answer(call, 200, await check(view, call.body.text)),
};

async function check(view: AdminView, text: string | undefined): Promise<ConfigCheck> {
  try {
    const checked = await view.checkConfig(text);
    if (checked === "no file")
      throw new Refusal(problem(409, "no_config_file", "The relay was started without a configuration file."));
    const ok = !checked.changes.some(({ takesRestart }) => takesRestart);
    return { ok, faults: [], ...checked };
  } catch (error) {
    const faults = faultsOf(error);
    if (faults === undefined) throw error;
    return { ok: false, faults, changes: [], warnings: [] };
  }
}

/** `undefined`: the fault is not the configuration's. */
function faultsOf(error: unknown): ConfigCheck["faults"] | undefined {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  const faults = faultsIn(error);
  if (faults !== undefined)
    return faults.map(({ line, column, path, message, hint }) => {
      return { line, column, path, message, hint: hint ?? null };
    });
  // A file that cannot be read.
  if (code !== "WAYBILL_CONFIG" && code !== "WAYBILL_INPUT") return undefined;
  return [{ line: 0, column: 0, path: "", message: messageOf(error), hint: null }];
}
