import { WaybillError } from "@waybill/core";
import { keyFault } from "@waybill/relay";

/** A URL that a request can be made to. **Errors**: `WAYBILL_INPUT`. */
export function checkedUrl(text: string, option: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.username === "" && url.search + url.hash === "")
    return text;
  throw new WaybillError("WAYBILL_INPUT", `${option} is not an http or https URL`, {
    hint: "Write it as http://host:port, without credentials, query or fragment.",
  });
}

/** A key that HTTP can carry; the message never has it. **Errors**: `WAYBILL_INPUT`. */
export function checkedKey(text: string, name: string): string {
  const fault = keyFault(text);
  if (fault !== undefined) throw new WaybillError("WAYBILL_INPUT", `${name} ${fault}`);
  return text;
}
