/** What callers of Valued's client give: options, transports, a project's configuration. */
import type { Transport } from "@waybill/core";
import type { CreateContext, VendorHost } from "../options.ts";
import type { ExitSignal } from "../vendor-kit/exit-hook.ts";
import type { PlainObject } from "./data.ts";
import type { Executor } from "./executor.ts";

/**
 * Anything that takes an event: a function, or an object with `call`. What it returns is ignored; a
 * promise is waited for.
 */
export type ValuedTransport = ((event: PlainObject) => unknown) | { call(event: PlainObject): unknown };

export interface ConnectionOptions {
  /**
   * Attempts per event, the first included. Default 1: the vendor has no ids, so one whose answer
   * was lost may be counted twice.
   */
  readonly maxAttempts?: number;
  /** For one attempt; for one event where a client has a transport of your own. Default 60 s. */
  readonly timeoutMs?: number;
  /** Makes the requests. Default: `node:http(s)` on Node, `fetch` elsewhere. */
  readonly transport?: Transport;
}

export interface ValuedClientOptions extends ConnectionOptions {
  /**
   * Runs the requests. Default by environment: `test` in the caller, `development` one at a time,
   * else ten at a time.
   */
  readonly executor?: Executor;
  /**
   * Called for each event that was not taken. Default: nothing, as in the original. What it throws
   * is ignored.
   */
  readonly onError?: (error: Error, event: PlainObject) => void;
  /**
   * Closes by itself when the process ends, as far as Node lets it; what cannot be sent any more is
   * reported to `onError`. Default true. Browsers and workers do not announce the end: off there.
   * Not in the original.
   */
  readonly registerAtExit?: boolean;
  /**
   * Signals on which it closes, whoever else listens to them. `[]` for none. Default: SIGINT and
   * SIGTERM, while nobody else listens.
   */
  readonly exitSignals?: readonly ExitSignal[];
}

/** Goals and signals of a project. */
export interface ValuedConfig {
  /** Goals by name. */
  readonly goals?: readonly Readonly<Record<string, unknown>>[];
  /** Signals by name. */
  readonly signals?: readonly Readonly<Record<string, unknown>>[];
}

/** `(token)`, `(token, endpoint)`, `(transport)`. */
export type ConnectionSource = string | ValuedTransport;

/** A host that has contexts for scopes. */
export interface ValuedHost extends VendorHost {
  readonly createContext: CreateContext;
}

/** Data with dotted keys at any depth. */
export type ValuedInput = object;
