/** Numbers and times as a person reads them. */

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const UNITS: readonly (readonly [ms: number, name: string])[] = [
  [DAY_MS, "d"],
  [HOUR_MS, "h"],
  [MINUTE_MS, "min"],
  [SECOND_MS, "s"],
];
/** Up to twice a unit the next smaller one tells more: 90 min, not 1 h. */
const UNITS_MIN = 2;
const NUMBERS = new Intl.NumberFormat("en-US");

/** With separators: `18,220`. What a strange answer has in a number's place is shown as it is. */
export function numberText(value: number): string {
  return typeof value === "number" ? NUMBERS.format(value) : String(value);
}

/** A rate: whole from 10 on, with one digit below; `0` only for nothing at all. */
export function rateText(perSecond: number): string {
  if (perSecond > 0 && perSecond < 0.05) return "<0.1";
  return perSecond >= 10 ? numberText(Math.round(perSecond)) : String(Number(perSecond.toFixed(1)));
}

/** The largest unit that fits at least twice: `45 s`, `90 min`, `3 h`, `12 d`. */
export function durationText(durationMs: number): string {
  const [ms, name] = UNITS.find(([unit]) => durationMs >= UNITS_MIN * unit) ?? [SECOND_MS, "s"];
  return `${numberText(Math.floor(Math.max(0, durationMs) / ms))} ${name}`;
}

/** How long ago `at` was: `3 min ago`; of a time within the last two seconds: `now`. */
export function agoText(at: number, now: number): string {
  return now - at < UNITS_MIN * SECOND_MS ? "now" : `${durationText(now - at)} ago`;
}

const BYTE_UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];
const BYTE_STEP = 1_024;
const DIGITS = 3;

/** `512 bytes`, `1.5 MiB`. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= BYTE_STEP && unit < BYTE_UNITS.length - 1; unit++) value /= BYTE_STEP;
  return `${unit === 0 ? value : Number(value.toPrecision(DIGITS))} ${BYTE_UNITS[unit]}`;
}
