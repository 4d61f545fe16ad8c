/** The admin API's routes by operation, and the types that follow from them. */
import { own } from "@waybill/core";
import type { z } from "zod";
import type { View } from "../schemas/common.ts";
import { actionRoutes } from "./actions.ts";
import { configRoutes } from "./config.ts";
import { eventRoutes } from "./events.ts";
import { inspectionRoutes } from "./inspection.ts";
import { liveRoutes } from "./live.ts";
import { overviewRoutes } from "./overview.ts";
import { relayRoutes } from "./relays.ts";
import { sessionRoutes } from "./session.ts";

export const ADMIN_ROUTES = {
  ...overviewRoutes,
  ...sessionRoutes,
  ...liveRoutes,
  ...eventRoutes,
  ...inspectionRoutes,
  ...actionRoutes,
  ...configRoutes,
  ...relayRoutes,
};

export type AdminRoutes = typeof ADMIN_ROUTES;
export type Operation = keyof AdminRoutes;

type Part<O extends Operation, P extends string> = AdminRoutes[O] extends { readonly [K in P]: infer S }
  ? S
  : undefined;
type Given<S> = S extends z.ZodType ? Readonly<z.input<S>> : undefined;
type Checked<S> = S extends z.ZodType ? View<S> : undefined;

/** What a client gives. */
export type GivenParams<O extends Operation> = Given<Part<O, "params">>;
export type GivenQuery<O extends Operation> = Given<Part<O, "query">>;
export type GivenBody<O extends Operation> = Given<Part<O, "body">>;

/** What a handler gets. */
export type CheckedParams<O extends Operation> = Checked<Part<O, "params">>;
export type CheckedQuery<O extends Operation> = Checked<Part<O, "query">>;
export type CheckedBody<O extends Operation> = Checked<Part<O, "body">>;

type Answers<O extends Operation> = AdminRoutes[O]["answers"];

/** Statuses of an operation whose body is JSON. */
export type JsonStatus<O extends Operation> = {
  readonly [S in keyof Answers<O>]: Answers<O>[S] extends { readonly type: string }
    ? never
    : Answers<O>[S] extends { readonly schema: z.ZodType }
      ? S
      : never;
}[keyof Answers<O>];

/** The JSON body of a status; of several, any of theirs. */
export type JsonBody<O extends Operation, S extends keyof Answers<O>> = S extends unknown
  ? Answers<O>[S] extends { readonly schema: infer T extends z.ZodType }
    ? View<T>
    : undefined
  : never;

/** What a client gets when the operation succeeds; `undefined` for one that answers nothing. */
export type AdminAnswer<O extends Operation> = JsonBody<O, Extract<keyof Answers<O>, 200 | 202 | 204>>;

export interface AdminRequest {
  readonly params?: Readonly<Record<string, string>> | undefined;
  /** Those that are `undefined` are left out. */
  readonly query?: Readonly<Record<string, string | number | undefined>> | undefined;
}

/** Path and query of a request to an operation. */
export function adminPath(operation: Operation, { params = {}, query = {} }: AdminRequest): string {
  const path = ADMIN_ROUTES[operation].path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(own(params, name) ?? ""),
  );
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? path : `${path}?${search}`;
}
