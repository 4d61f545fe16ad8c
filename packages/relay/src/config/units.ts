/** Sizes and durations as people write them; only the configuration file and the command line know these forms. */
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

/** Bytes of `10MiB`; a plain number is bytes already. */
export function bytesOf(value: string | number): number {
  return valueOf(value, BYTES);
}

/** Milliseconds of `30s`; a plain number is milliseconds already. */
export function millisecondsOf(value: string | number): number {
  return valueOf(value, MILLISECONDS);
}

/** The bits of `0640`. */
export function modeOf(octal: string): number {
  return Number.parseInt(octal, 8);
}

function valueOf(value: string | number, units: Readonly<Record<string, number>>): number {
  if (typeof value === "number") return value;
  const match = /^([\d.]+)([A-Za-z]+)$/.exec(value);
  return Math.round(Number(match?.[1]) * (own(units, match?.[2] ?? "") ?? Number.NaN));
}
