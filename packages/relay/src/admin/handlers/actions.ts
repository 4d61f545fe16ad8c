/** Handlers of the routes that change what the relay does. */
import { WaybillError } from "@waybill/core";
import { z } from "zod";
import type { Confirmation } from "../../cluster/cluster-control.ts";
import { destinationKeySet, sourceKeySet } from "../../credentials/credentials.ts";
import type { LogChoice } from "../../delivery/chosen-events.ts";
import type { Environment } from "../../environment.ts";
import { problem, writeJson } from "../../intake/answers.ts";
import { othersAnswers, unanswered } from "../cluster/pass-on.ts";
import { quoted, Refusal, unknown } from "../refusal.ts";
import type { actionRoutes } from "../routes/actions.ts";
import { ADMIN_ROUTES, type CheckedBody, type JsonBody } from "../routes/table.ts";
import type { AdminView } from "../view.ts";
import { answer, answerNothing, type Call, type Handlers } from "./call.ts";
import { checkRoomForReplay, chosenEnvironment, chosenLane } from "./lookup.ts";

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
  listReplays: async (view, call) => {
    const { found } = await othersAnswers(view, call, ADMIN_ROUTES.listReplays.answers[200].schema);
    answer(call, 200, [...view.accounts().replays, ...found.flat()]);
  },
  startReplay: async (view, call) => {
    const { destination, dryRun, eventsPerSecond } = call.body;
    const { environment } = chosenLane(view, { ...call.params, destination });
    const choice = { log: choiceOf(environment, call.body) };
    if (dryRun === true) {
      answer(call, 200, { events: await environment.replays.count(destination, choice) });
      return;
    }
    checkRoomForReplay(environment);
    answer(call, 202, await environment.replays.begin(destination, choice, eventsPerSecond));
  },
  cancelReplay: async (view, call) => {
    const { id } = call.params;
    const environment = view.environment(call.params.environment);
    if ((await environment?.replays.cancel(id)) === true) return answerNothing(call);
    // Another relay may have the partition too, for another destination.
    const { found, faults } = await othersAnswers(view, call, z.undefined());
    if (found.length > 0) return answerNothing(call);
    if (faults.length > 0) throw unanswered(faults);
    chosenEnvironment(view, call.params.environment);
    throw unknown("unknown_replay", `There is no replay ${quoted(id)}.`);
  },
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

function choiceOf(
  { log }: Environment,
  { since, until, source, type, event, userId }: CheckedBody<"startReplay">,
): LogChoice {
  return {
    from: since === undefined ? log.first : Math.max(log.first, log.positionAt(since)),
    to: log.head,
    ...(since === undefined ? {} : { sinceMs: since }),
    ...(until === undefined ? {} : { untilMs: until }),
    ...(source === undefined ? {} : { source }),
    ...(type === undefined ? {} : { type }),
    ...(event === undefined ? {} : { event }),
    ...(userId === undefined ? {} : { userId }),
  };
}
