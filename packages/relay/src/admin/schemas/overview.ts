/** Schemas of what the relay is doing: health, lanes, sources, replays and their ledgers. */
import { z } from "zod";
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
  whole,
} from "./common.ts";

export const account = component(
  "Account",
  z
    .object({
      accepted: count("Events that were accepted for the destination."),
      delivered: count("Events that the vendor took."),
      rejected: count("Events that the vendor refused for good: they became dead letters."),
      dropped: count("Events that were left out on purpose."),
      droppedByReason: counts("The dropped events by reason."),
      expired: count("Events that retention removed before they were delivered."),
      pending: count("Events that are still to be delivered."),
      balanced: flag("Whether the numbers balance. If not, that is a defect of Waybill."),
    })
    .describe(
      "The ledger of a lane or a replay: accepted = delivered + rejected + dropped + expired + pending, at every instant.",
    ),
);

export const laneMode = z
  .enum(["idle", "sending", "waiting", "paused", "halted", "failed", "closed"])
  .describe(
    "What a lane is doing. `paused`: by an operator. `halted`: by the relay, because the vendor or a proxy refuses the credential. " +
      "`failed`: a defect stopped it; its events are kept, and resume tries again.",
  );

export const deadLetterState = z
  .enum(["waiting", "retried", "discarded"])
  .describe("`waiting` until it was sent again with success (`retried`) or given up (`discarded`).");

export const laneReport = component(
  "LaneReport",
  z
    .object({
      relay: text("Id of the relay that has the lane, as GET /v1/cluster has it."),
      epoch: count(
        "Of the group when the lane came to that relay: of two reports the one with the higher epoch holds.",
      ),
      offset: count("The ledger counts all records of the partition before this offset, and none after it."),
    })
    .describe("Which relay reports a lane, and as of which offset of its partition."),
);

export const lane = component(
  "Lane",
  z.object({
    environment: environmentName,
    destination: destinationName,
    vendor: text("The API that the destination speaks."),
    mode: laneMode,
    reason: text("Why the lane is waiting, paused, halted or failed.").exactOptional(),
    account,
    pendingBytes: count("Bytes of the log that the lane has still to deliver."),
    oldestPendingMs: count("Age of the oldest pending event.").exactOptional(),
    attempts: count("Requests to the vendor since the process started."),
    failedAttempts: count("Those of them that did not deliver all of their events."),
    inFlight: count("Requests that are on their way to the vendor."),
    inFlightLimit: count("Most requests at once, for now: learned from the vendor's answers, at most `maxInFlight`."),
    requestsPerSecondLimit: amount(
      "Most requests a second, for now: `maxRequestsPerSecond`, or less where the vendor refused. Absent when there is no limit.",
    ).exactOptional(),
    limitReason: text("Why the limits are what they are."),
    strands: count("Parts of the lane that are delivered side by side, each in order."),
    parkedUsers: count("Users whose events wait because one of them fails while others are delivered."),
    parkedEvents: count("Their events. They are pending too."),
    deadLetters: z
      .object({
        waiting: count("How many nobody has dealt with."),
        retried: count("How many were sent again with success."),
        discarded: count("How many were given up."),
        damaged: count("How many cannot be read. Known once they have been listed."),
      })
      .describe("Dead letters by state."),
    timeUntilLossMs: count(
      "At the present rate of ingest, the time until retention removes the first event that this lane has not delivered. Absent when it never will.",
    ).exactOptional(),
    unknownFates: whole(
      "Settled events of which nobody knows any more what became of them. Absent while the outcomes of all are kept.",
    ).exactOptional(),
    lastError: text("What went wrong last.").exactOptional(),
    lastErrorAtMs: count("When that was, in epoch milliseconds.").exactOptional(),
    report: laneReport.exactOptional(),
  }),
);

export const laneState = component(
  "LaneState",
  z.object({
    environment: environmentName,
    destination: destinationName,
    mode: laneMode,
    reason: text("Why the lane is waiting, paused, halted or failed.").exactOptional(),
  }),
);

