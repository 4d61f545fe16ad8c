/** Handlers of the routes by which the relays of a cluster ask each other. */

import { partitionOf } from "../../cluster/partition-name.ts";
import { problem } from "../../intake/answers.ts";
import { comesFromRelay } from "../cluster/relay-signature.ts";
import { quoted, Refusal, unknown } from "../refusal.ts";
import type { relayRoutes } from "../routes/relays.ts";
import { answer, answerNothing, type Handlers } from "./call.ts";

const WAIT_DEFAULT_MS = 10_000;

export const relayHandlers: Handlers<keyof typeof relayRoutes> = {
  awaitAnswer: async (view, call) => {
    const { request, response, guard, params, query, exchanges } = call;
    const { answerHere } = view;
    if (answerHere === undefined) throw unknown("no_cluster", "The log is on the disk: there is no cluster.");
    if (!comesFromRelay(request, guard))
      throw new Refusal(problem(403, "relays_only", "Only relays of the cluster are answered here."));
    const { environment, destination, offset } = params;
    const partition = partitionOf(environment);
    const gone = new Promise<undefined>((resolve) => response.once("close", () => resolve(undefined)));
    const answered =
      partition === undefined
        ? "nobody"
        : await exchanges.use(() =>
            Promise.race([answerHere({ ...partition, destination, offset }, query.waitMs ?? WAIT_DEFAULT_MS), gone]),
          );
    if (answered === "nobody")
      throw unknown("unknown_lane", `The lane ${quoted(environment)}/${quoted(destination)} has no answer here.`);
    if (answered === undefined) return answerNothing(call);
    const { status, headers, body } = answered;
    answer(call, 200, { status, contentType: headers["content-type"] ?? null, body });
  },
};
