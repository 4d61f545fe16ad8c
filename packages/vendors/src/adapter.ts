/**
 * One vendor, in both directions: what the relay, the configuration, the docs and the contract
 * suites know of it. They find it in the registry (registry.ts) and name no vendor themselves.
 *
 * All of it is pure: no I/O, no clock, no chance. What strangers sent never makes it throw, unless
 * a method says so.
 */
import type { DropReason, HttpRequest, Protocol, Translate } from "@waybill/core";
import type { Canonical, Json } from "./canonical/canonical.ts";
import type { EventMap, ReadCanonical } from "./canonical/mapping.ts";
import type { NoOptions, VendorConfig } from "./config.ts";
import type { EventId } from "./inbound/event-ids.ts";
import type { Inbound } from "./inbound/inbound.ts";
import type { OrderTable } from "./order/order-table.ts";
import type { PassthroughRequest } from "./passthrough.ts";
import type { SegmentLimits } from "./segment/scan-types.ts";

/** Which events keep the order in which they came: those of each user, all of them, or none. */
export type DeliveryOrder = "user" | "arrival" | "none";

/** The options that every destination of a vendor has. A vendor's own come on top. */
export interface DestinationOptions {
  /** Where to deliver to. Absent: the vendor's own address. */
  readonly url?: string | undefined;
  /** The credential. */
  readonly writeKey: string;
}

/** What a destination knows of the relay that sends. */
export interface OutboundContext {
  /** For the User-Agent. */
  readonly library: { readonly name: string; readonly version: string };
  /** Send exactly what the vendor's own relay sends where it differs from us. */
  readonly strict: boolean;
}

/** Why no event of some metadata can be sent. */
export type Unsendable = { readonly dropped: DropReason } | { readonly rejected: string };

/** What a place to deliver to has to have: a vendor, or a destination of the relay's own. */
export interface OutboundAdapter<Destination extends object = DestinationOptions> {
  /** As in the configuration's `vendor`. */
  readonly name: string;
  /** Requests and what their answers mean. */
  outbound(options: Destination, context: OutboundContext): Protocol;
  /**
   * By what it knows events that come a second time. `batch`: by the key of the batch, so the same
   * batch has to be sent again after a power cut (the lane writes it to disk first). `event`: by
   * each event's own id. `nothing`: an event whose answer was lost may count twice.
   */
  readonly knowsDuplicatesBy: "batch" | "event" | "nothing";
  /**
   * In which order its events are delivered where the configuration does not say. Default: `user`.
   */
  readonly defaultOrder?: DeliveryOrder;
  /**
   * From canonical events to its own. `read` reads an event of any vendor as a canonical one;
   * `options` are those of the destination. Absent: it takes every wire format as it is.
   */
  fromCanonical?(events: EventMap<never>, read: ReadCanonical, options: Destination): Translate;
  /**
   * Why events of this metadata, in its own wire format, cannot be sent with these options.
   * `undefined`: they can. Default: all can. May throw: then each event is rejected.
   */
  unsendable?(metadata: string, options: Destination): Unsendable | undefined;
  /** The request that sends on one that is not an event. Absent: it has none. */
  passthrough?(request: PassthroughRequest, options: Destination): HttpRequest;
}

/** `Source`, `Destination`: the vendor's own options of a source and of a destination. */
export interface VendorAdapter<
  Name extends string = string,
  Source extends object = NoOptions,
  Destination extends object = NoOptions,
> extends OutboundAdapter<DestinationOptions & Destination> {
  /**
   * As in the configuration's `protocol` and `vendor`, and at the front of the metadata of its
   * events.
   */
  readonly name: Name;
  /** For people, and the name by which an event's `integrations` chooses it. */
  readonly title: string;
  /** Schemas, defaults and texts of its own options. */
  readonly config: VendorConfig<Source, Destination>;
  readonly inbound: Inbound<Source>;
  fromCanonical(events: EventMap<never>, read: ReadCanonical, options: Destination): Translate;
  /**
   * From its own to a canonical event; `undefined` for one that has no canonical meaning.
   * **Errors**: throws when `text` is not JSON.
   */
  toCanonical(text: string, metadata: string): Canonical | undefined;
  /**
   * The member of a stored event that holds its id, for the trace: `uuid`, or names joined by dots.
   * Absent: its events have none.
   */
  readonly idMember?: string;
  /**
   * Where the ids of stored events are in their `body`, for the window of ids after a restart.
   * Absent: they are not in the log (a request carries its id beside its events), and its
   * duplicates are not known after a restart that lost the files of ids. `scanBatch` is Segment's.
   */
  eventIds?(body: Uint8Array, scanBatch?: SegmentLimits["scanBatch"]): readonly EventId[];
  /**
   * Where its events say whose they are: events of one user keep their order. The user's id, else
   * the anonymous id.
   */
  readonly order: OrderTable;
  /** Whether its events have an object `context`, where the rate of a sample is noted. */
  readonly hasContext: boolean;
  /**
   * A stored event's text with its own object changed. Default: the text is that object.
   * **Errors**: throws when it is not JSON.
   */
  changeEvent?(text: string, change: (event: Json) => Json): string;
  /**
   * The same for what the events of a request share. Default: nothing of it can be changed.
   * **Errors**: throws when it is not JSON.
   */
  changeMetadata?(metadata: string, change: (shared: Json) => Json): string;
}
