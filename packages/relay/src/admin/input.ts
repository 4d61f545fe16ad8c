/** What a request to the admin API says, checked: every refusal here is one 4xx with a stable code. */
import type { IncomingMessage } from "node:http";
import { nearest, own, printable } from "@waybill/core";
import { type Answer, problem } from "../intake/answers.ts";

/** Thrown by a route to end with this answer. */
export class Refusal extends Error {
  readonly answer: Answer;

  constructor(answer: Answer) {
    super(answer.body);
    this.answer = answer;
  }
}

/** Each parameter once; a look-up by any name finds only what was sent. */
export type Params = Readonly<Record<string, string | undefined>>;

const BODY_MAX_BYTES = 64 * 1024;
const SHOWN_CHARACTERS = 100;
/** The last instant that a date can name. */
const TIME_MAX_MS = 8_640_000_000_000_000;
const ISO_8601 = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?$/;

export function invalid(message: string): Refusal {
  return new Refusal(problem(400, "invalid_request", message));
}

export function unknown(code: string, message: string): Refusal {
  return new Refusal(problem(404, code, message));
}

/** Text of the request in an answer: short, and safe to print. */
export function quoted(text: string): string {
  return printable(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text);
}

/** The query's parameters. One that is unknown or given twice is refused: a filter that is mistyped would choose everything. */
export function queryOf(search: Readonly<Record<string, unknown>>, known: readonly string[]): Params {
  for (const [name, value] of Object.entries(search)) {
    if (!known.includes(name)) {
      const near = nearest(name, known);
      const hint = near === undefined ? `known: ${known.join(", ") || "none"}` : `did you mean ${near}?`;
      throw invalid(`unknown parameter ${quoted(name)}; ${hint}`);
    }
    if (typeof value !== "string") throw invalid(`${name} is given more than once`);
  }
  return search as Params;
}

/** `{ [field]: epoch ms }`, or nothing when it is not given. */
export function timeOf<F extends string>(name: string, given: unknown, field: F): { readonly [K in F]?: number } {
  if (given === undefined) return {};
  const ms =
    typeof given === "number"
      ? given
      : typeof given !== "string"
        ? Number.NaN
        : /^\d+$/.test(given)
          ? Number(given)
          : ISO_8601.test(given)
            ? Date.parse(given)
            : Number.NaN;
  if (!(ms >= 0 && ms <= TIME_MAX_MS))
    throw invalid(`${name} is a time as ISO 8601 or in epoch milliseconds, not ${quoted(String(given))}`);
  return { [field]: ms } as { readonly [K in F]?: number };
}

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** A whole number in decimal digits, within the range. */
export function wholeNumberOf(name: string, text: string | undefined, { min, max }: Range): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(Number.isSafeInteger(value) && value >= min && value <= max))
    throw invalid(`${name} is a whole number from ${min} to ${max}, not ${quoted(text)}`);
  return value;
}

/** The body as an object with none but the known fields. */
export function fieldsOf(body: unknown, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw invalid(`the body is a JSON object with ${known.join(", ")}`);
  const strange = Object.keys(body).find((key) => !known.includes(key));
  if (strange !== undefined) throw invalid(`unknown field ${quoted(strange)}; there are ${known.join(", ")}`);
  return body as Readonly<Record<string, unknown>>;
}

/** The field's text, or nothing when it is not given. */
export function textField<F extends string>(
  fields: Readonly<Record<string, unknown>>,
  name: F,
): { readonly [K in F]?: string } {
  const value = own(fields, name);
  if (value === undefined) return {};
  if (typeof value !== "string") throw invalid(`${name} is a text`);
  return { [name]: value } as { readonly [K in F]?: string };
}

/** The body as JSON; `undefined` for none. */
export async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // The connection must live to carry a refusal.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_MAX_BYTES)
      throw new Refusal(
        problem(413, "body_too_large", `The body has more than ${BODY_MAX_BYTES} bytes.`, { connection: "close" }),
      );
    chunks.push(chunk);
  }
  if (bytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
  } catch {
    throw invalid("the body is not JSON");
  }
}
