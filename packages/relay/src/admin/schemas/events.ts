/** Schemas of stored events: one with what each vendor gets of it, and those of a search. */
import { z } from "zod";
import { component, count, destinationName, environmentName, sourceName, text } from "./common.ts";

const names = {
  type: z.string().nullable().describe("What kind of event it is: track, identify and so on."),
  name: z.string().nullable().describe("Its name, where that kind has one."),
  messageId: z.string().nullable().describe("Its id."),
  userId: z.string().nullable().describe("Its user."),
  anonymousId: z.string().nullable().describe("Its user before one is known."),
};

const eventDestination = component(
  "EventDestination",
  z
    .object({
      name: destinationName,
      vendor: text("The API that the destination speaks."),
      sent: z
        .string()
        .nullable()
        .describe(
          "The body of a request with this event alone, as the configuration of now makes it; null: nothing is sent.",
        ),
      contentType: z.string().nullable().describe("Its content type."),
      why: z
        .string()
        .nullable()
        .describe("Why nothing is sent: `filtered`, `source`, or what is wrong with the event."),
    })
    .describe("What a vendor gets of an event. Where a secret would be is `not-shown`."),
);

export const storedEvent = component(
  "StoredEvent",
  z
    .object({
      environment: environmentName,
      position: count("Position of the event in the log."),
      source: sourceName,
      receivedAt: count("When it was received, in epoch milliseconds."),
      receipt: text("Its receipt: `GET /v1/receipts/{environment}/{positions}` tells what became of it."),
      ...names,
      event: text("The event as it was stored, byte for byte."),
      destinations: z.array(eventDestination),
    })
    .describe("An event of the log."),
);

const foundEvent = component(
  "FoundEvent",
  z.object({
    position: count("Position of the event in the log."),
    receivedAt: count("When it was received, in epoch milliseconds."),
    source: sourceName,
    ...names,
  }),
);

export const searchResult = component(
  "SearchResult",
  z
    .object({
      environment: environmentName,
      events: z.array(foundEvent).describe("At most 100, the oldest first."),
      scannedBytes: count("How much of the log was looked at."),
      next: count("Give it as `from` to go on; null: all of the log was looked at.").nullable(),
    })
    .describe("A part of a search. The log has no index: a request looks at 1 GiB at most, for ten seconds."),
);
