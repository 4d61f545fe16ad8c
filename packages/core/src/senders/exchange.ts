/**
 * The innermost stage: makes the vendor's request, sends it, lets the vendor's table say what the answer means. No answer is retryable.
 *
 * It is the boundary of an event and of a vendor. Whatever the request builder or the table throws is the fault of some event: halves find it, and it is
 * rejected. Whatever the transport gives is an answer of HTTP or none. What HTTP refuses of the configuration halts the lane.
 */
import type { Batch, Protocol, SendContext, Verdict } from "../delivery.ts";
import { outcomesOf } from "../delivery.ts";
import { assert, messageOf, WaybillError } from "../errors.ts";
import { isHttpStatus, requestFault } from "../requests.ts";
import type { HttpRequest, HttpResponse, Runtime } from "../runtime.ts";
import { reasonOf, safeReason, safeVerdict } from "./reasons.ts";

/** What one exchange meant; the innermost stages, before outcomes are per event. */
export type Exchange<T = Verdict> = (batch: Batch, context: SendContext) => Promise<T>;

/** What an answer meant, and the answer; `undefined` when none came. */
export interface Answered {
  readonly verdict: Verdict;
  readonly response: HttpResponse | undefined;
}

export function exchange(protocol: Protocol, runtime: Pick<Runtime, "clock" | "transport">): Exchange<Answered> {
  /** The last URL that was found to be one: mostly it is always the same. */
  let knownUrl: string | undefined;
  return async (batch, context) => {
    const built = build(protocol, batch, runtime);
    if ("verdict" in built) return built;
    const refused = requestFault(built, knownUrl);
    if (refused !== undefined) {
      const reason = safeReason(`the request cannot be sent: ${refused}; correct the configuration or the key`);
      return { verdict: outcomesOf(batch.count, { status: "halted", reason }), response: undefined };
    }
    knownUrl = built.url;
    let response: HttpResponse;
    try {
      response = await runtime.transport(built, context.now);
    } catch (error) {
      return unanswered(batch, error);
    }
    const fault = answerFault(response);
    if (fault !== undefined) return unanswered(batch, new Error(fault));
    return { verdict: meaningOf(response, batch, protocol, runtime), response };
  };
}

/** The request; or the verdict that there is none, and why. */
function build(protocol: Protocol, batch: Batch, { clock }: Pick<Runtime, "clock">): HttpRequest | Answered {
  if (batch.count === 1 && batch.bytes > protocol.maxEventBytes)
    return rejected(batch, `event of ${batch.bytes} bytes; the vendor takes at most ${protocol.maxEventBytes}`);
  try {
    return protocol.request(batch, clock.now());
  } catch (error) {
    // What all events of the batch share is at fault, so halves are no better.
    if (error instanceof WaybillError && error.code === "WAYBILL_EVENT") return rejected(batch, messageOf(error));
    // It will not be any better next time; halves find the event at fault.
    return { verdict: { split: true, reason: reasonOf("cannot be said to the vendor", error) }, response: undefined };
  }
}

function meaningOf(
  response: HttpResponse,
  batch: Batch,
  protocol: Protocol,
  { clock }: Pick<Runtime, "clock">,
): Verdict {
  let verdict: Verdict;
  try {
    verdict = protocol.classify(response, batch, clock.now());
  } catch (error) {
    return { split: true, reason: reasonOf(`the answer ${response.status} cannot be understood`, error) };
  }
  assert(
    "split" in verdict || verdict.length === batch.count,
    `${"length" in verdict ? verdict.length : 0} outcomes for ${batch.count} events`,
  );
  return safeVerdict(verdict);
}

/** A transport may be anybody's: what it gives must be an answer before a table sees it. */
function answerFault(response: HttpResponse | undefined): string | undefined {
  if (typeof response !== "object" || response === null) return "the transport gave no answer";
  if (!isHttpStatus(response.status)) return `No answer: ${String(response.status)} is not a status of HTTP`;
  if (typeof response.headers !== "object" || response.headers === null || typeof response.body !== "string")
    return "the transport's answer has no headers or no body";
  return undefined;
}

function rejected(batch: Batch, reason: string): Answered {
  return {
    verdict: outcomesOf(batch.count, { status: "rejected", reason: safeReason(reason) }),
    response: undefined,
  };
}

function unanswered(batch: Batch, error: unknown): Answered {
  const reason = safeReason(messageOf(error));
  // Refused by the transport before a byte was sent: no better next time.
  const refused = error instanceof WaybillError && error.reason === "invalid_request";
  return {
    verdict: outcomesOf(batch.count, { status: refused ? "halted" : "retryable", reason }),
    response: undefined,
  };
}
