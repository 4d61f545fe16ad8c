import { printable } from "@waybill/core";

const SHOWN_CHARACTERS = 60;

/** A value for a message: short, safe to print; of lists and maps only that they are. */
export function quotedValue(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a map";
  if (typeof value !== "string") return String(value);
  return `"${printable(value.length > SHOWN_CHARACTERS ? `${value.slice(0, SHOWN_CHARACTERS)}…` : value)}"`;
}
