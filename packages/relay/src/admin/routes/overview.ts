/** Routes that show the relay as a whole. */
import { z } from "zod";
import { rotation } from "../schemas/actions.ts";
import { cluster } from "../schemas/cluster.ts";
import { accounts, environment, health, publicReadiness, readiness } from "../schemas/overview.ts";
import { json, type RouteDefinition, refused, stream } from "./route.ts";

export const overviewRoutes = {
  health: {
    method: "GET",
    path: "/health",
    summary: "Tells whether the process answers, and whether a defect has stopped a lane.",
    access: "probe",
    answers: {
      200: json("No lane is stopped by a defect.", health),
      503: json("A defect has stopped a lane.", health),
    },
  },
  ready: {
    method: "GET",
    path: "/ready",
    summary: "Tells whether events can be stored durably.",
    access: "probe",
    answers: {
      200: json("Events can be stored.", z.union([readiness, publicReadiness])),
      503: json("Events cannot be stored, or the relay is stopping.", z.union([readiness, publicReadiness])),
    },
  },
  metrics: {
    method: "GET",
    path: "/metrics",
    summary: "Metrics for Prometheus.",
    access: "metrics",
    answers: { 200: stream("text/plain", "Prometheus' text format.") },
  },
  openApi: {
    method: "GET",
    path: "/openapi.json",
    summary: "This API as an OpenAPI 3.1 document.",
    access: "open",
    answers: { 200: json("The document.", z.record(z.string(), z.unknown())) },
  },
  listEnvironments: {
    method: "GET",
    path: "/v1/environments",
    summary: "Lists environments with their sources and destinations, without keys.",
    answers: { 200: json("All environments.", z.array(environment)) },
  },
  showAccounts: {
    method: "GET",
    path: "/v1/accounts",
    summary: "Shows lanes with their ledgers, sources with their counters, and replays.",
    answers: { 200: json("As of now.", accounts) },
  },
  showCluster: {
    method: "GET",
    path: "/v1/cluster",
    summary: "Shows all relays of the cluster, and which of them has which lane, with what waits.",
    answers: {
      200: json("As the relays reported it last.", cluster),
      404: refused("The log is on the disk: there is no cluster.", "no_cluster"),
    },
  },
  listRotations: {
    method: "GET",
    path: "/v1/rotations",
    summary: "Lists the rotations that are kept until the configuration's file has the new key.",
    answers: { 200: json("With a fingerprint in place of each key.", z.array(rotation)) },
  },
} as const satisfies Readonly<Record<string, RouteDefinition>>;
