/** Schemas of single events: where they are, what became of them, the dead letters. */
import { z } from "zod";
import { component, count, destinationName, environmentName, sourceName, text } from "./common.ts";
import { deadLetterState, laneMode } from "./overview.ts";

const position = count("Position of the event in the log of its environment.");
const receivedAtMs = count("When the event was received, in epoch milliseconds.");
const event = z.unknown().describe("The event, byte for byte as it was stored.");
const deadLetterId = count("Names the dead letter among those of its destination; of a cluster, of its partition.");
const partition = count("Its partition. Only of a cluster.").exactOptional();

export const attempt = component(
  "Attempt",
  z
    .object({
      first: count("Position of the request's first event."),
      count: count("How many events the request carried."),
      atMs: count("When it was sent, in epoch milliseconds."),
      durationMs: z.number().min(0).describe("How long the answer took."),
      status: z.int().exactOptional().describe("The HTTP status of the answer. Absent when no answer came."),
      delivered: count("Events that the vendor took."),
      retryable: count("Events that are sent again later."),
      rejected: count("Events that the vendor refused for good."),
      halted: count("Events that wait because the vendor or a proxy refuses the credential."),
      reason: text("The first reason among the outcomes.").exactOptional(),
    })
    .describe("One request to a destination."),
);

const outcome = z
  .enum(["pending", "delivered", "rejected", "dropped", "expired", "unknown", "not_addressed"])
  .describe(
    "`dropped`: left out on purpose, `reason` says why. `expired`: removed by retention before it was delivered. " +
      "`unknown`: the record of its outcome is damaged, or older than these records. " +
      "`not_addressed`: the destination was added later.",
  );

export const traceReplay = component(
  "TraceReplay",
  z
    .object({
      replay: text("Id of the replay."),
      outcome,
      reason: text("Why it was dropped.").exactOptional(),
      attempts: z.array(attempt),
    })
    .describe("A replay that sent the event again, or left it out."),
);

export const traceDestination = component(
  "TraceDestination",
  z
    .object({
      destination: destinationName,
      formerVendor: text(
        "Whose API the destination spoke when the event had its turn. Absent if it is the same as now.",
      ).exactOptional(),
      removed: z
        .literal(true)
        .exactOptional()
        .describe("The destination is not configured any more. Its files tell the outcome, but not the attempts."),
      outcome,
      reason: text("Why the event is pending, or was rejected or dropped.").exactOptional(),
      lane: laneMode.exactOptional().describe("Mode of the lane. Only of a pending event."),
      deliveredByRetryAtMs: count(
        "When the event was delivered by a retry of its dead letter, in epoch milliseconds.",
      ).exactOptional(),
      deadLetter: z
        .object({
          deadLetterId,
          state: deadLetterState,
          rejectedAtMs: count("When the vendor refused it, in epoch milliseconds."),
        })
        .exactOptional(),
      attempts: z.array(attempt).describe("Requests that carried the event, oldest first."),
      replays: z.array(traceReplay),
    })
    .describe("What became of one event at one destination."),
);

export const tracedEvent = component(
  "TracedEvent",
  z
    .object({
      environment: environmentName,
      position,
      source: sourceName.exactOptional(),
      receivedAtMs: receivedAtMs.exactOptional(),
      event: event.exactOptional(),
      destinations: z.array(traceDestination),
    })
    .describe(
      "An event that was stored, and what became of it. " +
        "`source`, `receivedAtMs` and `event` are absent when the log has it no longer.",
    ),
);

const events = z
  .array(tracedEvent)
  .describe("Oldest first. More than one if the id was stored again after the window for duplicates.");
const isCut = z.literal(true).exactOptional().describe("Present when there are more events than are shown.");

export const trace = component("Trace", z.object({ messageId: text("The id that was asked for."), events, isCut }));
export const receipt = component("Receipt", z.object({ events, isCut }));

export const deadLetter = component(
  "DeadLetter",
  z
    .object({
      deadLetterId,
      partition,
      state: deadLetterState,
      position,
      source: sourceName,
      receivedAtMs,
      rejectedAtMs: count("When the vendor refused it, in epoch milliseconds."),
      reason: text("What the vendor said."),
      messageId: z.string().nullable().describe("The event's id."),
      name: z.string().nullable().describe("The event's name, where its kind has one."),
      attempts: z
        .array(attempt)
        .exactOptional()
        .describe("Requests that carried the event. Only of dead letters that were chosen by `id`."),
      event,
    })
    .describe("An event that a destination refused for good."),
);

export const deadLetterPage = component(
  "DeadLetterPage",
  z.object({
    deadLetters: z.array(deadLetter).describe("Oldest first; of all partitions one partition after the other."),
    next: z
      .union([count("An id."), text("Of all partitions: a partition and an id, as `3:17`.")])
      .describe("Give it as `after` for the next page. Absent on the last page.")
      .exactOptional(),
    damaged: count(
      "Dead letters of this destination that were found to be unreadable. They are on no page. Of all partitions: of those that the page looked at.",
    ),
  }),
);

export const deadLetterReasons = component(
  "DeadLetterReasons",
  z.object({
    groups: z
      .array(
        z.object({
          reason: text("What the vendor said."),
          waiting: count("How many have it: of those that wait, unless `state` says otherwise."),
          first: count("When the first one was refused, in epoch milliseconds."),
          last: count("When the last one was refused, in epoch milliseconds."),
          example: count("Id of the last one."),
          partition,
        }),
      )
      .describe("The most frequent 100, the most frequent first."),
    others: count(
      "Dead letters that have other reasons. Of all partitions also those whose reason is not among the first 100 of their partition.",
    ),
  }),
);

export const tailEvent = component(
  "TailEvent",
  z
    .object({
      environment: environmentName,
      source: sourceName,
      position,
      receivedAtMs,
      receipt: text("Its receipt. Only of a cluster.").exactOptional(),
      event,
    })
    .describe("An event as it was stored."),
);
