/** Health and readiness: as anyone may know them, and with names for those who have the token. */
import type { IncomingMessage } from "node:http";
import type { Answer } from "../intake/answers.ts";
import { type Guard, isTrusted } from "./guard.ts";
import type { AdminView } from "./view.ts";
import type { Health, PublicReadiness, Readiness } from "./views.ts";

const JSON_HEADERS = { "content-type": "application/json" };

/** That the process answers: for anyone. */
export function health(): Answer {
  return { status: 200, headers: JSON_HEADERS, body: '{"status":"ok"}' };
}

/** Whether events can be stored durably, without a name: for anyone. */
export function ready({ ready: isReady, components }: Readiness): Answer {
  const short: PublicReadiness = {
    ready: isReady,
    components: components.map((component) => ({ name: "log", ready: component.ready })),
  };
  return { status: isReady ? 200 : 503, headers: JSON_HEADERS, body: JSON.stringify(short) };
}

/** Red when a defect has stopped a lane. Which lane is shown to those who may know. */
export function fullHealth(view: AdminView, request: IncomingMessage, guard: Guard): Answer {
  const failed = view.readiness().lanes.filter(({ mode }) => mode === "failed");
  if (failed.length === 0) return health();
  const shown: Health = { status: "failed", ...(isTrusted(request, guard) ? { lanes: failed } : {}) };
  return { status: 503, headers: JSON_HEADERS, body: JSON.stringify(shown) };
}

export function fullReady(view: AdminView, request: IncomingMessage, guard: Guard): Answer {
  const readiness = view.readiness();
  const short = ready(readiness);
  return isTrusted(request, guard) ? { ...short, body: JSON.stringify(readiness) } : short;
}
