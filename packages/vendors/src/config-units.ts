/** Sizes and durations as people write them in the configuration: `10MiB`, `30s`. */
import { own } from "@waybill/core";

const BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1_000,
  MB: 1_000_000,
  GB: 1_000_000_000,
  KiB: 1_024,
  MiB: 1_048_576,
  GiB: 1_073_741_824,
};
const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const QUANTITY = /^(\d+(?:\.\d+)?)([A-Za-z]+)$/;

/** Bytes of `10MiB`; a plain number is bytes already. */
export function bytesOf(value: string | number): number {
  return valueOf(value, BYTES);
}

/** Milliseconds of `30s`; a plain number is milliseconds already. */
export function millisecondsOf(value: string | number): number {
  return valueOf(value, MILLISECONDS);
}

/** Whether a text is a size with its unit. */
export function isBytes(text: string): boolean {
  return !Number.isNaN(bytesOf(text));
}

/** Whether a text is a duration with its unit. */
export function isDuration(text: string): boolean {
  return !Number.isNaN(millisecondsOf(text));
}

function valueOf(value: string | number, units: Readonly<Record<string, number>>): number {
  if (typeof value === "number") return value;
  const match = QUANTITY.exec(value);
  return Math.round(Number(match?.[1]) * (own(units, match?.[2] ?? "") ?? Number.NaN));
}
