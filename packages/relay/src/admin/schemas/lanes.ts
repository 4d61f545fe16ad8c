/** Schemas of one destination's lane: its settings, and what it tried last. */
import { z } from "zod";
import { amount, component, count, destinationName, environmentName, sourceName, text } from "./common.ts";
import { account, lane, laneMode } from "./overview.ts";

export const recentAttempt = component(
  "RecentAttempt",
  z
    .object({
      sequence: count("Numbers the requests of the lane since the process started, from 1."),
      at: count("When it was sent, in epoch milliseconds."),
      status: z.int().nullable().describe("The HTTP status of the answer; null when no answer came."),
      durationMs: z.number().min(0).describe("How long the answer took."),
      events: count("Events that the request carried."),
      bytes: count("Bytes of its body."),
      delivered: count("Events that the vendor took."),
      retryable: count("Events that are sent again later."),
      rejected: count("Events that the vendor refused for good."),
      halted: count("Events that wait because the vendor or a proxy refuses the credential."),
      reason: z.string().nullable().describe("The first reason among the outcomes; null: all were delivered."),
    })
    .describe("One of the lane's last 100 requests."),
);

export const recentAttempts = component(
  "RecentAttempts",
  z.object({ attempts: z.array(recentAttempt).describe("Newest first, at most 100.") }),
);

export const laneDetail = component(
  "LaneDetail",
  z
    .object({
      environment: environmentName,
      destination: destinationName,
      vendor: text("The API that the destination speaks."),
      mode: laneMode,
      reason: z.string().nullable().describe("Why the lane is waiting, paused, halted or failed."),
      order: z.enum(["user", "arrival", "none"]).describe("Which events keep the order of the log."),
      settings: z
        .record(z.string(), z.unknown())
        .describe(
          "Every option with the value in force: durations in milliseconds, sizes in bytes. In place of a secret: `(secret)`. Of an address only what comes before its query.",
        ),
      limiter: z.object({
        inFlight: count("Requests that are on their way to the vendor."),
        limit: count("Most requests at once, for now."),
        perSecond: amount("Most requests a second, for now; null: no limit.").nullable(),
        reason: text("Why the limits are what they are."),
      }),
      strands: count("Parts of the lane that are delivered side by side, each in order."),
      parked: z.object({
        users: count("Users whose events wait because one of them fails while others are delivered."),
        events: count("Their events."),
      }),
      sources: z.array(sourceName).nullable().describe("The only sources it takes events of; null: all."),
      account,
      lane: lane.describe("The lane as `GET /v1/accounts` shows it."),
    })
    .describe("One destination and its lane."),
);
