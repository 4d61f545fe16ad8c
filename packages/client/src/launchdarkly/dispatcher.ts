import { isHttpUrl, type OptionSpec, resolveOptions, WaybillError } from "@waybill/core";
import {
  EventForwarder,
  LAUNCHDARKLY_EVENTS_URL,
  type LaunchDarklyCredential,
  launchdarklyInbound,
  PUBLISHER_DEFAULTS,
} from "@waybill/vendors";
import type { VendorHost } from "../options.ts";
import { held } from "../vendor-kit/deliverer.ts";
import { VERSION } from "../version.ts";
import { checkCredential } from "./credential.ts";
import { readHeaders } from "./metadata.ts";
import type { EventAnswer, EventDispatcherOptions, EventHandler, EventRequest, EventsKind, SdkKind } from "./types.ts";

type Optional = "mobileKey" | "environmentId" | "uri" | "transport";
type Resolved = Required<Omit<EventDispatcherOptions, Optional>> & Pick<EventDispatcherOptions, Optional>;

const OWNER = "EventDispatcher";
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const FLUSH_MS = 5_000;
const SPECS: Readonly<Record<keyof EventDispatcherOptions, OptionSpec>> = {
  sdkKey: "required",
  mobileKey: "string",
  environmentId: "string",
  uri: "string",
  flushIntervalMs: { min: Number.NEGATIVE_INFINITY, max: DAY_MS },
  capacity: { min: 1, max: 10_000_000 },
  timeoutMs: { min: 1, max: HOUR_MS },
  inlineUsers: "boolean",
  eventQueueCleanupIntervalMs: { min: Number.NEGATIVE_INFINITY, max: 365 * DAY_MS },
  flag: "function",
  strict: "boolean",
  onWarning: "function",
  transport: "function",
};
const DEFAULTS: Partial<Resolved> = {
  flushIntervalMs: FLUSH_MS,
  capacity: PUBLISHER_DEFAULTS.capacity,
  timeoutMs: PUBLISHER_DEFAULTS.timeoutMs,
  inlineUsers: false,
  eventQueueCleanupIntervalMs: 0,
  flag: () => undefined,
  strict: false,
  onWarning: (message) => console.warn(`[launchdarkly] ${message}`),
};
/** One of the paths that each kind of SDK posts to. */
const PATHS: Readonly<Record<SdkKind, Readonly<Record<EventsKind, string>>>> = {
  server: { analytics: "/bulk", diagnostic: "/diagnostic" },
  mobile: { analytics: "/mobile", diagnostic: "/mobile/events/diagnostic" },
  js: { analytics: "/events/bulk/-", diagnostic: "/events/diagnostic/-" },
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true });

/** On any host; `EventDispatcher` of the entry point brings the host along. */
export class EventDispatcherOn {
  readonly #host: VendorHost;
  readonly #options: Resolved;
  readonly #forwarder: EventForwarder;
  #closing: Promise<void> | undefined;

  constructor(host: VendorHost, options: EventDispatcherOptions) {
    this.#host = host;
    this.#options = resolveOptions<Resolved>(OWNER, options, SPECS, DEFAULTS);
    const { sdkKey, mobileKey, environmentId, uri, transport, flushIntervalMs, eventQueueCleanupIntervalMs } =
      this.#options;
    checkCredential(OWNER, { kind: "sdkKey", value: sdkKey });
    if (mobileKey !== undefined) checkCredential(OWNER, { kind: "mobileKey", value: mobileKey });
    if (environmentId !== undefined) checkCredential(OWNER, { kind: "environmentId", value: environmentId });
    if (!isHttpUrl(uri ?? LAUNCHDARKLY_EVENTS_URL))
      throw new WaybillError("WAYBILL_OPTIONS", `${OWNER}: "${uri}" is not an http or https URL`);
    this.#forwarder = new EventForwarder(
      {
        ...this.#options,
        url: uri,
        userAgent: `Waybill/${VERSION}`,
        flushIntervalMs: flushIntervalMs > 0 ? flushIntervalMs : FLUSH_MS,
        cleanupIntervalMs: eventQueueCleanupIntervalMs,
        onWarning: (message) => this.#warn(message),
      },
      transport === undefined ? host.runtime : { ...host.runtime, transport },
    );
  }

  /** The handler of an endpoint; `undefined` without a credential for that kind of SDK. */
  getHandler(sdkKind: SdkKind, eventsKind: EventsKind): EventHandler | undefined {
    const { mobileKey, environmentId } = this.#options;
    if (sdkKind === "mobile" && mobileKey === undefined) return undefined;
    if (sdkKind === "js" && environmentId === undefined) return undefined;
    const path = PATHS[sdkKind][eventsKind];
    return (request) => this.#take(path, request);
  }

  /**
   * From the next flush on, also for events that wait. One of a kind that it has not is ignored,
   * and so is an environment id.
   */
  replaceCredential(credential: LaunchDarklyCredential): void {
    this.#forwarder.replaceCredential(credential);
  }

  /** Posts what waits; ends when these posts have. Never rejects. */
  flush(): Promise<void> {
    return held(this.#host.runtime.clock, this.#forwarder.flush());
  }

  /** Sends what waits, once, and takes nothing more. Idempotent; never rejects. */
  close(): Promise<void> {
    this.#closing ??= held(this.#host.runtime.clock, this.#forwarder.close());
    return this.#closing;
  }

  #take(path: string, { headers, body }: EventRequest): EventAnswer {
    const request = { method: "POST", path, query: "", headers: readHeaders(headers) };
    const refuse = (kind: "invalid" | "unavailable", message: string): EventAnswer =>
      answerOf(launchdarklyInbound.refuse({ kind, message, retryAfterS: 0 }, request));
    if (this.#closing !== undefined) return refuse("unavailable", "the event dispatcher is closed");
    const bytes = bytesOf(body);
    const { strict } = this.#options;
    if (bytes === undefined)
      return strict ? answerOf({ status: 202, body: "" }) : refuse("invalid", "body is not UTF-8");
    const route = launchdarklyInbound.match(path);
    const taken = route?.take(bytes, request, {
      strict,
      isKey: () => true,
      makeId: () => "",
      now: () => 0,
    });
    if (taken === undefined || "passthrough" in taken) throw new Error(`there is no path ${path}`);
    if ("refusal" in taken) return answerOf(launchdarklyInbound.refuse(taken.refusal, request));
    if (!("parts" in taken)) return answerOf(taken.answer);
    for (const { events, metadata } of taken.parts)
      if (events.ends.length > 0) this.#forwarder.publish(metadata, textsOf(events));
    return answerOf(taken.answer(0));
  }

  #warn(message: string): void {
    try {
      this.#options.onWarning(message);
    } catch {
      // Documented at the option: what it throws is ignored.
    }
  }
}

/** `undefined` when it is not text. */
function bytesOf(body: string | Uint8Array): Uint8Array | undefined {
  if (typeof body === "string") return encoder.encode(body);
  try {
    strictDecoder.decode(body);
    return body;
  } catch {
    return undefined;
  }
}

/** Each event as it came. */
function textsOf({ body, ends }: { readonly body: readonly Uint8Array[]; readonly ends: Iterable<number> }): string[] {
  const bytes = new Uint8Array(body.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of body) {
    bytes.set(part, at);
    at += part.length;
  }
  let start = 0;
  return Array.from(ends, (end) => {
    const text = decoder.decode(bytes.subarray(start, end)).trim();
    start = end + 1;
    return text;
  });
}

function answerOf(answer: {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}): EventAnswer {
  return { status: answer.status, headers: answer.headers ?? {}, body: answer.body };
}
