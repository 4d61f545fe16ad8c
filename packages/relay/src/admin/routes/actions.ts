/** Routes that change what the relay does. */
import { z } from "zod";
import { cursorMove, reloadResult, replayCount, rotated, unconfirmed } from "../schemas/actions.ts";
import { replay } from "../schemas/overview.ts";
import {
  cursorRequest,
  environmentPath,
  lanePath,
  replayPath,
  replayRequest,
  rotateRequest,
  sourcePath,
} from "../schemas/requests.ts";
import { json, nothing, type RouteDefinition, refused } from "./route.ts";

const noKeySet = refused("There is no such source or destination, or no key of that kind.", "unknown_key_set");

export const actionRoutes = {
  pauseLane: {
    method: "POST",
    path: "/v1/lanes/{environment}/{destination}/pause",
    summary: "Stops a lane after the attempt in flight. Its events are kept.",
    params: lanePath,
    answers: {
      202: json("In a cluster: some relays have not confirmed it yet.", unconfirmed),
      204: nothing("The lane is paused; in a cluster those of all partitions, at all relays."),
      404: refused("There is no such destination.", "unknown_lane"),
    },
  },
  resumeLane: {
    method: "POST",
    path: "/v1/lanes/{environment}/{destination}/resume",
    summary: "Ends a pause, or tries a lane that is halted or failed again at once.",
    params: lanePath,
    answers: {
      202: json("In a cluster: some relays have not confirmed it yet.", unconfirmed),
      204: nothing("The lane goes on; in a cluster those of all partitions, at all relays."),
      404: refused("There is no such destination.", "unknown_lane"),
    },
  },
  moveCursor: {
    method: "POST",
    path: "/v1/lanes/{environment}/{destination}/cursor",
    summary:
      "The last resort: moves a lane's cursor forward. What is not settled before it is dropped, as `skipped`. Only while the lane is paused, halted or failed.",
    params: lanePath,
    body: cursorRequest,
    answers: {
      200: json("The cursor was moved, durably. With `dryRun`: what would be skipped.", cursorMove),
      404: refused("There is no such destination.", "unknown_environment", "unknown_lane"),
      409: refused(
        "The lane is not stopped, or the position is not ahead of its cursor and in the log.",
        "lane_not_stopped",
        "position_out_of_range",
      ),
    },
  },
  rotateSourceKey: {
    method: "POST",
    path: "/v1/sources/{environment}/{source}/rotate",
    summary: "Makes a new inbound key valid at once. The keys before it stay valid for the grace period.",
    params: sourcePath,
    body: rotateRequest,
    answers: { 200: json("The new key is valid.", rotated), 404: noKeySet },
  },
  rotateDestinationKey: {
    method: "POST",
    path: "/v1/destinations/{environment}/{destination}/rotate",
    summary: "Uses a new outbound key from the next attempt on.",
    params: lanePath,
    body: rotateRequest,
    answers: { 200: json("The new key is used.", rotated), 404: noKeySet },
  },
  reload: {
    method: "POST",
    path: "/v1/reload",
    summary: "Reads the configuration again. If it is wrong, the relay goes on with the one it has.",
    answers: {
      200: json("The configuration was taken over.", reloadResult),
      422: json("The configuration was not taken over.", reloadResult),
    },
  },
  listReplays: {
    method: "GET",
    path: "/v1/replays",
    summary: "Lists replays that are running or were running.",
    answers: { 200: json("All replays.", z.array(replay)) },
  },
  startReplay: {
    method: "POST",
    path: "/v1/replays/{environment}",
    summary: "Sends a part of the log to a destination again.",
    params: environmentPath,
    body: replayRequest,
    answers: {
      200: json("With `dryRun`: how many events would be sent.", replayCount),
      202: json("The replay that was started.", replay),
      404: refused("There is no such environment or destination.", "unknown_environment", "unknown_lane"),
      409: refused("There are too many replays.", "too_many_replays"),
    },
  },
  cancelReplay: {
    method: "DELETE",
    path: "/v1/replays/{environment}/{id}",
    summary: "Ends a replay where it is.",
    params: replayPath,
    answers: {
      204: nothing("The replay is over."),
      404: refused("There is no such replay.", "unknown_environment", "unknown_replay"),
    },
  },
} as const satisfies Readonly<Record<string, RouteDefinition>>;
