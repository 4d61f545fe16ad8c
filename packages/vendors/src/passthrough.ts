import type { HttpRequest } from "@waybill/core";

/** A request of a client that is not an event, and is sent on to the vendor as it came. */
export interface PassthroughRequest {
  readonly method: HttpRequest["method"];
  /** With its query. */
  readonly path: string;
  readonly body: Uint8Array;
  /** Its content type. */
  readonly type: string | undefined;
}
