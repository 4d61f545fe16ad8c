/** Schemas of what the page shows at a glance: the overview, what is wrong, the last hour. */
import { z } from "zod";
import { cluster } from "./cluster.ts";
import {
  amount,
  component,
  count,
  counts,
  destinationName,
  environmentName,
  flag,
  sourceName,
  text,
} from "./common.ts";
import { account, laneMode, laneReport, replay } from "./overview.ts";

const instant = (description: string): z.ZodNullable<z.ZodInt> =>
  z.int().min(0).nullable().describe(`${description} Epoch milliseconds.`);

export const relayProblem = component(
  "RelayProblem",
  z
    .object({
      severity: z.enum(["error", "warning"]).describe("`error`: events are lost or not delivered until somebody acts."),
      code: text("Which problem this is. It does not change between versions."),
      environment: environmentName.exactOptional(),
      source: sourceName.exactOptional(),
      destination: destinationName.exactOptional(),
      relay: text("Name of the relay of a cluster that it is about.").exactOptional(),
      since: instant("When it began, as far as that is known."),
      what: text("What is wrong: one sentence."),
      doThis: text("What to do: one sentence or two."),
    })
    .describe("Something that a person should know of, or do something about."),
);

export const overviewSource = component(
  "OverviewSource",
  z.object({
    name: sourceName,
    protocol: text("The vendor's API that its clients speak."),
    eventsPerSecond: amount("Events stored per second, over the last ten seconds."),
    acceptedTotal: count("Events stored since the process started."),
    duplicatesTotal: count("Events that were not stored because their message id already was."),
    refusedByReason: counts("Events refused within accepted requests, by code."),
    refusedRequestsByReason: counts("Requests that were refused as a whole, by code."),
    lastSeenAt: instant("When events or refused requests came last, as far as this process knows: to the second."),
  }),
);

/** Of a lane, or of all lanes of a destination. */
const laneFigures = {
  mode: laneMode,
  reason: z.string().nullable().describe("Why the lane is waiting, paused, halted or failed."),
  since: instant("Since when it fails, or is in this mode: to the second."),
  eventsPerSecondOut: amount("Events delivered per second, over the last ten seconds."),
  waitingEvents: count("Events that are still to be delivered."),
  waitingBytes: count("Bytes of the log that the lane has still to deliver."),
  oldestAt: instant("When the oldest waiting event was received."),
  inFlight: count("Requests that are on their way to the vendor."),
  inFlightLimit: count("Most requests at once, for now."),
  limitReason: text("Why the limit is what it is."),
  deadLetters: count("Dead letters that nobody has dealt with."),
  parkedEvents: count("Waiting events of users of whom one event fails while others are delivered."),
  expiredLately: count("Events that retention removed within the last hour, before they were delivered."),
  lossAt: instant("When retention takes the first waiting event, at the present rate of ingest; null: never."),
  lastError: z.string().nullable().describe("What went wrong last."),
  lastErrorAt: instant("When that was."),
  account,
};

export const overviewPartition = component(
  "OverviewPartition",
  z
    .object({ partition: count("Of the environment's topic."), report: laneReport, ...laneFigures })
    .describe(
      "A destination's lane of one partition. `inFlight` and its limit are those of all lanes of the destination that its relay has.",
    ),
);

export const overviewDestination = component(
  "OverviewDestination",
  z.object({
    name: destinationName,
    vendor: text("The API that the destination speaks."),
    ...laneFigures,
    sources: z.array(sourceName).exactOptional().describe("The only sources it takes events of. Absent: all."),
    partitions: z
      .array(overviewPartition)
      .describe("With Kafka: the lanes, of which the destination has the sums, the worst mode and the earliest times.")
      .exactOptional(),
    missingPartitions: z
      .array(count("A partition."))
      .describe("With Kafka: those that no relay has reported; they are in no sum.")
      .exactOptional(),
  }),
);

export const overviewReplay = component(
  "OverviewReplay",
  replay.extend({ eventsPerSecond: amount("Events that it settled per second, over the last ten seconds.") }),
);

export const overview = component(
  "Overview",
  z
    .object({
      now: count("When this was read, in epoch milliseconds."),
      version: text("The relay's version."),
      startedAt: count("When the process started, in epoch milliseconds."),
      ready: flag("Whether events can be stored durably."),
      environments: z.array(
        z.object({
          name: environmentName,
          sources: z.array(overviewSource),
          destinations: z.array(overviewDestination),
        }),
      ),
      unknownSourceRequestsByReason: counts("Refused requests of which no source is known, by code."),
      problems: z.array(relayProblem).describe("The worst first."),
      replays: z.array(overviewReplay),
      cluster: cluster.exactOptional(),
    })
    .describe("Sources, destinations, replays, and what is wrong."),
);

/** One value for each step. */
const totals = (description: string) => z.array(z.int().min(0)).describe(`${description} A number for each step.`);
const durations = (description: string) =>
  z.array(z.number().min(0).nullable()).describe(`${description} In milliseconds, within 8 %; null: no request.`);

const columns = {
  delivered: totals("Events that were delivered."),
  failedAttempts: totals("Requests that did not deliver all of their events."),
  p50Ms: durations("Half of the requests took no longer."),
  p99Ms: durations("99 of 100 requests took no longer."),
};

export const history = component(
  "History",
  z
    .object({
      stepMs: count("Length of a step in milliseconds."),
      from: count("When the first step began, in epoch milliseconds."),
      steps: count("How many values each column has: at most 360."),
      environments: z.array(
        z.object({
          name: environmentName,
          accepted: totals("Events that were stored."),
          ...columns,
          destinations: z
            .array(z.object({ name: destinationName, ...columns }))
            .describe("What there was before a destination was added is 0."),
        }),
      ),
    })
    .describe(
      "The last hour, or the time since the process started. With Kafka over all relays and partitions, with the latency of the slowest relay.",
    ),
);
