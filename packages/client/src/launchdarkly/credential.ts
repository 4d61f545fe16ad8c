import { WaybillError } from "@waybill/core";
import type { LaunchDarklyCredential } from "@waybill/vendors";

/** LaunchDarkly's key drops what is not of these (protocol section 1). */
const KEY = /^[A-Za-z0-9._-]{1,8192}$/;

/** **Errors**: `WAYBILL_OPTIONS` for a credential that LaunchDarkly's own SDKs would not send. */
export function checkCredential(owner: string, { kind, value }: LaunchDarklyCredential): void {
  if (!KEY.test(value))
    throw new WaybillError(
      "WAYBILL_OPTIONS",
      `${owner}: the ${kind} is empty or has characters other than A-Z, a-z, 0-9, ".", "_", "-"`,
    );
}
