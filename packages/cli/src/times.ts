import { WaybillError } from "@waybill/core";
import { nodeClock } from "@waybill/node";
import { InvalidArgumentError } from "commander";

/** How a time is written, for the description of an option. */
export const TIME_FORMATS = "ISO 8601, epoch milliseconds, or how long ago as 30s, 10m, 1h, 2d";

const ISO_8601 = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?$/;
/** `1h30m` too. */
const AGO = /^(?:\d{1,12}(?:ms|[smhdw]))+$/;
const UNITS_MS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
  ["w", 604_800_000],
]);
/** The last instant that a date can name. */
const TIME_MAX_MS = 8_640_000_000_000_000;

/** Epoch milliseconds of a time as a person writes it; `undefined` for what is not one. */
export function timeOf(text: string, nowMs: number): number | undefined {
  const ms = /^\d+$/.test(text)
    ? Number(text)
    : AGO.test(text)
      ? Math.max(0, nowMs - durationOf(text))
      : ISO_8601.test(text)
        ? Date.parse(text)
        : Number.NaN;
  return ms >= 0 && ms <= TIME_MAX_MS ? ms : undefined;
}

function durationOf(text: string): number {
  let ms = 0;
  for (const [, number, unit] of text.matchAll(/(\d+)(ms|[smhdw])/g))
    ms += Number(number) * (UNITS_MS.get(unit as string) as number);
  return ms;
}

/** Parses an option of commander; to epoch milliseconds. */
export function timeOption(text: string): number {
  const ms = timeOf(text, nodeClock.now());
  if (ms === undefined)
    throw new InvalidArgumentError(
      "It is not a time. Write it as 2026-03-01T00:00:00Z, in epoch milliseconds, or as 1h for an hour ago.",
    );
  return ms;
}

/** **Errors**: `WAYBILL_INPUT` when there is no time between. */
export function checkRange(range: { readonly since?: number | undefined; readonly until?: number | undefined }): void {
  const { since, until } = range;
  if (since === undefined || until === undefined || since < until) return;
  throw new WaybillError("WAYBILL_INPUT", "--since is not before --until", {
    hint: `They are ${new Date(since).toISOString()} and ${new Date(until).toISOString()}.`,
  });
}
