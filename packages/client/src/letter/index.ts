/**
 * Letter's own client: identify, group, track in the background. Source: the vendor's Ruby and Node
 * clients, read November 2026.
 */
import { createVendorHost } from "#host";
import { LetterClientOn } from "./client.ts";
import type { LetterClientOptions } from "./types.ts";

export type { CanonicalEvent, EventMap, LetterItem } from "@waybill/vendors";
export type { ExitSignal } from "../vendor-kit/exit-hook.ts";
export type { LetterOptions } from "./destination.ts";
export { letter } from "./destination.ts";
export { LetterError } from "./error.ts";
export type { LetterClientOptions, LetterGroup, LetterIdentify, LetterTrack } from "./types.ts";

/**
 * @example
 * const letter = new LetterClient({ apiKey: "lt_live_…" });
 * letter.track({ userId: "u-7", event: "Report Exported", properties: { rows: 12 } });
 * await letter.close();
 */
export class LetterClient extends LetterClientOn {
  constructor(options: LetterClientOptions) {
    super(createVendorHost(), options);
  }
}
