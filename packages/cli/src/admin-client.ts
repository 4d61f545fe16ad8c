import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { messageOf, WaybillError } from "@waybill/core";
import { createOutboundAgent } from "@waybill/node";
import {
  ADMIN_ROUTES,
  type AdminAnswer,
  adminPath,
  type GivenBody,
  type GivenParams,
  type GivenQuery,
  keyFault,
  type Operation,
} from "@waybill/relay";
import type { Command } from "commander";
import { refusalOf, unreachable } from "./admin-refusals.ts";
import { complain, type Io } from "./io.ts";
import type { GivenNames } from "./known-names.ts";
import { checkedUrl } from "./options.ts";
import { type CaOptions, trustedCa, withCaOption } from "./trusted-ca.ts";

/** Which relay a command talks to. */
export interface AdminOptions extends CaOptions {
  readonly admin: string;
  readonly token?: string;
  /** Ends a request that has no answer yet, and an answer that goes on. */
  readonly signal?: AbortSignal;
}

export function withAdminOptions(command: Command): Command {
  return withCaOption(
    command
      .option("--admin <url>", "the relay's admin API; also WAYBILL_ADMIN_URL", "http://127.0.0.1:8081")
      .option("--token <token>", "its token; also WAYBILL_ADMIN_TOKEN"),
  );
}

/** Takes `WAYBILL_ADMIN_URL` where --admin is not given. **Errors**: `WAYBILL_INPUT`. */
export function adminFromEnvironment(command: Command, { env }: Pick<Io, "env">): void {
  const url = env["WAYBILL_ADMIN_URL"] ?? "";
  if (url === "" || command.getOptionValueSource("admin") !== "default") return;
  command.setOptionValueWithSource("admin", checkedUrl(url, "WAYBILL_ADMIN_URL"), "env");
}

type Part<K extends string, V> = V extends undefined ? { readonly [P in K]?: undefined } : { readonly [P in K]: V };

/**
 * What an operation of the admin API takes, as its table says. Parameters that are `undefined` are
 * left out.
 */
export type AdminCall<O extends Operation> = Part<"params", GivenParams<O>> &
  Part<"body", GivenBody<O>> & {
    readonly query?: { readonly [K in keyof GivenQuery<O>]?: GivenQuery<O>[K] | number | undefined };
    /** A status above 299 whose body is an answer too. */
    readonly alsoAnswer?: number;
    /** Called when the answer lacks what some relays have, with why. */
    readonly onUnanswered?: (unanswered: string) => void;
    /** What was reported of that before: it is not reported twice. */
    readonly reportedUnanswered?: string | undefined;
  };

type Query = Readonly<Record<string, string | number | undefined>> | undefined;

/** Lists of events come a page at a time. */
const ANSWER_MAX_BYTES = 256 * 1024 * 1024;
const REFUSAL_MAX_BYTES = 64 * 1024;

/**
 * Calls an operation of the admin API. **Errors**: `WAYBILL_INPUT` with what the relay says,
 * `WAYBILL_TRANSPORT`.
 */
export async function callAdmin<O extends Operation>(
  options: AdminOptions,
  io: Io,
  operation: O,
  call: AdminCall<O>,
): Promise<AdminAnswer<O>> {
  const response = await openAdmin(options, io, operation, call);
  const { "waybill-unanswered": unanswered } = response.headers;
  if (unanswered !== undefined) {
    const why = String(unanswered);
    if (why !== call.reportedUnanswered) complain(io, `not all relays answered: ${why}`);
    call.onUnanswered?.(why);
  }
  const text = await textOf(response, ANSWER_MAX_BYTES);
  if (text === undefined) throw strange(options);
  return understood(options, () => {
    const answer = (text === "" ? {} : JSON.parse(text)) as AdminAnswer<O>;
    if (typeof answer !== "object" || answer === null) throw new TypeError("not an object");
    return answer;
  });
}

