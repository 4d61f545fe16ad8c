/**
 * The state of a lane as the metadata of its group's offset commit:
 *
 *   waybill/1 9f3c21aa {"base":0,"position":17,…}
 *
 * A version, a CRC-32 in hexadecimal, the state as JSON of ASCII characters alone. The sum is over
 * the place as well (group, topic, partition, committed offset): a commit that another tool has
 * copied, or moved to another offset, is none of ours.
 */
import { crc32 } from "node:zlib";
import { WaybillError } from "@waybill/core";
import type { ParseState } from "@waybill/log";
import type { Offset, TopicPartition } from "./broker.ts";

/** A broker's own limit is 4,096; from here on a state is shortened. */
const STATE_MAX_CHARACTERS = 3_500;
/** What cannot be shortened further may have so many: `offset.metadata.max.bytes` by default. */
const METADATA_MAX_CHARACTERS = 4_096;
const VERSION = 1;
const ANY_VERSION = /^waybill\/(\d+) /;
const TEXT = /^waybill\/1 ([0-9a-f]{8}) (.*)$/s;
const SUM_CHARACTERS = 8;
/** Everything before the JSON. */
const HEAD_CHARACTERS = `waybill/${VERSION} `.length + SUM_CHARACTERS + 1;
const HEX = 16;

export interface StatePlace extends TopicPartition {
  readonly group: string;
}

/** The JSON of a state in ASCII. */
export function stateJson(value: object): string {
  return JSON.stringify(value).replace(/[^\x20-\x7e]/g, escaped);
}

/** Whether it may stay as it is. */
export function isShort(json: string): boolean {
  return HEAD_CHARACTERS + json.length <= STATE_MAX_CHARACTERS;
}

/** Whether a broker takes it at all. */
export function fitsMetadata(json: string): boolean {
  return HEAD_CHARACTERS + json.length <= METADATA_MAX_CHARACTERS;
}

export function stateText(json: string, place: StatePlace, offset: Offset): string {
  return `waybill/${VERSION} ${sumOf(json, place, offset)} ${json}`;
}

/**
 * The state that a commit holds. **Errors**: `WAYBILL_DATA_FORMAT` for one of a newer version,
 * `WAYBILL_LOG_DAMAGED` for what no lane has written: somebody else has committed. Neither is ever
 * taken for a lane without a state.
 */
export function parseStateText<T extends object>(
  text: string,
  place: StatePlace,
  { offset, parse }: { readonly offset: Offset; readonly parse: ParseState<T> },
): T {
  const [, version] = ANY_VERSION.exec(text) ?? [];
  const [, sum, json = ""] = TEXT.exec(text) ?? [];
  if (version !== undefined && Number(version) > VERSION)
    throw new WaybillError(
      "WAYBILL_DATA_FORMAT",
      `a newer version of Waybill wrote the state of ${nameOf(place)} (${version})`,
      { hint: "Run that version, or a newer one." },
    );
  const value = sum === sumOf(json, place, offset) ? parsed(json, parse) : undefined;
  if (value !== undefined) return value;
  const what = sum === undefined ? "is not a lane's state" : "does not match its checksum";
  throw new WaybillError("WAYBILL_LOG_DAMAGED", `what is committed for ${nameOf(place)} ${what}`, {
    reason: "lane_state",
    hint: "Another program has committed to this group. Nothing is sent until its offsets are put right.",
  });
}

function nameOf({ group, topic, partition }: StatePlace): string {
  return `group ${group} at ${topic}-${partition}`;
}

function sumOf(json: string, { group, topic, partition }: StatePlace, offset: Offset): string {
  const sum = crc32(`${group}\n${topic}\n${partition}\n${offset}\n${json}`);
  return sum.toString(HEX).padStart(SUM_CHARACTERS, "0");
}

function parsed<T>(json: string, parse: ParseState<T>): T | undefined {
  try {
    return parse(JSON.parse(json) as unknown);
  } catch {
    return undefined;
  }
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(HEX).padStart(4, "0")}`;
}
