import { VENDOR_CONFIGS, type VendorConfig } from "@waybill/vendors/config";
import type { Vendor } from "@waybill/vendors/registry";

const BY_NAME: ReadonlyMap<string, VendorConfig<object, object>> = new Map(Object.entries(VENDOR_CONFIGS));

/** What the configuration knows of a vendor. */
export function vendorConfigOf(vendor: Vendor): VendorConfig<object, object> {
  return BY_NAME.get(vendor) as VendorConfig<object, object>;
}
