/** Handlers of what the page is made of. */
import { settingsOf } from "../../config/shown-settings.ts";
import { problem } from "../../intake/answers.ts";
import { quoted, Refusal, unknown } from "../refusal.ts";
import type { liveRoutes } from "../routes/live.ts";
import { endOnce, heartbeat, LISTENING, SSE_HEADERS, written } from "../streams.ts";
import type { AdminView } from "../view.ts";
import type { LaneDetail, RecentAttempt } from "../views.ts";
import { answer, type Call, type Handlers } from "./call.ts";
import { chosenEnvironment, chosenLane, whyNotHere } from "./lookup.ts";

/** A reader that is so far behind misses some. */
const ATTEMPTS_WAITING_MAX = 200;

export const liveHandlers: Handlers<keyof typeof liveRoutes> = {
  showOverview: (view, call) => answer(call, 200, view.overview()),
  watchOverview: (_view, { response, watchers, watched, isAllowed }) =>
    watched.watch(() => watchers.open(response, SSE_HEADERS), isAllowed),
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
async function streamHistory(view: AdminView, { query, response, turns }: Call<"showHistory">): Promise<void> {
  const { environment, destination } = query;
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
