/** LaunchDarkly's event publisher. Source: ld-relay v6.9.1, package events, read November 2026. */

import type { LaunchDarklyCredential } from "@waybill/vendors";
import { createVendorHost } from "#host";
import { type EventPublisher, HttpEventPublisherOn, type HttpEventPublisherOptions } from "./publisher.ts";

export type { EventMetadata, LaunchDarklyCredential } from "@waybill/vendors";
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
