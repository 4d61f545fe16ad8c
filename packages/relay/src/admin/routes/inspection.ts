/** Routes that show single events, and deal with dead letters. */
import { z } from "zod";
import { discarded, replayCount, retried } from "../schemas/actions.ts";
import { deadLetter, deadLetterPage, deadLetterReasons, receipt, tailEvent, trace } from "../schemas/inspection.ts";
import { replay } from "../schemas/overview.ts";
import {
  deadLetterDiscardQuery,
  deadLetterPageQuery,
  deadLetterQuery,
  deadLetterRetryQuery,
  lanePath,
  messageIdPath,
  receiptPath,
  tailQuery,
  traceQuery,
} from "../schemas/requests.ts";
import { json, type RouteDefinition, refused, stream } from "./route.ts";

const DEAD_LETTERS = "/v1/dead-letters/{environment}/{destination}";
const noLane = refused("There is no such destination.", "unknown_environment", "unknown_lane");
const tooManyStreams = refused("There are too many tails and exports already.", "too_many_streams");

export const inspectionRoutes = {
  tail: {
    method: "GET",
    path: "/v1/tail",
    summary: "Streams events as they are stored, until the client goes away. In a cluster those of all relays.",
    query: tailQuery,
    answers: {
      200: stream(
        "text/event-stream",
        "Server-sent events. The `data` of each is a TailEvent, but of an event `skipped`: `{environment, events}` says how many were not shown, because the reader was more than 10,000 events late. Of an event `interrupted` it is `{reason}`: from here on something is not shown, as a relay does not answer or a partition goes to another one.",
        tailEvent,
      ),
      404: refused("There is no such environment or source.", "unknown_environment", "unknown_source"),
      503: tooManyStreams,
    },
  },
  trace: {
    method: "GET",
    path: "/v1/trace/{messageId}",
    summary: "Tells what became of the events of an id: at most the first 100 of them.",
    params: messageIdPath,
    query: traceQuery,
    answers: {
      200: json("The events of this id.", trace),
      404: refused("No such event is in the log.", "unknown_event", "unknown_environment"),
    },
  },
  traceReceipt: {
    method: "GET",
    path: "/v1/receipts/{environment}/{positions}",
    summary: "Tells what became of the events of a receipt, or of one position: at most the first 100 of them.",
    params: receiptPath,
    answers: {
      200: json("The events at these positions.", receipt),
      404: refused("No event has these positions yet.", "unknown_event", "unknown_environment"),
    },
  },
  listDeadLetters: {
    method: "GET",
    path: DEAD_LETTERS,
    summary: "Lists dead letters, a page at a time. A page of large events ends early.",
    params: lanePath,
    query: deadLetterPageQuery,
    answers: { 200: json("A page of dead letters.", deadLetterPage), 404: noLane },
  },
  listReasons: {
    method: "GET",
    path: `${DEAD_LETTERS}/reasons`,
    summary: "Counts dead letters by their reason.",
    params: lanePath,
    query: deadLetterQuery,
    answers: {
      200: json("The reasons.", deadLetterReasons),
      404: noLane,
      503: refused("There are too many searches already.", "too_many_streams"),
    },
  },
  exportDeadLetters: {
    method: "GET",
    path: `${DEAD_LETTERS}/export`,
    summary: "Streams all chosen dead letters.",
    params: lanePath,
    query: deadLetterQuery,
    answers: {
      200: stream("application/x-ndjson", "One DeadLetter on each line.", deadLetter),
      404: noLane,
      503: tooManyStreams,
    },
  },
  retryDeadLetters: {
    method: "POST",
    path: `${DEAD_LETTERS}/retry`,
    summary: "Sends the chosen dead letters that wait again, as a replay.",
    params: lanePath,
    query: deadLetterRetryQuery,
    answers: {
      200: json("With `dryRun`: how many would be sent.", replayCount),
      202: json("The replay that sends them; of all partitions one for each.", z.union([replay, retried])),
      404: noLane,
      409: refused("There are too many replays.", "too_many_replays"),
    },
  },
  discardDeadLetters: {
    method: "POST",
    path: `${DEAD_LETTERS}/discard`,
    summary: "Gives the chosen dead letters that wait up. They stay readable until retention removes them.",
    params: lanePath,
    query: deadLetterDiscardQuery,
    answers: { 200: json("How many were given up.", discarded), 404: noLane },
  },
} as const satisfies Readonly<Record<string, RouteDefinition>>;
