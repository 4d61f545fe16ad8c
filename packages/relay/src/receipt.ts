/**
 * Receipts: where the events of a request are stored, as the header `waybill-receipt` has it and as
 * people give it back. Written and read here alone, but for the page, which may not import this.
 *
 *   <environment>/<range>,<range>…;more=<events>
 *
 * A range is `<position>+<count>` on the disk. On Kafka it is `<partition>@<offset>+<count>`: the
 * events of one record, or some of them from the index on: `<partition>@<offset>.<index>+<count>`.
 * `+<count>` may be left out for one event. When there are more than {@link RANGES_MAX} ranges, the
 * events of the others are counted.
 */
import type { Position } from "@waybill/log";

export interface DiskRange {
  readonly position: Position;
  readonly count: number;
}

export interface KafkaRange {
  readonly partition: number;
  readonly offset: number;
  /** In the record. Default: 0. */
  readonly index?: number;
  readonly count: number;
}

export type ReceiptRange = DiskRange | KafkaRange;

/** A header of 2 KB at most. */
const RANGES_MAX = 64;
const ENVIRONMENT = "[a-z0-9][a-z0-9_-]{0,62}";
const RANGE = String.raw`(?:\d{1,5}@\d{1,15}(?:\.\d{1,7})?|\d{1,15})(?:\+\d{1,15})?`;
const RANGES = String.raw`${RANGE}(?:,${RANGE})*(?:;more=\d*)?`;
const ONE = /^(?:(?<partition>\d+)@(?<offset>\d+)(?:\.(?<index>\d+))?|(?<position>\d+))(?:\+(?<count>\d+))?$/;
/** Positions of a log on Kafka are those of a partition: `production/3/1841`. */
const WHOLE = new RegExp(String.raw`^(${ENVIRONMENT}(?:/\d{1,5})?)/(${RANGES})$`);

/** What follows the environment. */
export const RECEIPT_RANGES: RegExp = new RegExp(`^${RANGES}$`);

/** Ranges that follow each other on the disk are one. `undefined` without any. */
export function printReceipt(environment: string, ranges: Iterable<ReceiptRange>): string | undefined {
  const joined = joinedRanges(ranges);
  if (joined.length === 0) return undefined;
  const listed = joined.slice(0, RANGES_MAX).map(printRange).join(",");
  const more = joined.slice(RANGES_MAX).reduce((events, { count }) => events + count, 0);
  return `${environment}/${listed}${more === 0 ? "" : `;more=${more}`}`;
}

/** The two parts of a receipt; `undefined` for what is none. */
export function splitReceipt(text: string): { readonly environment: string; readonly positions: string } | undefined {
  const [, environment, positions] = WHOLE.exec(text) ?? [];
  return environment === undefined || positions === undefined ? undefined : { environment, positions };
}

/** What follows the environment; `undefined` when it is not a list of ranges. */
export function parseRanges(text: string): readonly ReceiptRange[] | undefined {
  if (!RECEIPT_RANGES.test(text)) return undefined;
  const [listed = ""] = text.split(";");
  return listed.split(",").map((range) => {
    const { position, partition, offset, index = "0", count = "1" } = ONE.exec(range)?.groups ?? {};
    return position === undefined
      ? { partition: Number(partition), offset: Number(offset), index: Number(index), count: Number(count) }
      : { position: Number(position), count: Number(count) };
  });
}

export function printRange(range: ReceiptRange): string {
  if ("position" in range) return `${range.position}+${range.count}`;
  const { partition, offset, index = 0, count } = range;
  return `${partition}@${offset}${index === 0 ? "" : `.${index}`}+${count}`;
}

function joinedRanges(ranges: Iterable<ReceiptRange>): readonly ReceiptRange[] {
  const joined: ReceiptRange[] = [];
  for (const range of ranges) {
    const last = joined.at(-1);
    const follows =
      last !== undefined && "position" in last && "position" in range && range.position === last.position + last.count;
    if (follows) joined[joined.length - 1] = { position: last.position, count: last.count + range.count };
    else joined.push(range);
  }
  return joined;
}
