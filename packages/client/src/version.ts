export const VERSION = "0.1.0";

/** How the client names itself: `context.library` and the User-Agent. */
export const LIBRARY: { readonly name: string; readonly version: string } = { name: "waybill", version: VERSION };
