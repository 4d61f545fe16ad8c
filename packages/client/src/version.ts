import { VERSION } from "@waybill/core";

export { VERSION } from "@waybill/core";

/** How the client names itself: `context.library` and the User-Agent. */
export const LIBRARY: { readonly name: string; readonly version: string } = { name: "waybill", version: VERSION };
