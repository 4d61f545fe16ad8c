/**
 * LaunchDarkly's event forwarding: publisher and dispatcher. Source: ld-relay v6.9.1, package
 * events, read November 2026.
 */

import type { LaunchDarklyCredential } from "@waybill/vendors";
import { createVendorHost } from "#host";
import { HttpEventPublisherOn } from "./client.ts";
import { EventDispatcherOn } from "./dispatcher.ts";
import type { EventDispatcherOptions, EventPublisher, HttpEventPublisherOptions } from "./types.ts";

export type { EventMetadata, Flag, LaunchDarklyCredential } from "@waybill/vendors";
export type { EventHeaders, EventPayloadMetadata } from "./metadata.ts";
export {
  EVENT_SCHEMA_HEADER,
  getEventPayloadMetadata,
  SUMMARY_EVENTS_SCHEMA_VERSION,
  TAGS_HEADER,
} from "./metadata.ts";
export type {
  EventAnswer,
  EventDispatcherOptions,
  EventHandler,
  EventPublisher,
  EventRequest,
  EventsKind,
  HttpEventPublisherOptions,
  SdkKind,
} from "./types.ts";

/**
 * @example
 * const publisher = new HttpEventPublisher({ kind: "sdkKey", value: "sdk-…" });
 * publisher.publish({ schemaVersion: 4 }, { kind: "custom", key: "clicked", creationDate: 1,
 * context: { kind: "user", key: "u" } }); await publisher.flush();
 * await publisher.close();
 */
export class HttpEventPublisher extends HttpEventPublisherOn implements EventPublisher {
  constructor(credential: LaunchDarklyCredential, options: HttpEventPublisherOptions = {}) {
    super(createVendorHost(), credential, options);
  }
}

/**
 * Forwards the events of SDKs to LaunchDarkly, in a server of your own: new events as they are, old
 * ones (schema 1 and 2) summarised. In memory, as the original: for events that must not be lost
 * use the relay.
 *
 * @example
 * const dispatcher = new EventDispatcher({ sdkKey: "sdk-…" });
 * const handle = dispatcher.getHandler("server", "analytics");
 * const { status, body } = handle({ headers: request.headers, body: await readAll(request) });
 */
export class EventDispatcher extends EventDispatcherOn {
  constructor(options: EventDispatcherOptions) {
    super(createVendorHost(), options);
  }
}
