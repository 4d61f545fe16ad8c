import { isHttpUrl, type OptionSpec, resolveOptions, WaybillError } from "@waybill/core";
import {
  type EventMetadata,
  EventQueues,
  eventsPath,
  LAUNCHDARKLY_EVENTS_URL,
  type LaunchDarklyCredential,
  PUBLISHER_DEFAULTS,
} from "@waybill/vendors";
import type { VendorHost } from "../options.ts";
import { held } from "../vendor-kit/deliverer.ts";
import { VERSION } from "../version.ts";
import { checkCredential } from "./credential.ts";
import type { EventPublisher, HttpEventPublisherOptions } from "./types.ts";

type Resolved = Required<Omit<HttpEventPublisherOptions, "uri" | "endpointUri" | "transport">> &
  Pick<HttpEventPublisherOptions, "uri" | "endpointUri" | "transport">;

const HOUR_MS = 3_600_000;
const SPECS: Readonly<Record<keyof HttpEventPublisherOptions, OptionSpec>> = {
  uri: "string",
  endpointUri: "string",
  flushIntervalMs: { min: Number.NEGATIVE_INFINITY, max: 24 * HOUR_MS },
  capacity: { min: 1, max: 10_000_000 },
  timeoutMs: { min: 1, max: HOUR_MS },
  flushOnClose: "boolean",
  onWarning: "function",
  transport: "function",
};
const DEFAULTS: Partial<Resolved> = {
  ...PUBLISHER_DEFAULTS,
  flushOnClose: false,
  onWarning: (message) => console.warn(`[launchdarkly] ${message}`),
};
/** On any host; `HttpEventPublisher` of the entry point brings the host along. */
export class HttpEventPublisherOn implements EventPublisher {
  readonly #host: VendorHost;
  readonly #options: Resolved;
  readonly #queues: EventQueues;
  #closing: Promise<void> | undefined;

  constructor(host: VendorHost, credential: LaunchDarklyCredential, options: HttpEventPublisherOptions = {}) {
    this.#host = host;
    this.#options = resolveOptions<Resolved>("HttpEventPublisher", options, SPECS, DEFAULTS);
    checkCredential("HttpEventPublisher", credential);
    const {
      uri = LAUNCHDARKLY_EVENTS_URL,
      endpointUri,
      flushIntervalMs,
      capacity,
      timeoutMs,
      transport,
    } = this.#options;
    const url = endpointUri ?? `${uri.replace(/\/+$/, "")}${eventsPath(credential)}`;
    if (!isHttpUrl(url))
      throw new WaybillError("WAYBILL_OPTIONS", `HttpEventPublisher: "${url}" is not an http or https URL`);
    this.#queues = new EventQueues(
      {
        url,
        credential,
        userAgent: `Waybill/${VERSION}`,
        flushIntervalMs,
        capacity,
        timeoutMs,
        onWarning: (message) => this.#warn(message),
      },
      transport === undefined ? host.runtime : { ...host.runtime, transport },
    );
  }

  publish(metadata: EventMetadata, ...events: readonly (object | string)[]): void {
    const texts: string[] = [];
    for (const event of events) {
      const text = typeof event === "string" ? event : this.#write(event);
      if (text !== undefined) texts.push(text);
    }
    this.#queues.publish(metadata, texts);
  }

  flush(): Promise<void> {
    return held(this.#host.runtime.clock, this.#queues.flush());
  }

  replaceCredential(credential: LaunchDarklyCredential): void {
    this.#queues.replaceCredential(credential);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#options.flushOnClose) await this.flush();
    await held(this.#host.runtime.clock, this.#queues.close());
  }

  #write(event: object): string | undefined {
    try {
      return JSON.stringify(event);
    } catch (error) {
      this.#warn(`an event cannot be written as JSON and was dropped: ${String(error)}`);
      return undefined;
    }
  }

  #warn(message: string): void {
    try {
      this.#options.onWarning(message);
    } catch {
      // Documented at the option: what it throws is ignored.
    }
  }
}
