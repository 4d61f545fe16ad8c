import type { IncomingMessage, ServerResponse } from "node:http";
import type { SharedTurns } from "../../delivery/turns.ts";
import { type Answer, jsonAnswer, writeAnswer } from "../../intake/answers.ts";
import type { PolledOverviews } from "../cluster/polled-overviews.ts";
import type { WholeReplays } from "../cluster/whole-replays.ts";
import type { Guard } from "../guard.ts";
import type { WatchedOverview } from "../live/watched-overview.ts";
import type { CheckedBody, CheckedParams, CheckedQuery, JsonBody, JsonStatus, Operation } from "../routes/table.ts";
import type { Line, Slots, Streams } from "../streams.ts";
import type { AdminView } from "../view.ts";

/** A request that has passed the guard and its route's schemas. */
export interface Call<O extends Operation> {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly params: CheckedParams<O>;
  readonly query: CheckedQuery<O>;
  readonly body: CheckedBody<O>;
  readonly guard: Guard;
  /** Whether the request would still be answered. */
  readonly isAllowed: () => boolean;
  readonly streams: Streams;
  /** Of live views: they have a limit of their own. */
  readonly watchers: Streams;
  readonly watched: WatchedOverview;
  /** What the others of the cluster show to who watches. */
  readonly polled: PolledOverviews;
  readonly replays: WholeReplays;
  /** For what reads much. */
  readonly scans: Slots;
  /** For other relays whose callers wait for a vendor. */
  readonly exchanges: Slots;
  /** For what reads a little, and waits where there is much of it. */
  readonly reads: Line;
  /** In which all requests work: each has begun with a turn of its own. */
  readonly turns: SharedTurns;
}

export type Handler<O extends Operation> = (view: AdminView, call: Call<O>) => unknown;

export type Handlers<O extends Operation = Operation> = { readonly [K in O]: Handler<K> };

/** Answers with a body that the route's table knows. */
export function answer<O extends Operation, S extends JsonStatus<O> & number>(
  { response }: Call<O>,
  status: S,
  body: JsonBody<O, S>,
): void {
  writeAnswer(response, answerOf(status, body));
}

/** The same as a value. */
export function answerOf<O extends Operation, S extends JsonStatus<O> & number>(
  status: S,
  body: JsonBody<O, S>,
): Answer {
  return jsonAnswer(status, JSON.stringify(body));
}

export function answerNothing({ response }: { readonly response: ServerResponse }): void {
  response.writeHead(204).end();
}
