/** What an application imports: capture, flush, close. And each vendor's own client. */
import { createHost } from "#host";
import type { AnyEvents, Catalog, EventsOf } from "./catalog.ts";
import { type Client, createClientOn } from "./client.ts";
import type { ClientOptions } from "./options.ts";

export type { AccountView, DropReason, HttpRequest, HttpResponse, LaneMode, Outcome, Transport } from "@waybill/core";
export { WaybillError } from "@waybill/core";
export type {
  AliasEvent,
  GroupEvent,
  GroupTraits,
  IdentifyEvent,
  PageEvent,
  PageProperties,
  Properties,
  ScreenEvent,
  TrackEvent,
  TrackProperties,
  UserIds,
  UserTraits,
} from "@waybill/vendors";
export type { EventHandle } from "./captured.ts";
export type { AnyEvents, Catalog, EventsOf, TypedTrackEvent } from "./catalog.ts";
export type { Client, Summary } from "./client.ts";
export type { Destination, SegmentOptions } from "./destinations.ts";
export { segment } from "./destinations.ts";
export type {
  ClientOptions,
  ClientSettings,
  ClientTarget,
  DestinationAccount,
  Drop,
  Health,
  Overflow,
  Spool,
} from "./options.ts";

/**
 * A client with a catalogue of validators (Standard Schema: zod, valibot, arktype and others), from
 * which the types of `track()` come.
 */
export function createClient<const C extends Catalog>(
  options: ClientOptions & { readonly catalog: C },
): Client<EventsOf<C>>;
/**
 * Makes a client. Nothing happens on the network until an event is captured.
 *
 * **Errors**: `WAYBILL_OPTIONS`, with every fault at once. Afterwards no call throws, but with the
 * overflow policy `throw`.
 *
 * @example
 * const client = createClient({ relay: { url: "http://127.0.0.1:8080", writeKey: "dev" } });
 * client.track({ userId: "u1", event: "Order Completed", properties: { total: 42 } });
 * await client.close(); // => { delivered: 1, rejected: 0, dropped: 0, left: 0 }
 *
 * @example
 * // Names and properties of track events checked by the compiler.
 * const client = createClient<{ "Order Completed": { total: number } }>({ relay });
 */
export function createClient<Events extends object = AnyEvents>(options: ClientOptions): Client<Events>;
export function createClient(options: ClientOptions): unknown {
  return createClientOn(createHost(), options);
}
