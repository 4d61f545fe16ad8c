/** Requests that are not events, past the lane: a vendor answers them at once or not at all. */
import { type Clock, type HttpResponse, requestFault, type Transport } from "@waybill/core";
import type { PassthroughRequest } from "@waybill/vendors/registry";
import type { DestinationConfig } from "../config/types.ts";
import { destinationAdapterOf } from "./adapters.ts";
import { answerOf, forCaller, isPlainPath, isRedirect } from "./caller-answers.ts";

const NOT_FOUND = 404;
const BAD_GATEWAY = 502;

export interface PassThroughOptions {
  readonly config: DestinationConfig;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly deadlineMs: number;
}

/** `undefined` when no answer comes in time, or the vendor has no such requests. */
export async function passThrough(
  asked: PassthroughRequest,
  { config, transport, clock, deadlineMs }: PassThroughOptions,
): Promise<HttpResponse | undefined> {
  if (!isPlainPath(asked.path)) return answerOf(NOT_FOUND, { error: "There is no such path." });
  const request = destinationAdapterOf(config.vendor).passthrough?.(asked, config);
  if (request === undefined || requestFault(request) !== undefined) return undefined;
  const controller = new AbortController();
  const timer = clock.after(deadlineMs, () => controller.abort());
  try {
    const answer = await transport(request, controller.signal);
    if (answer.cut === true) return answerOf(BAD_GATEWAY, { error: "The vendor's answer is too long." });
    if (isRedirect(answer)) return answerOf(BAD_GATEWAY, { error: "The vendor answers with a redirect." });
    return forCaller(answer);
  } catch {
    return undefined;
  } finally {
    timer.cancel();
  }
}
