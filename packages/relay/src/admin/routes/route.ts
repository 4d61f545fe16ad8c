/**
 * What a route of the admin API says of itself. Router, validation, OpenAPI document, client and
 * docs are made of it.
 */
import type { z } from "zod";
import type { Access } from "../guard.ts";
import { problem } from "../schemas/overview.ts";

export type Method = "GET" | "POST" | "DELETE";

/** What one status carries: JSON, a text or stream of another type, or nothing. */
export interface RouteAnswer {
  readonly description: string;
  /** Of the JSON body, or of each item of a stream. */
  readonly schema?: z.ZodType;
  /** The content type of what is not JSON. */
  readonly type?: string;
  /** Of a refusal: the codes it may have. */
  readonly codes?: readonly string[];
}

export interface RouteDefinition {
  readonly method: Method;
  /** With its parameters as `{name}`. */
  readonly path: string;
  /** One sentence. */
  readonly summary: string;
  /** Default `guarded`. */
  readonly access?: Access;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodObject;
  /** Of the body. Default 64 KiB. */
  readonly bodyMaxBytes?: number;
  readonly answers: Readonly<Record<number, RouteAnswer>>;
}

export const PROBLEM_TYPE = "application/problem+json";

export function json<S extends z.ZodType>(description: string, schema: S): { description: string; schema: S } {
  return { description, schema };
}

export function nothing(description: string): { description: string } {
  return { description };
}

export interface StreamAnswer<S extends z.ZodType = z.ZodType> {
  readonly description: string;
  readonly type: string;
  readonly schema?: S;
}

/** A body that is not one JSON value; `item` is the schema of each of its lines or messages. */
export function stream<S extends z.ZodType>(type: string, description: string, item?: S): StreamAnswer<S> {
  return item === undefined ? { description, type } : { description, type, schema: item };
}

export interface ProblemAnswer {
  readonly description: string;
  readonly type: typeof PROBLEM_TYPE;
  readonly schema: typeof problem;
  readonly codes: readonly string[];
}

/** A refusal with one of these codes. */
export function refused(description: string, ...codes: readonly string[]): ProblemAnswer {
  return { description, type: PROBLEM_TYPE, schema: problem, codes };
}

const FOREIGN = refused("The request comes from a foreign page or host.", "unknown_host", "foreign_origin");
const FOREIGN_OR_READ_ONLY = refused(
  "The request comes from a foreign page or host, or has the read-only token.",
  "unknown_host",
  "foreign_origin",
  "read_only",
);

/** What any route of its kind may answer before it runs. */
function commonAnswers({ method, access = "guarded" }: RouteDefinition): Readonly<Record<number, RouteAnswer>> {
  const isProbe = access === "probe";
  return {
    400: refused("The path, a parameter or a field is wrong.", "invalid_request", "invalid_path"),
    ...(isProbe || access === "open"
      ? {}
      : {
          401: refused("The admin token is missing or wrong.", "unauthorized"),
          429: refused(
            "Too many wrong tokens came from this address; `Retry-After` says when to try again.",
            "too_many_attempts",
          ),
        }),
    ...(isProbe || access === "metrics"
      ? {}
      : { 403: method === "GET" || access === "open" ? FOREIGN : FOREIGN_OR_READ_ONLY }),
    ...(method === "GET" ? {} : { 413: refused("The body is too large.", "body_too_large") }),
    ...(isProbe ? {} : { 415: refused("The body is not JSON by its content type.", "json_required") }),
  };
}

/** What every route may answer in trouble, in place of the answers that are listed. */
export const TROUBLE: ProblemAnswer = refused(
  "500: a defect of the relay. 503: the log fails, the relay is stopping, or no relay has the lane now; `Retry-After` says when to try again. Of a cluster, 421: the request is meant for a relay that had this address before; 502: the relay that has it does not answer.",
  "internal",
  "other_relay",
  "relay_unanswered",
  "lane_without_relay",
  "storage_unavailable",
  "closing",
);

/** All answers of a route by status, but for {@link TROUBLE}. */
export function answersOf(route: RouteDefinition): Readonly<Record<number, RouteAnswer>> {
  return { ...commonAnswers(route), ...route.answers };
}
