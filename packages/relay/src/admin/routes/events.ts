/** Routes that show stored events. */
import { searchResult, storedEvent } from "../schemas/events.ts";
import { eventPath, searchQuery } from "../schemas/requests.ts";
import { json, type RouteDefinition, refused } from "./route.ts";

export const eventRoutes = {
  showEvent: {
    method: "GET",
    path: "/v1/events/{environment}/{position}",
    summary: "Shows an event as it was stored, and as each destination's vendor gets it.",
    params: eventPath,
    answers: {
      200: json("The event.", storedEvent),
      404: refused("The log has no such event, or no more.", "unknown_event", "unknown_environment"),
    },
  },
  searchEvents: {
    method: "GET",
    path: "/v1/search",
    summary: "Looks for events in the log, from the oldest on: a part of the log at a time.",
    query: searchQuery,
    answers: {
      200: json("What was found in this part.", searchResult),
      404: refused("There is no such environment.", "unknown_environment"),
      503: refused("There are too many searches already.", "too_many_streams"),
    },
  },
} as const satisfies Readonly<Record<string, RouteDefinition>>;
