/** The relay without sockets, on any runtime: what the simulation drives. */
export { batchScanner } from "./batch-scanner.ts";
export type { BodyLimits, BodyRefusal } from "./body.ts";
export { BodyReader } from "./body.ts";
export { ConfigError } from "./config/faults.ts";
export { loadConfig } from "./config/load.ts";
export type { RawDestination } from "./config/resolve.ts";
export { resolveEnvironment } from "./config/resolve.ts";
export type { DestinationObserver } from "./destination.ts";
export type { EnvironmentOptions } from "./environment.ts";
export { Environment } from "./environment.ts";
export { IdWindow } from "./id-window.ts";
export type { IntakeOptions, IntakeRequest } from "./intake.ts";
export { Intake } from "./intake.ts";
export { SourceTable } from "./sources.ts";
