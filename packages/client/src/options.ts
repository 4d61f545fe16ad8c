import type { AccountView, DropReason, LaneMode, OptionSpec, Runtime, Transport, WaybillError } from "@waybill/core";
import { resolveOptions } from "@waybill/core";
import type { Captured, Shared } from "./captured.ts";
import type { Catalog } from "./catalog.ts";
import { type Destination } from "./destinations.ts";
import type { ExitHook } from "./vendor-kit/exit-hook.ts";

/** An event that was lost on purpose, or refused for good by a destination. */
export interface Drop {
  /** `rejected`: refused for good; `expired`: given up by a spool that is at its `maxBytes`. */
  readonly reason: DropReason | "rejected" | "expired";
  /** The destination's reason, for `rejected`. */
  readonly detail?: string;
  /** Absent when the event has none, or is not known any more. */
  readonly messageId?: string | undefined;
  /** How many events, where that is not 1. */
  readonly events?: number;
  /** Which destination does not get it. */
  readonly destination: string;
}

/** What happens to a new event when the queue is full. */
export type Overflow = "drop-newest" | "drop-oldest" | "throw";

/** Where events go: either destinations or a relay, never both. */
export type ClientTarget =
  | {
      /**
       * Where events go, each destination on its own: one that is down delays no other. At least
       * one. Either this or `relay`.
       */
      readonly destinations: readonly Destination[];
      /** Not beside `destinations`. */
      readonly relay?: undefined;
    }
  | {
      /**
       * A Waybill relay that takes the events from here on: where it listens, and a write key of
       * one of its sources.
       */
      readonly relay: { readonly url: string; readonly writeKey: string };
      /** Not beside `relay`. */
      readonly destinations?: undefined;
    };

/** What `createClient` takes. */
export type ClientOptions = ClientTarget & ClientSettings;

/** The same as it may come from JavaScript: neither or both targets are reported at run time. */
export interface GivenOptions extends ClientSettings {
  readonly destinations?: readonly Destination[] | undefined;
  readonly relay?: { readonly url: string; readonly writeKey: string } | undefined;
}

/** How a client works; everything has a default. */
export interface ClientSettings {
  /**
   * A request starts when this many events wait. Default 500: under load requests stay few; a quiet
   * application meets the interval first. `1` for serverless.
   */
  readonly flushAt?: number;
  /** Or when they have this many bytes. Default 256 KiB: half of what Segment takes at once. */
  readonly flushBytes?: number;
  /**
   * Or when the first of them has waited this long. Default 250 ms: events are seen soon, posts
   * stay few.
   */
  readonly flushIntervalMs?: number;
  /** Most events the queue of a destination holds. Default 100,000. */
  readonly queueMaxEvents?: number;
  /** Most bytes it holds. Default 64 MiB: what a small container can spare. */
  readonly queueMaxBytes?: number;
  /**
   * Default `drop-newest`: what was captured before is not taken back. With `throw` an event that
   * one destination has no room for is taken by none, and may be captured again.
   */
  readonly overflow?: Overflow;
  /** Largest event in bytes. Default 32 KiB: Segment's limit. */
  readonly eventMaxBytes?: number;
  /**
   * Attempts per batch, the first included. Default: no limit; the queue's bounds and `close` are
   * the limit.
   */
  readonly maxAttempts?: number;
  /** For one request, to the end of its answer. Default 10 s. */
  readonly timeoutMs?: number;
  /**
   * Longest wait before the second attempt, doubling from there; the actual wait is random up to
   * it. Default 500 ms.
   */
  readonly backoffBaseMs?: number;
  /** No backoff waits longer; a vendor's Retry-After may. Default 60 s. */
  readonly backoffMaxMs?: number;
  /** Validators of track events by name, from which the types of `track()` come. See `validate`. */
  readonly catalog?: Catalog;
  /**
   * What the validators do at run time: `off` nothing (types only), `report` reports to `onError`
   * and sends, `drop` reports to `onError` and drops as `invalid`. Default `off`.
   */
  readonly validate?: "off" | "report" | "drop";
  /** Goes with every event, once per request: `{ app: { name, version } }`. */
  readonly context?: Readonly<Record<string, unknown>>;
  /**
   * Keeps events on disk until they are delivered: `spool({ directory })` from `waybill/spool`.
   * Node only.
   */
  readonly spool?: Spool;
  /** Makes the requests. Default: `node:http(s)` on Node, `fetch` elsewhere. */
  readonly transport?: Transport;
  /**
   * The platform's way to keep a serverless function alive; called with a promise that ends when
   * the event is delivered.
   */
  readonly waitUntil?: (promise: Promise<unknown>) => void;
  /** Called for each event that will not be delivered. What it throws is ignored. */
  readonly onDrop?: (drop: Drop) => void;
  /** Called for what goes wrong otherwise. What it throws is ignored. */
  readonly onError?: (error: WaybillError) => void;
}

/** What the client needs from its host; replaced by tests. */
export interface Host {
  readonly runtime: Runtime;
  /** Bytes of a text as UTF-8. */
  readonly byteLength: (text: string) => number;
}

