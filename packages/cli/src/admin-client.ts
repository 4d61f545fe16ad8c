import { request as httpRequest, type IncomingMessage } from "node:http";
import { messageOf, WaybillError } from "@waybill/core";
import type { Command } from "commander";
import type { Io } from "./io.ts";

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

/** Asks the admin API and gives the answer as JSON; `undefined` for 404. **Errors**: `WAYBILL_INPUT`, `WAYBILL_TRANSPORT`. */
export async function callAdmin<T>(options: AdminOptions, io: Io, call: AdminCall): Promise<T | undefined> {
  const response = await openAdmin(options, io, call);
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  if (response.statusCode === 404) return undefined;
  return (text === "" ? {} : JSON.parse(text)) as T;
}

/** The answer itself, with status 2xx or 404. */
export function openAdmin(
  { admin, token: given }: AdminOptions,
  io: Io,
  { method = "GET", path, query = {}, body }: AdminCall,
): Promise<IncomingMessage> {
  const token = given ?? io.env["WAYBILL_ADMIN_TOKEN"];
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  const url = `${admin.replace(/\/+$/, "")}${path}?${parameters}`;
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, {
      method,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });
    request.on("response", (response) => {
      const status = response.statusCode ?? 0;
      if ((status >= 200 && status < 300) || status === 404) return resolve(response);
      refusalOf(response, admin).then(reject, reject);
    });
    request.on("error", (error) =>
      reject(
        new WaybillError("WAYBILL_TRANSPORT", `No relay at ${admin}: ${messageOf(error)}`, {
          hint: "Start one with waybill dev, or name its admin API with --admin.",
        }),
      ),
    );
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function refusalOf(response: IncomingMessage, admin: string): Promise<WaybillError> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  if (response.statusCode === 401)
    return new WaybillError("WAYBILL_INPUT", `${admin} asks for a token`, {
      hint: "Give the admin token with --token.",
    });
  return new WaybillError(
    "WAYBILL_INPUT",
    detailOf(Buffer.concat(chunks).toString()) ?? `${admin} answers ${response.statusCode}`,
    { hint: "Is this the admin API of a relay?" },
  );
}

function detailOf(text: string): string | undefined {
  try {
    const { detail } = JSON.parse(text) as { readonly detail?: string };
    return detail;
  } catch {
    return undefined;
  }
}
