/** What is wrong when the admin API does not do what it was asked, and what to do about it. */
import { messageOf, WaybillError } from "@waybill/core";
import type { EnvironmentView } from "@waybill/relay";
import { type GivenNames, knownNames, UNKNOWN_NAMES } from "./known-names.ts";
import { tlsHint } from "./trusted-ca.ts";

export interface Refused {
  /** The base URL as it was given. */
  readonly admin: string;
  readonly status: number;
  /** The body of the answer. */
  readonly text: string | undefined;
  readonly given: GivenNames;
  readonly hasToken: boolean;
  /** Answers a GET of the admin API; `undefined` for anything but JSON with a status of 200. */
  readonly look: (path: string) => Promise<unknown>;
}

const HINTS: ReadonlyMap<string, string> = new Map([
  ["read_only", "Give the full token, admin.token of the relay's configuration."],
  ["unknown_replay", "waybill replay list shows which there are."],
  ["too_many_replays", "waybill replay list shows them; waybill replay cancel ends one."],
  ["too_many_streams", "Try again when another tail, export or search has ended."],
  ["storage_unavailable", "The relay's log lines name the disk and its fault; try again later."],
  ["closing", "The relay is stopping; try again when it runs again."],
]);

/** What the relay says, and what the one who gave the command can do. */
export async function refusalOf(refused: Refused): Promise<WaybillError> {
  const { admin, status, text } = refused;
  const { code, detail } = problemOf(text);
  if (detail === undefined)
    return new WaybillError("WAYBILL_INPUT", `${admin} answers with status ${status}, and not as a relay`, {
      hint: "Give the URL of a relay's admin API with --admin; a proxy before it must let its answers pass.",
    });
  if (code === "unknown_route") return unknownRoute(detail, refused);
  const hint = await hintOf(code, refused);
  return new WaybillError("WAYBILL_INPUT", detail, hint === undefined ? {} : { hint });
}

async function hintOf(code: string, { given, hasToken, look }: Refused): Promise<string | undefined> {
  if (code === "unauthorized")
    return hasToken
      ? "The token that was given is not the relay's: that is admin.token of its configuration."
      : "Give the admin token with --token or in WAYBILL_ADMIN_TOKEN.";
  if (!UNKNOWN_NAMES.has(code)) return HINTS.get(code);
  try {
    // Of a destination that is unknown the source is a filter.
    const { source: _, ...others } = given;
    const names = code === "unknown_lane" ? others : given;
    return knownNames(names, (await look("/v1/environments")) as readonly EnvironmentView[]);
  } catch {
    return undefined;
  }
}

/** The admin API of another version, or the port that takes events. */
async function unknownRoute(detail: string, { admin, look }: Refused): Promise<WaybillError> {
  const document = await look("/openapi.json");
  if (typeof document === "object" && document !== null && "openapi" in document)
    return new WaybillError("WAYBILL_INPUT", detail, { hint: "The relay is of another version than this command." });
  return new WaybillError("WAYBILL_INPUT", `${admin} is where the relay takes events, not its admin API`, {
    hint: "The relay's start-up line has both; give the one after admin with --admin.",
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

/** Why nothing answers at `admin`. */
export function unreachable(admin: string, error: unknown): WaybillError {
  const [message, hint] = reasonOf(admin, error) ?? [
    `There is no relay at ${admin}: ${messageOf(error)}`,
    "Start one with waybill dev, or give the URL of its admin API with --admin.",
  ];
  return new WaybillError("WAYBILL_TRANSPORT", message, { hint, cause: error });
}

function reasonOf(admin: string, error: unknown): readonly [message: string, hint: string] | undefined {
  const code = String((error as NodeJS.ErrnoException).code);
  if (code === "EPROTO" || code.startsWith("ERR_SSL"))
    return [`${admin} does not speak TLS`, "The relay's admin API is plain HTTP: write http:// in --admin."];
  const hint = tlsHint(error);
  if (hint !== undefined) return [`There is no TLS with ${admin}: ${messageOf(error).trim()}`, hint];
  if (code.startsWith("HPE_") || code === "ECONNRESET")
    return [
      `${admin} does not answer as HTTP`,
      "Give the URL of a relay's admin API with --admin; begin it with https:// if a proxy before it speaks TLS.",
    ];
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return [`The host of ${admin} is not known`, "Check the name in --admin."];
  if (code === "ETIMEDOUT" || code === "EHOSTUNREACH" || code === "ENETUNREACH")
    return [`${admin} cannot be reached (${code})`, "Check its address and the network between."];
  return undefined;
}
