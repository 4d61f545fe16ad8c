/** What callers of GetFluxly's client give: its options and the arguments of its calls. */
import type { Transport } from "@waybill/core";
import type { Properties } from "@waybill/vendors";
import type { ExitSignal } from "../vendor-kit/exit-hook.ts";
import type { GetFluxlyError } from "./error.ts";

export interface GetFluxlyClientOptions {
  /** `gflux_secret_…`, or `gflux_pub_…` for events only. */
  readonly token: string;
  /** Default `https://api.getfluxly.com`. The original's `api_host`. */
  readonly apiHost?: string;
  /**
   * Events per request, and how many start one. Default 20, at most 100. The original's `flush_at`.
   */
  readonly flushAt?: number;
  /**
   * Or when the first has waited so long; 0 for never. Default 5,000. The original's
   * `flush_interval` (seconds there).
   */
  readonly flushIntervalMs?: number;
  /** Further attempts after the first one. Default 2. The original's `max_retries`. */
  readonly maxRetries?: number;
  /** For one request; 0 for none. Default 5,000. The original's `timeout` (seconds there). */
  readonly timeoutMs?: number;
  /**
   * Most events that wait; more are refused with `queue_overflow`. Default 1,000. The original's
   * `max_queue_size`.
   */
  readonly maxQueueSize?: number;
  /**
   * Whether the end of a Node process closes the client; errors at that point are reported to
   * `onError` only. Default true. The original's `register_atexit`. Events are sent when the
   * process has nothing left to do and on a signal (`exitSignals`). After `process.exit()` or an
   * uncaught exception Node runs nothing that waits: the number of events left is reported to
   * `onError`, or to the console without it. SIGKILL and a crash of Node itself report nothing.
   * With false, and outside Node, call `close` yourself.
   */
  readonly registerAtExit?: boolean;
  /**
   * Signals (`"SIGHUP"`, `"SIGINT"`, `"SIGTERM"`) on which the client closes, within `timeoutMs` x
   * (`maxRetries` + 2), 20 s by default; the process then ends by the signal, and a second one ends
   * it at once. Where the application listens to the signal too, the client closes, but the end is
   * the application's. Default: SIGINT and SIGTERM, only while nobody else listens to them. `[]`
   * for none: such a signal ends the process silently.
   * **Errors**: `WAYBILL_OPTIONS` for any other name.
   */
  readonly exitSignals?: readonly ExitSignal[];
  /**
   * Called for what goes wrong in the background. Default: nothing, as in the original; but a line
   * on the console for events that the end of the process lost. What it throws is ignored.
   */
  readonly onError?: (error: GetFluxlyError) => void;
  /** Makes the requests. Default: `node:http(s)` on Node, `fetch` elsewhere. */
  readonly transport?: Transport;
}

export interface GetFluxlyIds {
  /** An id from before the user is known, such as a device's. */
  readonly anonymousId?: string;
  /** The user's id in another system. */
  readonly externalId?: string;
  /** The user's id in your own system. */
  readonly userId?: string;
}

/** One id at least is required. */
export interface GetFluxlyTrack extends GetFluxlyIds {
  /** In snake case, at most 64 characters. */
  readonly event: string;
  /** What the event is about: any JSON object. */
  readonly properties?: Properties;
  /** Default: now; also for an invalid Date, which is reported to `onError`. */
  readonly timestamp?: Date | string;
  /** The circumstances: any JSON object. */
  readonly context?: Properties;
}

/** One id at least is required; two join what is known under each. */
export interface GetFluxlyIdentify extends GetFluxlyIds {
  /** What is known of the user: any JSON object. */
  readonly traits?: Properties;
}

export interface GetFluxlyAliasCall {
  /** The id from now on. */
  readonly userId: string;
  /** This or `previousId`. */
  readonly anonymousId?: string;
  /** The id the user had before. */
  readonly previousId?: string;
  /** Sent as `X-Request-Id`. */
  readonly requestId?: string;
}
