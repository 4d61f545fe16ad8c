/**
 * The vendors there are: `@waybill/vendors/registry`. A new one is added here, and nowhere else
 * outside its own folder.
 *
 * Nothing that the published client imports may import this file: the adapters bring their schemas
 * along, and these zod.
 */
import type { VendorAdapter } from "./adapter.ts";
import { amplitude } from "./amplitude/index.ts";
import type { Canonical } from "./canonical/canonical.ts";
import { getfluxly } from "./getfluxly/index.ts";
import { vendorOf } from "./inbound/inbound.ts";
import { launchdarkly } from "./launchdarkly/index.ts";
import { letter } from "./letter/index.ts";
import { mixpanel } from "./mixpanel/index.ts";
import {
  type MemberScan,
  type OrderHashes,
  type OrderRecord,
  readOrderHashes,
  readOrderKey,
} from "./order/order-hashes.ts";
import { type ReadyTable, readyTable } from "./order/order-table.ts";
import { partitionKeys } from "./order/partition-keys.ts";
import { posthog } from "./posthog/index.ts";
import { segment } from "./segment/index.ts";
import { trophy } from "./trophy/index.ts";
import { valued } from "./valued/index.ts";

/**
 * In this order they are tried for a path that several have; the first refuses a request whose key
 * nobody knows.
 */
export const ADAPTERS: readonly [
  typeof segment,
  typeof letter,
  typeof getfluxly,
  typeof trophy,
  typeof valued,
  typeof launchdarkly,
  typeof posthog,
  typeof mixpanel,
  typeof amplitude,
] = [segment, letter, getfluxly, trophy, valued, launchdarkly, posthog, mixpanel, amplitude];

export type Vendor = (typeof ADAPTERS)[number]["name"];

const BY_NAME: ReadonlyMap<string, VendorAdapter> = new Map<string, VendorAdapter>(
  ADAPTERS.map((adapter) => [adapter.name, adapter]),
);

/** Their names, in the order of {@link ADAPTERS}. */
export const VENDORS: readonly Vendor[] = ADAPTERS.map(({ name }) => name);

export type {
  DeliveryOrder,
  DestinationOptions,
  OutboundAdapter,
  OutboundContext,
  Unsendable,
  VendorAdapter,
} from "./adapter.ts";
export { orderHash } from "./order/order-hash.ts";
export type { MemberScan, OrderHashes, OrderRecord } from "./order/order-hashes.ts";
export type { OrderTable, OrderTie, Place } from "./order/order-table.ts";
export type { PassthroughRequest } from "./passthrough.ts";

/** The adapter of a name; `undefined` for a name that is not a vendor's. */
export function adapterOf(name: Vendor): VendorAdapter;
export function adapterOf(name: string): VendorAdapter | undefined;
export function adapterOf(name: string): VendorAdapter | undefined {
  return BY_NAME.get(name);
}

/**
 * An event of any vendor, whichever its metadata names, as a canonical one. **Errors**: throws when
 * it is not JSON.
 */
export function toCanonical(text: string, metadata: string): Canonical | undefined {
  return adapterOf(vendorOf(metadata))?.toCanonical(text, metadata);
}

const ORDER_BY_NAME: ReadonlyMap<string, ReadyTable> = new Map(
  ADAPTERS.map(({ name, order }: VendorAdapter) => [name, readyTable(order)]),
);
const encoder = new TextEncoder();

/**
 * Whose each event of a stored record is, as the hash by which events of one user keep their order,
 * and which ids its events tie to each other. Ids that are equal have equal hashes, in whichever
 * member and vendor's format they are. Bytes that cannot be read, and events of a vendor that is
 * not known, are nobody's. Never throws.
 */
export function orderHashesOf(record: OrderRecord, scan?: MemberScan): OrderHashes {
  const table = ORDER_BY_NAME.get(vendorOf(record.metadata));
  return table === undefined
    ? { hashes: new Uint32Array(record.ends.length), ties: undefined }
    : readOrderHashes(record, table, scan);
}

/**
 * By which hash each event of a stored record is put into a partition: as {@link orderHashesOf},
 * and for nobody's events by their own id, else by their bytes. Never 0, never throws.
 */
export function partitionKeysOf(record: OrderRecord, scan?: MemberScan): Uint32Array {
  const adapter = adapterOf(vendorOf(record.metadata));
  return partitionKeys(record, orderHashesOf(record, scan).hashes, (body) => {
    try {
      return adapter?.eventIds?.(body) ?? [];
    } catch {
      return [];
    }
  });
}

/** The key of one event as the text that is hashed; `undefined` for nobody's. Never throws. */
export function orderKeyOf(text: string, metadata: string): string | undefined {
  const table = ORDER_BY_NAME.get(vendorOf(metadata));
  return table === undefined ? undefined : readOrderKey(encoder.encode(text), metadata, table);
}
