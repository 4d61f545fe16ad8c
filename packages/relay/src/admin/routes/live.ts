/** Routes that the page is made of: what there is now, what is wrong, the last hour, one lane. */
import { laneDetail, recentAttempt, recentAttempts } from "../schemas/lanes.ts";
import { history, overview } from "../schemas/live.ts";
import { historyQuery, lanePath } from "../schemas/requests.ts";
import { json, nothing, type RouteDefinition, refused, stream } from "./route.ts";

const LANE = "/v1/lanes/{environment}/{destination}";
const noLane = refused("There is no such destination.", "unknown_environment", "unknown_lane");
const tooManyWatchers = refused("There are too many live views already.", "too_many_streams");

export const liveRoutes = {
  showOverview: {
    method: "GET",
    path: "/v1/overview",
    summary: "Shows sources, destinations, replays, and what is wrong: the worst first.",
    answers: { 200: json("As of now.", overview) },
  },
  watchOverview: {
    method: "GET",
    path: "/v1/live",
    summary: "Streams the overview: at once, and then whenever it changed, at most every 500 ms.",
    answers: {
      200: stream("text/event-stream", "Server-sent events `overview`. The `data` of each is an Overview.", overview),
      503: tooManyWatchers,
    },
  },
  showHistory: {
    method: "GET",
    path: "/v1/history",
    summary: "Shows the last hour in steps of ten seconds, kept in memory since the process started.",
    query: historyQuery,
    answers: {
      200: json("A column for each number.", history),
      404: refused("There is no such environment or destination.", "unknown_environment", "unknown_lane"),
    },
  },
  showLane: {
    method: "GET",
    path: LANE,
    summary: "Shows a destination: its settings without secrets, its limits, what waits.",
    params: lanePath,
    answers: { 200: json("The destination.", laneDetail), 404: noLane },
  },
  listRecentAttempts: {
    method: "GET",
    path: `${LANE}/attempts`,
    summary: "Lists the last 100 requests of a lane since the process started.",
    params: lanePath,
    answers: { 200: json("Newest first.", recentAttempts), 404: noLane },
  },
  watchAttempts: {
    method: "GET",
    path: `${LANE}/attempts/live`,
    summary: "Streams the requests of a lane: those that are kept, then each as it has its answer.",
    params: lanePath,
    answers: {
      200: stream(
        "text/event-stream",
        "Server-sent events `attempt`. The `data` of each is a RecentAttempt. A gap in `sequence`: too slow a reader. An event `interrupted` says before the end that the lane went elsewhere, `{reason}`.",
        recentAttempt,
      ),
      404: noLane,
      503: tooManyWatchers,
    },
  },
  probeLane: {
    method: "POST",
    path: `${LANE}/probe`,
    summary: "Tries a lane that waits, is halted or has failed at once.",
    params: lanePath,
    answers: {
      202: nothing("The next request is made at once."),
      404: noLane,
      409: refused("The lane does not wait, or a person paused it.", "nothing_to_probe"),
    },
  },
} as const satisfies Readonly<Record<string, RouteDefinition>>;
