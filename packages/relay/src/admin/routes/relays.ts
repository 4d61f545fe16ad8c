/** Routes by which the relays of a cluster ask each other. */
import { vendorAnswer } from "../schemas/relays.ts";
import { exchangePath, exchangeQuery } from "../schemas/requests.ts";
import { json, nothing, type RouteDefinition, refused } from "./route.ts";

export const relayRoutes = {
  awaitAnswer: {
    method: "GET",
    path: "/v1/exchanges/{environment}/{destination}/{offset}",
    summary: "For relays of the same cluster: waits for the vendor's own answer to an event.",
    params: exchangePath,
    query: exchangeQuery,
    answers: {
      200: json("What the vendor has answered.", vendorAnswer),
      204: nothing("The vendor has not answered in time."),
      403: refused(
        "The request comes from a foreign page or host, or from no relay of the cluster.",
        "unknown_host",
        "foreign_origin",
        "relays_only",
      ),
      404: refused(
        "The log is on the disk; or the lane is not here, or its vendor's answer is not known any more.",
        "no_cluster",
        "unknown_lane",
      ),
      503: refused("Too many relays' requests wait already.", "too_many_streams"),
    },
  },
} as const satisfies Readonly<Record<string, RouteDefinition>>;
