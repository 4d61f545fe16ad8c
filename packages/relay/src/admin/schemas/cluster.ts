/** Schemas of the cluster: its relays, and which of them delivers what. */
import { z } from "zod";
import { component, count, destinationName, environmentName, flag, text } from "./common.ts";
import { laneMode } from "./overview.ts";

const clusterRelay = component(
  "ClusterRelay",
  z.object({
    id: text("Names the relay, until its process ends."),
    name: text("Its host and process id."),
    version: text("The relay's version."),
    isSelf: flag("Whether it is the one that answers."),
    startedAt: count("When its process started, in epoch milliseconds."),
    seenAt: count("When it was heard of last, in epoch milliseconds."),
    isMissing: flag("Whether it was not heard of for so long that it does not run, or is cut off."),
    adminUrl: z.string().nullable().describe("Where other relays reach its admin API: `kafka.advertise`."),
    hasSameConfig: flag("Whether its configuration is that of the relay that answers."),
    lanes: count("How many lanes it has."),
    faults: z
      .array(z.string())
      .describe("What it could not carry out of what operators asked, and what it found to be lost."),
  }),
);

const clusterLane = component(
  "ClusterLane",
  z
    .object({
      environment: environmentName,
      destination: destinationName,
      partition: count("Of the environment's topic."),
      relay: z.string().nullable().describe("Id of the relay that delivers it; null: none does."),
      mode: z
        .enum([...laneMode.options, "unowned", "unknown"])
        .describe(
          "What it is doing. `unowned`: no relay has it. `unknown`: a relay may have it that has too many to report.",
        ),
      reason: z.string().nullable().describe("Why it is waiting, paused, halted or failed."),
      pendingEvents: count("Events that are still to be delivered; null: not known.").nullable(),
      oldestAt: count(
        "When the oldest of them was received, in epoch milliseconds; null: none, or not known.",
      ).nullable(),
      inFlight: count("Requests that are on their way to the vendor."),
    })
    .describe("A destination's part of one partition, as its relay reported it last, some seconds ago."),
);

export const cluster = component(
  "Cluster",
  z
    .object({
      now: count("When this was read, in epoch milliseconds."),
      readAt: count("When the relays' records were read last, in epoch milliseconds."),
      isStale: flag("Whether that is so long ago that nothing is known of now."),
      relays: z.array(clusterRelay).describe("By name."),
      lanes: z.array(clusterLane).describe("By destination and partition, those without a relay too."),
    })
    .describe("All relays of the cluster, and which of them has which lane."),
);
