/** The server: routes in, log, one lane per destination out, admin API. */

export { keyFault } from "@waybill/vendors/config";
export type { OpenApiDocument } from "./admin/openapi.ts";
export { openApiDocument } from "./admin/openapi.ts";
export type {
  AdminAnswer,
  AdminRoutes,
  GivenBody,
  GivenParams,
  GivenQuery,
  Operation,
} from "./admin/routes/table.ts";
export { ADMIN_ROUTES, adminPath } from "./admin/routes/table.ts";
export type * from "./admin/views.ts";
export { CONFIG_MAX_BYTES } from "./config/config-text.ts";
export { ENVIRONMENT_VARIABLES } from "./config/environment-variables.ts";
export type { ConfigFault } from "./config/faults.ts";
export { ConfigError } from "./config/faults.ts";
export { configJsonSchema } from "./config/json-schema.ts";
export type { KafkaConfig } from "./config/kafka-types.ts";
export type { ConfigSource, OfflineCheck } from "./config/load.ts";
export { checkConfigOffline, loadConfig } from "./config/load.ts";
export { loadConfigAside } from "./config/load-aside.ts";
export type { DestinationConfig, EnvironmentConfig, RelayConfig, SourceConfig } from "./config/types.ts";
export type { DataFormat } from "./lifecycle/data-format.ts";
export { DATA_FORMAT, dataFormatOf, refuseNewer } from "./lifecycle/data-format.ts";
export type { GivenSockets } from "./lifecycle/given-sockets.ts";
export { takeGivenSockets } from "./lifecycle/given-sockets.ts";
export type { RelayOptions, RunningRelay } from "./lifecycle/relay.ts";
export { startRelay } from "./lifecycle/relay.ts";
export { LOG_LINES } from "./log-lines/lines.ts";
export type { Logger, LogLine, LogOutput } from "./logger.ts";
export { createLogger } from "./logger.ts";
export { splitReceipt } from "./receipt.ts";
export { VERSION } from "./version.ts";
