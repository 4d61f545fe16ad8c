import { type Command, InvalidArgumentError } from "commander";
import type { Io } from "./io.ts";

/** Adds a command to the program; `finish` takes its exit code. */
export type AddCommand = (program: Command, io: Io, finish: (code: number) => void) => void;

/** A whole number from `min` to `max` for a commander option. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < min || value > max)
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    return value;
  };
}
