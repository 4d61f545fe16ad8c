import { printable } from "@waybill/core";
import { type DestinationStream, type Logger as PinoLogger, pino } from "pino";

/** The part of pino's logger that the relay uses. */
export type Logger = Pick<PinoLogger, "info" | "warn" | "error" | "debug" | "level">;

/**
 * JSON lines on standard output. Write keys and tokens are never passed to it. What vendors and
 * events said is in them: a terminal that shows the lines is not steered by what JSON leaves
 * unescaped.
 */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    hooks: { streamWrite: (line: string) => `${printable(line.trimEnd())}\n` },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
