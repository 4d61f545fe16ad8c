/** How the client names itself: `context.library` and the User-Agent. */
export const LIBRARY: { readonly name: string; readonly version: string } = { name: "waybill", version: "0.1.0" };
