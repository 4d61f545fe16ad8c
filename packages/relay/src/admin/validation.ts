/**
 * Checks a request against its route's schemas. Each refusal is one 400 that names the parameter or
 * field, what was
 * given for it and what is expected; of a key nothing is repeated.
 */
import type { IncomingMessage } from "node:http";
import { nearest, own } from "@waybill/core";
import { z } from "zod";
import { problem } from "../intake/answers.ts";
import { digestOf } from "./cluster/relay-signature.ts";
import { invalid, quoted, Refusal } from "./refusal.ts";
import type { RouteDefinition } from "./routes/route.ts";

type Fields = Readonly<Record<string, unknown>>;

interface Place {
  /** What a value of it is called: "query parameter". */
  readonly what: string;
  readonly schema: z.ZodObject;
}

interface Fault {
  readonly message: string;
  readonly parameter: string;
  readonly given?: string;
  readonly expected: string;
}

const BODY_MAX_BYTES = 64 * 1024;

/** A route's path parameters, as text from the path. */
export function checkedParams({ params: schema }: RouteDefinition, params: Fields): unknown {
  return schema === undefined ? {} : checked({ what: "path parameter", schema }, params);
}

/**
 * The query's parameters. One that is unknown or given twice is refused: a mistyped filter would
 * choose everything.
 */
export function checkedQuery({ query: schema = z.strictObject({}) }: RouteDefinition, search: Fields): unknown {
  const place = { what: "query parameter", schema };
  checkKnown(place, search);
  for (const [name, value] of Object.entries(search))
    if (typeof value !== "string")
      throw refusal({
        message: `The query parameter ${name} is given more than once.`,
        parameter: name,
        expected: "one value",
      });
  return checked(place, search);
}

/** A route without one refuses fields too: who gives some does not mean all that there is. */
export function checkedBody({ body: schema = z.strictObject({}) }: RouteDefinition, body: unknown): unknown {
  // None is needed where every field may be left out.
  if (body === undefined && schema.safeParse({}).success) return {};
  const isObject = typeof body === "object" && body !== null && !Array.isArray(body);
  const known = Object.keys(schema.shape);
  if (!isObject)
    throw invalid(`The body must be a JSON object${known.length === 0 ? ", empty" : ` with ${listed(known)}`}.`);
  return checked({ what: "field", schema }, body as Fields);
}

function checked(place: Place, given: Fields): unknown {
  checkKnown(place, given);
  const { success, data, error } = place.schema.safeParse(given);
  if (success) return data;
  throw refusal(faultOf(place, given, error.issues[0] as z.core.$ZodIssue));
}

function checkKnown({ what, schema }: Place, given: Fields): void {
  const known = Object.keys(schema.shape);
  const strange = Object.keys(given).find((name) => !known.includes(name));
  if (strange === undefined) return;
  const near = nearest(strange, known);
  const hint =
    near !== undefined
      ? `; did you mean ${near}?`
      : known.length === 0
        ? `; this route takes no ${what}s.`
        : `; known are ${listed(known)}.`;
  throw refusal({
    message: `There is no ${what} ${quoted(strange)}${hint}`,
    parameter: quoted(strange),
    expected: known.length === 0 ? `no ${what}s` : `one of ${known.join(", ")}`,
  });
}

function faultOf({ what, schema }: Place, given: Fields, issue: z.core.$ZodIssue): Fault {
  const parameter = String(issue.path[0] ?? "");
  const value = own(given, parameter);
  const { message: expected } = issue;
  if (value === undefined)
    return { message: `The ${what} ${parameter} is missing; it must be ${expected}.`, parameter, expected };
  if (isSecret(schema, parameter)) {
    const isExplained = issue.code === "custom";
    const rule = "a key of printable ASCII characters without white space";
    return {
      message: `The ${what} ${parameter} ${isExplained ? expected : `must be ${rule}`}.`,
      parameter,
      expected: rule,
    };
  }
  const shown = quoted(typeof value === "string" ? value : JSON.stringify(value));
  return {
    message: `The ${what} ${parameter} must be ${expected}, not ${shown === "" ? "empty" : shown}.`,
    parameter,
    given: shown,
    expected,
  };
}

/** What may be written and is never shown. */
function isSecret(schema: z.ZodObject, name: string): boolean {
  const field = own(schema.shape, name) as z.ZodType | undefined;
  return field?.meta()?.["writeOnly"] === true;
}

function refusal({ message, ...members }: Fault): Refusal {
  const answer = problem(400, "invalid_request", message);
  const body = JSON.stringify({ ...(JSON.parse(answer.body) as object), ...members });
  return new Refusal({ ...answer, body });
}

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

export interface BodyLimits {
  readonly maxBytes?: number | undefined;
  /** What it must have where the request is signed: hexadecimal SHA-256. */
  readonly digest?: string | undefined;
}

/** The body as JSON; `undefined` for none. */
export async function bodyOf(
  request: IncomingMessage,
  { maxBytes = BODY_MAX_BYTES, digest }: BodyLimits = {},
): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // The connection must live to carry a refusal.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes)
      throw new Refusal(
        problem(413, "body_too_large", `The body has more than ${maxBytes} bytes.`, { connection: "close" }),
      );
    chunks.push(chunk);
  }
  if (digest !== undefined && digest !== digestOf(Buffer.concat(chunks)))
    throw new Refusal(problem(401, "unauthorized", "The body is not the one that was signed."));
  if (bytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
  } catch {
    throw invalid("The body is not JSON.");
  }
}