/** The answer itself, with status 2xx. **Errors**: as those of {@link callAdmin}. */
export async function openAdmin<O extends Operation>(
  options: AdminOptions,
  io: Io,
  operation: O,
  { params, query, body, alsoAnswer }: AdminCall<O>,
): Promise<IncomingMessage> {
  const { admin } = options;
  const base = checkedUrl(admin, "--admin").replace(/\/+$/, "");
  const token = tokenOf(options, io);
  const ca = trustedCa(options, io);
  const text = body === undefined ? undefined : JSON.stringify(body);
  const response = await send({
    admin,
    url: `${base}${adminPath(operation, { params, query: query as Query })}`,
    method: ADMIN_ROUTES[operation].method,
    headers: headersOf(token, text),
    text,
    signal: options.signal,
    ca,
  });
  const { statusCode: status = 0 } = response;
  if ((status >= 200 && status < 300) || status === alsoAnswer) return response;
  throw await refusalOf({
    admin,
    status,
    text: await textOf(response, REFUSAL_MAX_BYTES),
    given: { ...(query as GivenNames | undefined), ...body, ...(params as GivenNames | undefined) },
    hasToken: token !== undefined,
    look: (path) =>
      look({
        admin,
        url: `${base}${path}`,
        method: "GET",
        headers: headersOf(token, undefined),
        signal: options.signal,
        ca,
      }),
  });
}

/** What a GET answers; `undefined` for anything but JSON with a status of 200. */
async function look(request: Sent): Promise<unknown> {
  try {
    const response = await send(request);
    const text = await textOf(response, ANSWER_MAX_BYTES);
    return response.statusCode === 200 && text !== undefined ? (JSON.parse(text) as unknown) : undefined;
  } catch {
    return undefined;
  }
}

function tokenOf(options: AdminOptions, io: Io): string | undefined {
  const fromEnvironment = io.env["WAYBILL_ADMIN_TOKEN"];
  const token = options.token ?? (fromEnvironment === "" ? undefined : fromEnvironment);
  const fault = token === undefined ? undefined : keyFault(token);
  if (fault === undefined) return token;
  throw new WaybillError("WAYBILL_INPUT", `The admin token ${fault}`, {
    hint: "Give it with --token or in WAYBILL_ADMIN_TOKEN.",
  });
}

function headersOf(token: string | undefined, text: string | undefined): Readonly<Record<string, string | number>> {
  return {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
  };
}

interface Sent {
  readonly admin: string;
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly text?: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly ca: readonly string[] | undefined;
}

function send({ admin, url, method, headers, text, signal, ca }: Sent): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const agent = ca === undefined ? undefined : createOutboundAgent({ ca }, url);
    const request = (url.startsWith("https:") ? httpsRequest : httpRequest)(url, {
      method,
      headers,
      ...(signal === undefined ? {} : { signal }),
      ...(agent === undefined ? {} : { agent }),
    });
    request.on("response", resolve);
    request.on("error", (error) => reject(unreachable(admin, error)));
    request.end(text);
  });
}

/** What `read` makes of an answer. **Errors**: `WAYBILL_INPUT` for one that cannot be a relay's. */
export function understood<T>(options: AdminOptions, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof WaybillError) throw error;
    throw strange(options);
  }
}

function strange({ admin }: AdminOptions): WaybillError {
  return new WaybillError("WAYBILL_INPUT", `${admin} does not answer as the admin API of a relay`, {
    hint: "Give the URL of a relay's admin API with --admin; events go to another port.",
  });
}

/** `undefined` for one that is longer. **Errors**: `WAYBILL_TRANSPORT`. */
async function textOf(response: IncomingMessage, maxBytes: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) return undefined;
      chunks.push(chunk);
    }
  } catch (error) {
    throw new WaybillError("WAYBILL_TRANSPORT", `The answer broke off: ${messageOf(error)}`, { cause: error });
  }
  return Buffer.concat(chunks).toString();
}
