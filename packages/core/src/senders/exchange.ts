/**
 * The innermost stage: makes the vendor's request, sends it, lets the vendor's table classify the
 * answer. No answer is retryable.
 *
 * It is the boundary of an event and of a vendor. Whatever the request builder or the table throws
 * is the fault of some event: halves find it, and it is rejected. Whatever the transport gives is
 * an answer of HTTP or none. What HTTP refuses of the configuration halts the lane.
 */
import type { Batch, Protocol, SendContext, Verdict } from "../delivery.ts";
import { outcomesOf } from "../delivery.ts";
import { assert, messageOf, WaybillError } from "../errors.ts";
import { isHttpStatus } from "../requests.ts";
import type { HttpRequest, HttpResponse, Runtime } from "../runtime.ts";

/** What one exchange meant; the innermost stages, before outcomes are per event. */
export type Exchange<T = Verdict> = (batch: Batch, context: SendContext) => Promise<T>;

/** What an answer meant, and the answer; `undefined` when none came. */
export interface Answered {
  readonly verdict: Verdict;
  readonly response: HttpResponse | undefined;
}

export function exchange(protocol: Protocol, runtime: Pick<Runtime, "clock" | "transport">): Exchange<Answered> {
  const { clock, transport } = runtime;
  return async (batch, context) => {
    const { count, bytes } = batch;
    if (count === 1 && bytes > protocol.maxEventBytes)
      return all(count, "rejected", `event of ${bytes} bytes; the vendor takes at most ${protocol.maxEventBytes}`);
    let request: HttpRequest;
    try {
      request = protocol.request(batch, clock.now());
    } catch (error) {
      // What all events of the batch share is at fault, so halves are no better.
      if (error instanceof WaybillError && error.code === "WAYBILL_EVENT") return all(count, "rejected", error.message);
      // It will not be any better next time; halves find the event at fault.
      return halved("cannot be encoded for the vendor", error);
    }
    let response: HttpResponse;
    try {
      response = await transport(request, context.now);
      assertAnswer(response);
    } catch (error) {
      // Refused before a byte was sent: no better next time.
      const refused = error instanceof WaybillError && error.reason === "invalid_request";
      return all(count, refused ? "halted" : "retryable", messageOf(error));
    }
    let verdict: Verdict;
    try {
      verdict = protocol.classify(response, batch, clock.now());
    } catch (error) {
      return { ...halved(`${response.status} cannot be understood`, error), response };
    }
    assert("split" in verdict || verdict.length === count, "each event has one outcome");
    return { verdict, response };
  };
}

/** Nothing came back: the same for all events. */
export function all(count: number, status: "retryable" | "rejected" | "halted", reason: string): Answered {
  return { verdict: outcomesOf(count, { status, reason }), response: undefined };
}

function halved(what: string, error: unknown): Answered {
  return { verdict: { split: true, reason: `${what}: ${messageOf(error)}` }, response: undefined };
}

/** A transport may be anybody's: what it gives must be an answer before a table sees it. */
function assertAnswer({ status, headers, body }: HttpResponse): void {
  if (!isHttpStatus(status) || !headers || typeof body !== "string")
    throw new Error(`no answer of HTTP: ${String(status)}`);
}
