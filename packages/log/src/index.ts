/** The durable log: append, fsync, read from a position, retain, verify. */
export {};
export * from "./types.ts";
