/**
 * Method and path of the operations that the page uses. Written here, so that the relay's schemas
 * are not bundled; the compiler compares each with the relay's own table.
 */
import type { AdminRoutes, Operation } from "@waybill/relay";

const LANE = "/v1/lanes/{environment}/{destination}";
const DEAD_LETTERS = "/v1/dead-letters/{environment}/{destination}";

export const ROUTES = {
  showSession: ["GET", "/v1/session"],
  signIn: ["POST", "/v1/session"],
  signOut: ["DELETE", "/v1/session"],
  showOverview: ["GET", "/v1/overview"],
  watchOverview: ["GET", "/v1/live"],
  showHistory: ["GET", "/v1/history"],
  showLane: ["GET", LANE],
  watchAttempts: ["GET", `${LANE}/attempts/live`],
  probeLane: ["POST", `${LANE}/probe`],
  pauseLane: ["POST", `${LANE}/pause`],
  resumeLane: ["POST", `${LANE}/resume`],
  rotateDestinationKey: ["POST", "/v1/destinations/{environment}/{destination}/rotate"],
  rotateSourceKey: ["POST", "/v1/sources/{environment}/{source}/rotate"],
  showEvent: ["GET", "/v1/events/{environment}/{position}"],
  searchEvents: ["GET", "/v1/search"],
  tail: ["GET", "/v1/tail"],
  trace: ["GET", "/v1/trace/{messageId}"],
  traceReceipt: ["GET", "/v1/receipts/{environment}/{positions}"],
  listDeadLetters: ["GET", DEAD_LETTERS],
  listReasons: ["GET", `${DEAD_LETTERS}/reasons`],
  exportDeadLetters: ["GET", `${DEAD_LETTERS}/export`],
  retryDeadLetters: ["POST", `${DEAD_LETTERS}/retry`],
  discardDeadLetters: ["POST", `${DEAD_LETTERS}/discard`],
  listReplays: ["GET", "/v1/replays"],
  startReplay: ["POST", "/v1/replays/{environment}"],
  cancelReplay: ["DELETE", "/v1/replays/{environment}/{id}"],
  showConfig: ["GET", "/v1/config"],
  checkConfig: ["POST", "/v1/config/check"],
  reload: ["POST", "/v1/reload"],
} as const satisfies { readonly [O in Operation]?: readonly [AdminRoutes[O]["method"], AdminRoutes[O]["path"]] };

export type Used = keyof typeof ROUTES;

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Target {
  readonly params?: Readonly<Record<string, string>> | undefined;
  /** What is `undefined` or empty is left out. */
  readonly query?: Query | undefined;
}

/** Path and query of a request. */
export function urlOf(operation: Used, { params = {}, query = {} }: Target): string {
  const path = ROUTES[operation][1].replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(params[name] ?? ""),
  );
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== "") search.set(name, String(value));
  return search.size === 0 ? path : `${path}?${search}`;
}
