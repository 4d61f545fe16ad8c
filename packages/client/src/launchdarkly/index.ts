/** LaunchDarkly's event forwarding: publisher and dispatcher. Source: ld-relay v6.9.1, package events, read November 2026. */

import type { LaunchDarklyCredential } from "@waybill/vendors";
import { createVendorHost } from "#host";
import { EventDispatcherOn, type EventDispatcherOptions } from "./dispatcher.ts";
import { type EventPublisher, HttpEventPublisherOn, type HttpEventPublisherOptions } from "./publisher.ts";

export type { EventMetadata, Flag, LaunchDarklyCredential } from "@waybill/vendors";
export type {
  EventAnswer,
  EventDispatcherOptions,
  EventHandler,
  EventRequest,
  EventsKind,
  SdkKind,
} from "./dispatcher.ts";
export type { EventHeaders, EventPayloadMetadata } from "./metadata.ts";
export {
  EVENT_SCHEMA_HEADER,
  getEventPayloadMetadata,
  SUMMARY_EVENTS_SCHEMA_VERSION,
  TAGS_HEADER,
} from "./metadata.ts";
export type { EventPublisher, HttpEventPublisherOptions } from "./publisher.ts";

/**
 * @example
 * const publisher = new HttpEventPublisher({ kind: "sdkKey", value: "sdk-…" });
 * publisher.publish({ schemaVersion: 4 }, { kind: "custom", key: "clicked", creationDate: 1, context: { kind: "user", key: "u" } });
 * await publisher.flush();
 * await publisher.close();
 */
export class HttpEventPublisher extends HttpEventPublisherOn implements EventPublisher {
  constructor(credential: LaunchDarklyCredential, options: HttpEventPublisherOptions = {}) {
    super(createVendorHost(), credential, options);
  }
}

/**
 * Forwards the events of SDKs to LaunchDarkly, in a server of your own: new events as they are, old ones (schema 1 and 2)
 * summarised. In memory, as the original: for events that must not be lost use the relay.
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