/** What the vendors' own clients need beside it. */
export interface VendorHost extends Host {
  /** `Node/20.20.2`. */
  readonly platform: string;
  /** An environment variable. */
  readonly environment: (name: string) => string | undefined;
  /**
   * Whether strangers read what runs here: a page of a browser. A worker, of a browser too, is
   * none.
   */
  readonly isBrowser: boolean;
  /**
   * Calls the hook when the process ends, as far as the platform reports it. Returns a function
   * that removes the hook.
   */
  readonly onExit: (hook: ExitHook) => () => void;
}

/** What a vendor's own client wants of its host. */
export interface VendorHostOptions {
  /**
   * Whether a connection serves one request after another. Default true; platforms that have only
   * `fetch` decide by themselves.
   */
  readonly keepAlive?: boolean;
}

/**
 * A value that belongs to a chain of asynchronous calls; where the platform does not know chains,
 * to a synchronous task.
 */
export interface Context<T> {
  /** Undefined outside of `run`. */
  get(): T | undefined;
  /**
   * For `task` and what it awaits. Without chains an asynchronous task is refused with a
   * `TypeError`.
   */
  run<R, A extends readonly unknown[]>(value: T, task: (...args: A) => R, ...args: A): R;
}

/** Makes the place of a value. */
export type CreateContext = <T>() => Context<T>;

export type ResolvedOptions = Required<
  Omit<ClientSettings, "spool" | "transport" | "waitUntil" | "onDrop" | "onError" | "context" | "catalog">
> &
  Pick<
    GivenOptions,
    "destinations" | "relay" | "spool" | "transport" | "waitUntil" | "onDrop" | "onError" | "context" | "catalog"
  >;

/** What passes between the client and its pipeline. */
export interface PipelineOptions {
  readonly options: ResolvedOptions;
  readonly host: Host;
  readonly destinations: readonly Destination[];
  /** Sent beside the events of every request, in the vendor's format. */
  readonly metadata: string;
  readonly shared: Shared;
  readonly onDrop: (drop: Drop) => void;
  readonly onError: (error: WaybillError) => void;
}

/** Between capture and the destinations: in memory, or on disk. Gives each event its outcomes. */
export interface Pipeline {
  /**
   * Takes an event for every destination. **Errors**: `WAYBILL_QUEUE_FULL` with the overflow policy
   * `throw`.
   */
  push(event: Captured): void;
  /** Counts an event that was lost before it got here. */
  drop(reason: DropReason, messageId: string | undefined): void;
  /** Ends when everything pushed before is settled, or cannot be for now. */
  flush(): Promise<unknown>;
  /**
   * Delivers within the deadline; what is left then stays on disk or is lost. May never end, when a
   * disk does not answer.
   */
  close(deadlineMs: number): Promise<unknown>;
  /** The deadline has passed: what comes from now on is not counted any more. */
  freeze?(): void;
  /** The ledger of each destination, by its name. */
  accounts(): Readonly<Record<string, DestinationAccount>>;
}

/** A destination's ledger, and how the destination is. */
export interface DestinationAccount extends AccountView, Health {}

/** Made by `spool({ directory })` of `waybill/spool`. */
export interface Spool {
  /** Called once, by the client. */
  readonly createPipeline: (options: PipelineOptions) => Pipeline;
}

/** How a destination is. */
export interface Health {
  /**
   * `waiting`: it is tried again; `halted`: not before somebody acts (a key, a URL); `failed`: a
   * defect. Trouble that there was at close stays.
   */
  readonly mode: LaneMode;
  /** Why events are not delivered now: `no answer from http://127.0.0.1:8080: refused`. */
  readonly reason: string | undefined;
}

const DEFAULTS: Partial<ResolvedOptions> = Object.freeze({
  flushAt: 500,
  flushBytes: 256 * 1024,
  flushIntervalMs: 250,
  queueMaxEvents: 100_000,
  queueMaxBytes: 64 * 1024 * 1024,
  overflow: "drop-newest",
  validate: "off",
  eventMaxBytes: 32 * 1024,
  maxAttempts: Number.POSITIVE_INFINITY,
  timeoutMs: 10_000,
  backoffBaseMs: 500,
  backoffMaxMs: 60_000,
});

const count = (max: number): OptionSpec => ({ min: 1, max });
const FUNCTION: OptionSpec = "function";
const HOUR_MS = 3_600_000;
const GIB = 1024 ** 3;

const SPECS: Readonly<Record<keyof ResolvedOptions, OptionSpec>> = {
  destinations: "array",
  relay: "object",
  flushAt: count(100_000),
  flushBytes: count(GIB),
  flushIntervalMs: count(HOUR_MS),
  queueMaxEvents: count(10_000_000),
  queueMaxBytes: count(4 * GIB),
  overflow: ["drop-newest", "drop-oldest", "throw"],
  eventMaxBytes: count(16 * 1024 * 1024),
  maxAttempts: count(Number.POSITIVE_INFINITY),
  timeoutMs: count(HOUR_MS),
  backoffBaseMs: count(HOUR_MS),
  backoffMaxMs: count(HOUR_MS),
  catalog: "object",
  validate: ["off", "report", "drop"],
  context: "object",
  spool: "object",
  transport: FUNCTION,
  waitUntil: FUNCTION,
  onDrop: FUNCTION,
  onError: FUNCTION,
};

export function resolveClientOptions(options: GivenOptions): ResolvedOptions {
  return resolveOptions<ResolvedOptions>("createClient", options, SPECS, DEFAULTS);
}
