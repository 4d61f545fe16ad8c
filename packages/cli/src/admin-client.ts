import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { messageOf, WaybillError } from "@waybill/core";
import { keyFault } from "@waybill/relay";
import type { Command } from "commander";
import type { Io } from "./io.ts";
import { checkedUrl } from "./options.ts";

/** Which relay a command talks to. */
export interface AdminOptions {
  readonly admin: string;
  readonly token?: string;
}

export function withAdminOptions(command: Command): Command {
  return command
    .option("--admin <url>", "the relay's admin API", "http://127.0.0.1:8081")
    .option("--token <token>", "its token; also WAYBILL_ADMIN_TOKEN");
}

export interface AdminCall {
  readonly method?: "GET" | "POST" | "DELETE";
  readonly path: string;
  /** Those that are `undefined` are left out. */
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: object;
}

/** Lists of events come a page at a time. */
const ANSWER_MAX_BYTES = 256 * 1024 * 1024;
const REFUSAL_MAX_BYTES = 64 * 1024;
/** What a person asked about is not there; other 404s say what they say. */
const MISSING = ["unknown_event", "unknown_replay"];

/** Asks the admin API and gives the answer as JSON; `undefined` when what is asked about is not there. **Errors**: `WAYBILL_INPUT`, `WAYBILL_TRANSPORT`. */
export async function callAdmin<T>(options: AdminOptions, io: Io, call: AdminCall): Promise<T | undefined> {
  const response = await openAdmin(options, io, call);
  if (response === undefined) return undefined;
  const text = await textOf(response, ANSWER_MAX_BYTES);
  if (text === undefined) throw strange(options);
  return understood(options, () => {
    const answer = (text === "" ? {} : JSON.parse(text)) as T;
    if (typeof answer !== "object" || answer === null) throw new TypeError("no object");
    return answer;
  });
}

/** The answer itself, with status 2xx; `undefined` when what is asked about is not there. */
export async function openAdmin(
  options: AdminOptions,
  io: Io,
  { method = "GET", path, query = {}, body }: AdminCall,
): Promise<IncomingMessage | undefined> {
  const { admin } = options;
  const token = options.token ?? io.env["WAYBILL_ADMIN_TOKEN"];
  const fault = token === undefined ? undefined : keyFault(token);
  if (fault !== undefined)
    throw new WaybillError("WAYBILL_INPUT", `The admin token ${fault}`, {
      hint: "Give it as --token or WAYBILL_ADMIN_TOKEN.",
    });
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  const base = checkedUrl(admin, "--admin").replace(/\/+$/, "");
  const search = parameters.size === 0 ? "" : `?${parameters}`;
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
  };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = (base.startsWith("https:") ? httpsRequest : httpRequest)(`${base}${path}${search}`, {
      method,
      headers,
    });
    request.on("response", resolve);
    request.on("error", (error) =>
      reject(
        new WaybillError("WAYBILL_TRANSPORT", `No relay at ${admin}: ${messageOf(error)}`, {
          hint: "Start one with waybill dev, or name its admin API with --admin.",
        }),
      ),
    );
    request.end(text);
  });
  const { statusCode: status = 0 } = response;
  if (status >= 200 && status < 300) return response;
  const refusal = await refusalOf(response, admin);
  if (refusal === undefined) return undefined;
  throw refusal;
}

/** An answer that must be there: 404 is for what is asked about by name. */
export function present<T>(answer: T | undefined): T {
  if (answer === undefined) throw new TypeError("no answer");
  return answer;
}

/** What `read` makes of an answer; one that has not the shape is no relay's. **Errors**: `WAYBILL_INPUT`. */
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
    hint: "Name a relay's admin API with --admin; events go to another port.",
  });
}

/** `undefined` when what is asked about is not there. */
async function refusalOf(response: IncomingMessage, admin: string): Promise<WaybillError | undefined> {
  const { code, detail } = problemOf(await textOf(response, REFUSAL_MAX_BYTES));
  if (response.statusCode === 404 && MISSING.includes(code)) return undefined;
  if (response.statusCode === 401)
    return new WaybillError("WAYBILL_INPUT", `${admin} asks for a token`, {
      hint: "Give the admin token with --token.",
    });
  if (detail !== undefined && code !== "unknown_route") return new WaybillError("WAYBILL_INPUT", detail);
  return new WaybillError("WAYBILL_INPUT", `${admin} answers ${response.statusCode}`, {
    hint: "Is this the admin API of a relay?",
  });
}

function problemOf(text: string | undefined): { readonly code: string; readonly detail: string | undefined } {
  try {
    const { code, detail } = JSON.parse(text ?? "") as Readonly<Record<string, unknown>>;
    return { code: String(code), detail: typeof detail === "string" ? detail : undefined };
  } catch {
    return { code: "", detail: undefined };
  }
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
