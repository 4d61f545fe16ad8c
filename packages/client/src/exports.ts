/** What both entry points export beside `createClient`. */
export type { AccountView, DropReason, HttpRequest, HttpResponse, Outcome, Transport } from "@waybill/core";
export { WaybillError } from "@waybill/core";
export type {
  AliasEvent,
  GroupEvent,
  IdentifyEvent,
  PageEvent,
  Properties,
  ScreenEvent,
  TrackEvent,
} from "@waybill/vendors";
export type { Client, EventHandle, Summary } from "./client.ts";
export type { SegmentOptions } from "./destinations.ts";
export { segment } from "./destinations.ts";
export type { ClientOptions, Destination, Drop, Overflow } from "./options.ts";
export type { Spool } from "./pipeline.ts";
