import { WaybillError } from "@waybill/core";
import { type Command, InvalidArgumentError } from "commander";
import type { Io } from "./io.ts";

/** Adds a command to the program; `finish` takes its exit code. */
export type AddCommand = (program: Command, io: Io, finish: (code: number) => void) => void;

/**
 * The two names of `environment/destination`; of `production/3/segment` the first is a partition.
 * **Errors**: `WAYBILL_INPUT`.
 */
export function laneOf(text: string): readonly [environment: string, destination: string] {
  return partsOf(text, {
    what: "destination",
    format: "environment/destination, as the relay's start-up line does",
  });
}

/** How a destination is named on the command line. */
export const LANE = "<environment/destination>";

/** The same for a path of the admin API. **Errors**: `WAYBILL_INPUT`. */
export function laneParams(text: string): { readonly environment: string; readonly destination: string } {
  const [environment, destination] = laneOf(text);
  return { environment, destination };
}

/** **Errors**: `WAYBILL_INPUT`. */
export function partsOf(
  text: string,
  { what, format }: { readonly what: string; readonly format: string },
): readonly [string, string] {
  const [, first, second] = /^([^/]+(?:\/\d+)?)\/([^/]+)$/.exec(text) ?? [];
  if (first === undefined || second === undefined)
    throw new WaybillError("WAYBILL_INPUT", `${text} does not name a ${what}`, { hint: `Write it as ${format}.` });
  return [first, second];
}

/** A whole number from `min` to `max` for a commander option. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < min || value > max)
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    return value;
  };
}
