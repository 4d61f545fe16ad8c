/** The relay without sockets, on any runtime: what the simulation drives. */

export { ConfigError } from "./config/faults.ts";
export { loadConfig, resolveEnvironment } from "./config/load.ts";
export type { DestinationConfig, EnvironmentConfig, RawDestination } from "./config/types.ts";
export type { DestinationObserver } from "./delivery/destination-observer.ts";
export type { SenderSettings } from "./delivery/extension.ts";
export { FileWriter } from "./delivery/file-writer.ts";
export type { DestinationSender, DestinationSenderOptions } from "./delivery/senders.ts";
export { createDestinationSender } from "./delivery/senders.ts";
export { Environment } from "./environment.ts";
export type { EnvironmentOptions } from "./environment-options.ts";
export type { BodyLimits, BodyRefusal } from "./intake/body.ts";
export { BodyReader } from "./intake/body.ts";
export { Drain } from "./intake/drain.ts";
export { IdWindow } from "./intake/id-window.ts";
export { Intake } from "./intake/intake.ts";
export type { IntakeServerOptions } from "./intake/intake-server.ts";
export { createIntakeServer } from "./intake/intake-server.ts";
export { arrayScanner, batchScanner } from "./intake/segment/batch-scanner.ts";
export { SourceTable } from "./intake/sources.ts";
export type { IntakeOptions, IntakeRequest } from "./intake/types.ts";
