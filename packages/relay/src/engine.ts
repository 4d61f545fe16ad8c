/** The relay without sockets, on any runtime: what the simulation drives. */
export type { RawDestination } from "./config/resolve.ts";
export { resolveEnvironment } from "./config/resolve.ts";
export type { DestinationObserver } from "./destination.ts";
export type { EnvironmentOptions } from "./environment.ts";
export { Environment } from "./environment.ts";
export { IdWindow } from "./id-window.ts";
export type { IntakeOptions, IntakeRequest } from "./intake.ts";
export { Intake } from "./intake.ts";
export { SourceTable } from "./sources.ts";
