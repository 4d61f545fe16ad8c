/** Handlers of the routes that change what the relay does. */
import { WaybillError } from "@waybill/core";
import type { Confirmation } from "../../cluster/confirmations.ts";
import { destinationKeySet, sourceKeySet } from "../../credentials/credentials.ts";
import { problem, writeJson } from "../../intake/answers.ts";
import { quoted, Refusal, unknown } from "../refusal.ts";
import type { actionRoutes } from "../routes/actions.ts";
import type { CheckedBody, JsonBody } from "../routes/table.ts";
import type { AdminView } from "../view.ts";
import { answer, answerNothing, type Call, type Handlers } from "./call.ts";
import { chosenLane } from "./lookup.ts";
import { cancelReplay, listReplays, startReplay } from "./replays.ts";

export const actionHandlers: Handlers<keyof typeof actionRoutes> = {
  pauseLane: (view, call) => steer(view, call, "pause"),
  resumeLane: (view, call) => steer(view, call, "resume"),
  moveCursor,
  rotateSourceKey: async (view, call) => {
    const { environment, source } = call.params;
    answer(call, 200, await rotate(view, call.body, sourceKeySet(environment, source, call.body.kind ?? "")));
  },
  rotateDestinationKey: async (view, call) => {
    const { environment, destination } = call.params;
    answer(call, 200, await rotate(view, call.body, destinationKeySet(environment, destination)));
  },
  reload: async (view, call) => {
    const result = await view.reload();
    answer(call, result.ok ? 200 : 422, result);
  },
  listReplays,
  startReplay,
  cancelReplay,
};

/** The keys themselves are never answered. */
async function rotate(
  view: AdminView,
  { key, graceMs }: CheckedBody<"rotateSourceKey">,
  keySet: string,
): Promise<{ readonly rotated: true; readonly graceMs: number; readonly unconfirmed?: string[] }> {
  const confirmation = await view.rotate(keySet, key, graceMs);
  if (confirmation !== undefined) return { rotated: true, graceMs, ...namesOf(confirmation) };
  throw unknown("unknown_key_set", "There is no such source or destination, or it has no key of that kind.");
}

async function steer(
  view: AdminView,
  call: Call<"pauseLane" | "resumeLane">,
  action: "pause" | "resume",
): Promise<void> {
  const { environment, destination } = call.params;
  const confirmation = await view.steer({ environment, destination }, action);
  if (confirmation === undefined)
    throw unknown("unknown_lane", `There is no destination ${quoted(environment)}/${quoted(destination)}.`);
  const { unconfirmed } = namesOf(confirmation);
  if (unconfirmed === undefined) answerNothing(call);
  else writeJson(call.response, 202, { unconfirmed } satisfies JsonBody<"pauseLane", 202>);
}

/** Absent when all relays have confirmed. */
function namesOf({ unconfirmed }: Confirmation): { readonly unconfirmed?: string[] } {
  return unconfirmed.length === 0 ? {} : { unconfirmed: [...unconfirmed] };
}

const CURSOR_REFUSALS: ReadonlyMap<string | undefined, string> = new Map([
  ["lane", "lane_not_stopped"],
  ["position", "position_out_of_range"],
]);

async function moveCursor(view: AdminView, call: Call<"moveCursor">): Promise<void> {
  const { destination } = chosenLane(view, call.params);
  const { position, dryRun = false } = call.body;
  try {
    const { from, to, events } = await destination.moveCursor({ to: position, dryRun });
    answer(call, 200, { from, to, events, moved: !dryRun });
  } catch (error) {
    const code = error instanceof WaybillError ? CURSOR_REFUSALS.get(error.reason) : undefined;
    if (code === undefined) throw error;
    const { message, hint } = error as WaybillError;
    throw new Refusal(problem(409, code, hint === undefined ? `${message}.` : `${message}. ${hint}`));
  }
}
