/** Handlers of what the page is made of. */

import { partitionOf } from "../../cluster/partition-name.ts";
import { settingsOf } from "../../config/shown-settings.ts";
import { problem } from "../../intake/answers.ts";
import { isFromRelay, othersAnswers, othersReports } from "../cluster/pass-on.ts";
import { wholeHistory } from "../cluster/whole-history.ts";
import { wholeOverview } from "../cluster/whole-overview.ts";
import { STEPS_MAX } from "../live/history.ts";
import { quoted, Refusal, unknown } from "../refusal.ts";
import type { liveRoutes } from "../routes/live.ts";
import { ADMIN_ROUTES } from "../routes/table.ts";
import { history as historySchema } from "../schemas/live.ts";
import { endOnce, heartbeat, LISTENING, SSE_HEADERS, written } from "../streams.ts";
import type { AdminView } from "../view.ts";
import type { LaneDetail, RecentAttempt } from "../views.ts";
import { answer, type Call, type Handlers } from "./call.ts";
import { chosenEnvironment, chosenLane, whyNotHere } from "./lookup.ts";

/** A reader that is so far behind misses some. */
const ATTEMPTS_WAITING_MAX = 200;

export const liveHandlers: Handlers<keyof typeof liveRoutes> = {
  showOverview: async (view, call) => {
    const partitions = view.peers?.()?.partitions;
    if (partitions === undefined || isFromRelay(call.request)) return answer(call, 200, view.overview());
    const others = await othersReports(view, call, ADMIN_ROUTES.showOverview.answers[200].schema);
    const here = view.overview();
    const replays = await call.replays.now([here, ...others.found.map(({ value }) => value)]);
    answer(call, 200, wholeOverview(here, others, { partitions, replays }));
  },
  watchOverview: async (_view, { response, watchers, watched, polled, isAllowed }) => {
    await polled.answered();
    return watched.watch(() => watchers.open(response, SSE_HEADERS), isAllowed);
  },
  showHistory: streamHistory,
  showLane: (view, call) => answer(call, 200, laneDetail(view, call)),
  listRecentAttempts: (view, call) =>
    answer(call, 200, { attempts: chosenLane(view, call.params).destination.activity.recent() }),
  watchAttempts,
  probeLane: (view, call) => {
    if (!chosenLane(view, call.params).destination.probe())
      throw new Refusal(
        problem(
          409,
          "nothing_to_probe",
          "The lane does not wait for anything; a lane that a person paused is resumed.",
        ),
      );
    call.response.writeHead(202).end();
  },
};

/** Environment after environment: of 1,000 lanes it has megabytes, and others have their turn. */
async function streamHistory(view: AdminView, call: Call<"showHistory">): Promise<void> {
  const { query, response, turns } = call;
  const { environment, destination } = query;
  if (view.peers?.() !== undefined && partitionOf(environment ?? "") === undefined) return answerHistory(view, call);
  // Nothing is written before it is known that nothing is wrong.
  if (environment !== undefined) chosenEnvironment(view, environment);
  const isThere = view.environments().some((one) => one.destination(destination ?? "") !== undefined);
  if (!isThere && destination !== undefined)
    throw unknown("unknown_lane", `There is no destination ${quoted(destination)}.`);
  const pieces = view.sampler().history(query);
  response.writeHead(200, { "content-type": "application/json" });
  for (const piece of pieces) {
    if (!(await written(view.clock, response, piece))) return;
    await turns.turn();
  }
  response.end();
}

/** Over the partitions of environments, of all relays. */
async function answerHistory(view: AdminView, call: Call<"showHistory">): Promise<void> {
  const { environment, destination } = call.query;
  const chosen = view.plan().filter((one) => environment === undefined || one.environment === environment);
  if (chosen.length === 0)
    throw unknown("unknown_environment", `There is no environment ${quoted(environment ?? "")}.`);
  const isThere = chosen.some(({ destinations }) => destinations.some((one) => one.destination === destination));
  if (!isThere && destination !== undefined)
    throw unknown("unknown_lane", `There is no destination ${quoted(destination)}.`);
  const { found } = await othersAnswers(view, call, historySchema);
  const here = historySchema.parse(JSON.parse([...view.sampler().history(call.query)].join("")));
  answer(call, 200, wholeHistory(here, found, STEPS_MAX));
}

function laneDetail(view: AdminView, { params }: Call<"showLane">): LaneDetail {
  const { environment, destination } = chosenLane(view, params);
  const { config } = destination;
  const lane = view.lane(environment, destination);
  return {
    environment: environment.name,
    destination: config.name,
    vendor: config.vendor,
    mode: lane.mode,
    reason: lane.reason ?? null,
    order: config.order,
    settings: settingsOf(config),
    limiter: {
      inFlight: lane.inFlight,
      limit: lane.inFlightLimit,
      perSecond: lane.requestsPerSecondLimit ?? null,
      reason: lane.limitReason,
    },
    strands: lane.strands,
    parked: { users: lane.parkedUsers, events: lane.parkedEvents },
    sources: config.sources ?? null,
    account: lane.account,
    lane,
  };
}

async function watchAttempts(view: AdminView, call: Call<"watchAttempts">): Promise<void> {
  const lane = chosenLane(view, call.params);
  const { activity } = lane.destination;
  const stream = call.watchers.open(call.response, SSE_HEADERS);
  const waiting: RecentAttempt[] = [...activity.recent()].reverse();
  let wake = (): void => undefined;
  const stopListening = activity.onAttempt((attempt) => {
    if (waiting.length >= ATTEMPTS_WAITING_MAX) waiting.shift();
    waiting.push(attempt);
    wake();
  });
  const onGone = (): void => wake();
  stream.signal.addEventListener("abort", onGone, { once: true });
  const stopHeartbeat = heartbeat(view.clock, stream, call.isAllowed);
  const stopLooking = endOnce(view.clock, stream, () => whyNotHere(view, call.params, lane));
  try {
    if (!(await stream.write(LISTENING))) return;
    while (!stream.signal.aborted) {
      const more = new Promise<void>((resolve) => {
        wake = resolve;
      });
      if (waiting.length === 0) await more;
      const text = waiting.splice(0).map((attempt) => `event: attempt\ndata: ${JSON.stringify(attempt)}\n\n`);
      if (text.length > 0 && !(await stream.write(text.join("")))) return;
    }
  } finally {
    stopListening();
    stopHeartbeat();
    stopLooking();
    stream.end();
  }
}
