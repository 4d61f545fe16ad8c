/** Requests to the admin API, with the types of its route table. */
import type { AdminAnswer, GivenBody, GivenParams } from "@waybill/relay";
import { type Query, ROUTES, type Used, urlOf } from "./routes.ts";

type Part<K extends string, V> = V extends undefined ? { readonly [P in K]?: undefined } : { readonly [P in K]: V };

export type CallOf<O extends Used> = Part<"params", GivenParams<O>> &
  Part<"body", GivenBody<O>> & {
    readonly query?: Query;
    readonly signal?: AbortSignal;
    /** Called with the relays of the cluster whose part the answer lacks. */
    readonly onUnanswered?: (text: string) => void;
  };

/** A request that the relay refused, or that did not reach it. */
export class CallError extends Error {
  /** The HTTP status; 0 when no answer came. */
  readonly status: number;
  /** The relay's name of the refusal. */
  readonly code: string;
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, { code, message, retryAfter }: Refusal) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfter;
  }
}

interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly retryAfter?: number | undefined;
}

/** **Errors**: {@link CallError}. */
export async function call<O extends Used>(operation: O, given: CallOf<O>): Promise<AdminAnswer<O>> {
  const { params, query, body, signal, onUnanswered } = given as CallOf<Used>;
  const response = await fetch(urlOf(operation, { params: params as Record<string, string> | undefined, query }), {
    method: ROUTES[operation][0],
    credentials: "same-origin",
    cache: "no-store",
    ...(signal === undefined ? {} : { signal }),
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  }).catch((error: unknown) => {
    if (signal?.aborted === true) throw error;
    throw new CallError(0, { code: "unreachable", message: "The relay does not answer. Is it running?" });
  });
  const text = await response.text();
  if (!response.ok) throw refusalOf(response, text);
  const unanswered = response.headers.get("waybill-unanswered");
  if (unanswered !== null) onUnanswered?.(unanswered);
  return (text === "" ? undefined : JSON.parse(text)) as AdminAnswer<O>;
}

function refusalOf(response: Response, text: string): CallError {
  const { code, detail } = problemOf(text);
  const wait = Number(response.headers.get("retry-after") ?? Number.NaN);
  return new CallError(response.status, {
    code,
    message: detail ?? `The relay answered with status ${response.status}.`,
    retryAfter: Number.isFinite(wait) ? wait : undefined,
  });
}

function problemOf(text: string): { readonly code: string; readonly detail: string | undefined } {
  try {
    const { code, detail, errors } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    // A reload that failed answers with its faults.
    const faults = Array.isArray(errors) ? errors.join("\n") : undefined;
    return { code: String(code ?? "refused"), detail: typeof detail === "string" ? detail : faults };
  } catch {
    return { code: "refused", detail: undefined };
  }
}

/** What to show of any failure. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
