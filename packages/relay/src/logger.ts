import { printable } from "@waybill/core";
import { pino } from "pino";

/** A line of the log: what it is about, then what happened; or the latter alone. */
export interface LogLine {
  (fields: object, message?: string): void;
  (message: string): void;
}

/** The part of pino's logger that the relay uses; any other of this shape will do. */
export interface Logger {
  level: string;
  readonly debug: LogLine;
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
}

/** Where lines are written. */
export interface LogOutput {
  write(line: string): void;
}

/**
 * JSON lines on standard output, their levels as words. Keys, tokens, events' content and answers
 * are never passed to it (log-lines/). Names and paths may have any character: a terminal that
 * shows the lines is not steered by what JSON leaves unescaped.
 */
export function createLogger(level: string, destination?: LogOutput): Logger {
  const options = {
    level,
    base: null,
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
    hooks: { streamWrite: (line: string) => `${printable(line.trimEnd())}\n` },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
