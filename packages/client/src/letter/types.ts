/** What callers of Letter's client give: its options and the arguments of its calls. */
import type { Transport } from "@waybill/core";
import type { Properties } from "@waybill/vendors";
import type { ExitSignal } from "../vendor-kit/exit-hook.ts";
import type { LetterError } from "./error.ts";

export interface LetterClientOptions {
  /** `lt_live_…`. The original's `api_key`. */
  readonly apiKey: string;
  /** Default `https://api.letter.app`. The original's `base_url`. */
  readonly baseUrl?: string;
  /**
   * A request starts when so many events wait; 1 for serverless. Default 50. The original's
   * `flush_at`.
   */
  readonly flushAt?: number;
  /**
   * Or when the first of them has waited so long; 0 for never. Default 100. The original's
   * `flush_interval` (seconds there).
   */
  readonly flushIntervalMs?: number;
  /** Further attempts after the first one. Default 3. The original's `max_retries`. */
  readonly maxRetries?: number;
  /**
   * Together with `readTimeoutMs` the limit for one request. Default 10 s. The original's
   * `open_timeout`.
   */
  readonly openTimeoutMs?: number;
  /** Default 10 s. The original's `read_timeout`. */
  readonly readTimeoutMs?: number;
  /**
   * Most events that wait; more are refused through `onError`. Default 100,000. The original has no
   * limit.
   */
  readonly maxQueueSize?: number;
  /**
   * Whether the end of a Node process closes the client. Default true, as the original's `at_exit`.
   * Events are sent when the process has nothing left to do and on a signal (`exitSignals`). After
   * `process.exit()` or an uncaught exception Node runs nothing asynchronous: the number of events
   * left is reported to `onError`. SIGKILL and a crash of Node itself report nothing. With false,
   * and outside Node, call `close` yourself.
   */
  readonly registerAtExit?: boolean;
  /**
   * Signals (`"SIGHUP"`, `"SIGINT"`, `"SIGTERM"`) on which the client closes, and the process then
   * ends by the signal; a second one ends it at once. Where the application listens to the signal
   * too, the client closes, but the end is the application's. Default: SIGINT and SIGTERM, only
   * while nobody else listens to them. `[]` for none: such a signal ends the process silently.
   * **Errors**: `WAYBILL_OPTIONS` for any other name.
   */
  readonly exitSignals?: readonly ExitSignal[];
  /**
   * Called for every batch that was lost and every event that was refused. Default: a line on the
   * console. The original's `on_error`. What it throws is ignored.
   */
  readonly onError?: (error: LetterError) => void;
  /** Makes the requests. */
  readonly transport?: Transport;
}

export interface LetterCommon {
  /** The user's id in your own system. */
  readonly userId: string;
  /**
   * ISO 8601 or a Date. Absent: the vendor's time of receipt; also for an invalid Date, which is
   * reported to `onError`.
   */
  readonly timestamp?: string | Date;
  /** By which duplicates are recognised. Default: a new UUID. */
  readonly messageId?: string;
}

export interface LetterIdentify extends LetterCommon {
  /** A new contact needs it, here or among the traits. */
  readonly email?: string;
  /** What is known of the user: any JSON object. */
  readonly traits?: Properties;
  /** An IANA name: `Europe/Rome`. */
  readonly timezone?: string;
}

export interface LetterGroup extends LetterCommon {
  /** The account that the user belongs to. */
  readonly accountId: string;
  /** Of the account. */
  readonly name?: string;
  /** What is known of the account: any JSON object. */
  readonly traits?: Properties;
}

export interface LetterTrack extends LetterCommon {
  /** What the user did: "Order Completed". */
  readonly event: string;
  /** What it is about: any JSON object. */
  readonly properties?: Properties;
}
