import { type Logger as PinoLogger, pino } from "pino";

/** The part of pino's logger that the relay uses. */
export type Logger = Pick<PinoLogger, "info" | "warn" | "error" | "debug" | "level">;

/** JSON lines on standard output. Write keys and tokens are never passed to it. */
export function createLogger(level: string): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime });
}