export const source = component(
  "Source",
  z.object({
    environment: environmentName,
    source: sourceName,
    protocol: text("The vendor's API that its clients speak."),
    accepted: count("Events stored since the process started."),
    duplicates: count("Events that were not stored because their message id already was."),
    refusedByCode: counts("Events refused within an accepted request, by code."),
  }),
);

const replayState = z
  .enum(["running", "waiting", "halted", "paused", "failed", "done", "cancelled"])
  .describe("What it is doing, or how it ended.");

export const replay = component(
  "Replay",
  z
    .object({
      id: z.uuid().describe("Names the replay."),
      environment: environmentName,
      destination: destinationName,
      of: z.enum(["log", "dead letters"]).describe("What it sends: a part of the log, or dead letters."),
      createdAtMs: count("When it was started, in epoch milliseconds."),
      state: replayState,
      reason: text("Why it is waiting, paused, halted or failed.").exactOptional(),
      account,
      partitions: z
        .array(
          z.object({
            partition: count("The partition."),
            state: replayState,
            reason: text("Why it is waiting, paused, halted or failed there.").exactOptional(),
            account,
          }),
        )
        .describe("In a cluster: the partitions with chosen events. The ledger of the replay is the sum of theirs.")
        .exactOptional(),
    })
    .describe("A replay with its own ledger, which is not a part of the lane's. Accepted are the events it chose."),
);

export const accounts = component(
  "Accounts",
  z.object({
    atMs: count("When this was read, in epoch milliseconds."),
    startedAtMs: count("When the process started, in epoch milliseconds."),
    version: text("The relay's version."),
    lanes: z.array(lane).describe("With Kafka one for each partition of a destination, whichever relay has it."),
    missingLanes: z
      .array(z.object({ environment: environmentName, destination: destinationName }))
      .describe("With Kafka: lanes that no relay has reported, as they go from one to another or it did not answer.")
      .exactOptional(),
    sources: z.array(source).describe("With Kafka the sums over all relays, each since its process started."),
    replays: z.array(replay),
  }),
);

export const readiness = component(
  "Readiness",
  z
    .object({
      ready: flag("Whether events can be stored durably. A halted lane does not make the relay unready."),
      components: z.array(
        z.object({
          name: text("The component: an environment's log."),
          ready: flag("Whether it can store events."),
          reason: text("Why it cannot.").exactOptional(),
        }),
      ),
      lanes: z.array(laneState),
    })
    .describe("What is shown with the token, from a known host."),
);

export const publicReadiness = component(
  "PublicReadiness",
  z
    .object({
      ready: flag("Whether events can be stored durably."),
      components: z.array(z.object({ name: z.literal("log"), ready: flag("Whether it can store events.") })),
    })
    .describe("What anyone may know: whether the relay is ready, without a name."),
);

export const health = component(
  "Health",
  z.object({
    status: z.enum(["ok", "failed"]).describe("`failed` as long as a defect has stopped a lane."),
    lanes: z.array(laneState).exactOptional().describe("The failed lanes. Only with the token, from a known host."),
  }),
);

export const environment = component(
  "Environment",
  z
    .object({
      environment: environmentName,
      sources: z.array(
        z.object({
          source: sourceName,
          protocol: text("The vendor's API that its clients speak."),
          keys: count("How many keys are valid for it."),
        }),
      ),
      destinations: z.array(
        z.object({ destination: destinationName, vendor: text("The API that the destination speaks.") }),
      ),
    })
    .describe("An environment as configured, without its keys."),
);

export const problem = component(
  "Problem",
  z
    .object({
      type: z.literal("about:blank").describe("As RFC 9457 wants it; `code` says more."),
      title: text("The same as `code`."),
      status: z.int().min(400).max(599).describe("The HTTP status."),
      detail: text("What is wrong, as a sentence for a person."),
      success: z.literal(false),
      code: text("Says which refusal this is, and does not change between versions."),
      message: text("The same as `detail`."),
      parameter: text("The parameter or field that is wrong.").exactOptional(),
      given: text("What was given for it, shortened. Absent when it is missing, and for keys.").exactOptional(),
      expected: text("What is expected in its place.").exactOptional(),
    })
    .describe("A refusal, as RFC 9457 describes it."),
);
