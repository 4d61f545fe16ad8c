/** Numbers as the page shows them: short enough to compare; the whole number is in the title. */

const FULL = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
const ONE_DIGIT = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
/** Six digits are still read at one glance. */
const SHORT_FROM = 1_000_000;
const KIBI = 1024;
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;
const TEN = 10;
const HUNDREDTH = 0.01;
const PERCENT = 100;
const ALMOST_ALL = 99.9;

/** `18,220`, `4.214M`. */
export function shortCount(value: number): string {
  return Math.abs(value) < SHORT_FROM ? FULL.format(value) : SHORT.format(value);
}

/** `4,213,842`. */
export function fullCount(value: number): string {
  return FULL.format(value);
}

/** `1 event`, `18,220 events`. */
export function counted(value: number, one: string, many: string = `${one}s`): string {
  return `${fullCount(value)} ${value === 1 ? one : many}`;
}

/** Without the unit: `0.25`, `4.2`, `1,204`. */
export function shortRate(perSecond: number): string {
  if (perSecond === 0) return "0";
  if (perSecond < HUNDREDTH) return "<0.01";
  if (perSecond < 1) return perSecond.toFixed(2);
  return perSecond < TEN ? ONE_DIGIT.format(perSecond) : shortCount(Math.round(perSecond));
}

/** `312 B`, `1.2 MiB`. */
export function shortBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= KIBI && unit < BYTE_UNITS.length - 1) {
    value /= KIBI;
    unit += 1;
  }
  return `${(value < TEN && unit > 0 ? ONE_DIGIT : WHOLE).format(value)} ${BYTE_UNITS[unit]}`;
}

/** Never 0 % for some, nor 100 % for less than all. */
export function percent(part: number, whole: number): string {
  if (whole === 0 || part === 0) return "0%";
  if (part === whole) return "100%";
  const value = (part / whole) * PERCENT;
  if (value < 0.1) return "<0.1%";
  return value > ALMOST_ALL ? ">99.9%" : `${ONE_DIGIT.format(value)}%`;
}
