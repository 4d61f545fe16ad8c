/** Whose an event is, by its vendor's table and `JSON.parse`. */
import { vendorOf } from "@waybill/vendors";
import { adapterOf, type OrderRecord, type OrderTable, orderHash } from "@waybill/vendors/registry";

export interface OrderOf {
  readonly hash: number;
  readonly tie: number;
}

const NOBODY: OrderOf = { hash: 0, tie: 0 };

/** Events as the log has them. */
export function recordOf(events: readonly string[], metadata: string): OrderRecord {
  let end = -1;
  const ends = Uint32Array.from(events, (event) => {
    end += 1 + Buffer.byteLength(event);
    return end;
  });
  return { body: Buffer.from(events.join(",")), ends, metadata };
}

export function orderByParsing(text: string, metadata: string): OrderOf {
  const table = adapterOf(vendorOf(metadata))?.order;
  const event = parsed(text);
  if (table === undefined || !isObject(event)) return NOBODY;
  const idsAt = (places: readonly string[]): readonly string[] =>
    places.map((place) => idOf(at(event, place.split(".")), table)).filter((id) => id !== "");
  const type = table.type === undefined ? undefined : at(event, table.type.split("."));
  const tie =
    table.ties?.find((one) => one.metadata !== undefined && metadata.startsWith(one.metadata)) ??
    table.ties?.find(({ types }) => types?.some((one) => one === type));
  const [key] = idsAt([...(tie?.key ?? []), ...table.key]);
  if (key === undefined) return NOBODY;
  const other = idsAt(tie?.other ?? []).find((id) => id !== key);
  return { hash: orderHash(key), tie: other === undefined ? 0 : orderHash(other) };
}

function at(value: unknown, [name, ...rest]: readonly string[]): unknown {
  if (name === undefined) return value;
  if (Array.isArray(value)) return /^\d+$/.test(name) ? at(value[Number(name)], rest) : undefined;
  if (!isObject(value) || /^\d+$/.test(name)) return undefined;
  if (name === "*") return at(Object.values(value)[0], rest);
  return Object.hasOwn(value, name) ? at(value[name], rest) : undefined;
}

function idOf(value: unknown, { prefix }: OrderTable): string {
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") return "";
  const text = String(value);
  return prefix !== undefined && text.startsWith(prefix) ? text.slice(prefix.length) : text;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
