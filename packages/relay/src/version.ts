import { VERSION } from "@waybill/core";

export { VERSION } from "@waybill/core";

/** How the relay names itself to vendors and in its own answers. */
export const LIBRARY: { readonly name: string; readonly version: string } = { name: "waybill-relay", version: VERSION };
