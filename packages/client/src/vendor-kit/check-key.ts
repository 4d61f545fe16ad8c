import { isHeaderValue, WaybillError } from "@waybill/core";

/** **Errors**: `WAYBILL_OPTIONS` for a key or token that no request can carry; without the key. */
export function checkKey(owner: string, option: string, value: string | undefined): void {
  if (value !== undefined && !isHeaderValue(value))
    throw new WaybillError("WAYBILL_OPTIONS", `${owner}: option "${option}" ${NOT_IN_A_HEADER}`);
}

export const NOT_IN_A_HEADER = "has a character that HTTP does not allow in a header, such as a line break";
