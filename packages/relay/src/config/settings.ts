/**
 * What a reload does with each setting: takes it over, or reports that it takes a restart. Nothing
 * is reported as changed that has no effect.
 */
import type { RelayConfig } from "./types.ts";

interface Setting {
  /** As the file calls it. */
  readonly name: string;
  readonly takes: "reload" | "restart";
  readonly of: (config: RelayConfig) => unknown;
}

const restart = (name: string, of: Setting["of"]): Setting => ({ name, takes: "restart", of });
const reload = (name: string, of: Setting["of"]): Setting => ({ name, takes: "reload", of });

/** Every key of the configuration is here: the compiler finds one that is missing. */
const SETTINGS: { readonly [Key in keyof Required<RelayConfig>]: readonly Setting[] } = {
  listen: [restart("listen", ({ listen }) => listen)],
  dataDirectory: [restart("dataDirectory", ({ dataDirectory }) => dataDirectory)],
  kafka: [
    restart("engine", ({ kafka }) => kafka === undefined),
    restart("kafka", ({ kafka }) => ({ ...kafka, tls: kafka?.tls !== undefined })),
    reload("kafka.tls", ({ kafka }) => kafka?.tls),
  ],
  logLevel: [reload("log.level", ({ logLevel }) => logLevel)],
  admin: [
    restart("admin.listen", ({ admin: { host, port } }) => ({ host, port })),
    reload("admin.token", ({ admin }) => admin.token),
    reload("admin.readOnlyToken", ({ admin }) => admin.readOnlyToken),
    reload("admin.hosts", ({ admin }) => admin.hosts),
    restart("admin.tls", ({ admin }) => admin.tls !== undefined),
    reload("admin.tls", ({ admin }) => admin.tls),
  ],
  // Whether a port speaks TLS is decided when it begins to listen; its files are not.
  tls: [restart("tls", ({ tls }) => tls !== undefined), reload("tls", ({ tls }) => tls)],
  trustedProxies: [reload("trustedProxies", ({ trustedProxies }) => trustedProxies)],
  bodyMaxBytes: [restart("limits.bodyMaxBytes", ({ bodyMaxBytes }) => bodyMaxBytes)],
  maxEvents: [restart("limits.maxEvents", ({ maxEvents }) => maxEvents)],
  maxConnections: [restart("limits.maxConnections", ({ maxConnections }) => maxConnections)],
  headersTimeoutMs: [reload("limits.headersTimeout", ({ headersTimeoutMs }) => headersTimeoutMs)],
  requestTimeoutMs: [reload("limits.requestTimeout", ({ requestTimeoutMs }) => requestTimeoutMs)],
  strict: [restart("compat.strict", ({ strict }) => strict)],
  retention: [reload("retention", ({ retention }) => retention)],
  shutdownDeadlineMs: [reload("shutdown.deadline", ({ shutdownDeadlineMs }) => shutdownDeadlineMs)],
  allowPrivateAddresses: [
    restart("network.allowPrivateAddresses", ({ allowPrivateAddresses }) => allowPrivateAddresses),
  ],
  permissions: [restart("permissions", ({ permissions }) => permissions)],
  exchangeDeadlineMs: [restart("exchange.deadline", ({ exchangeDeadlineMs }) => exchangeDeadlineMs)],
  dedupe: [restart("dedupe", ({ dedupe }) => dedupe)],
  // Reported one by one by those they belong to.
  environments: [],
  warnings: [],
  hidden: [],
};

/** Names of the settings that differ and are taken over by a reload, or take a restart. */
export function changedSettings(before: RelayConfig, after: RelayConfig, takes: Setting["takes"]): readonly string[] {
  return Object.values(SETTINGS)
    .flat()
    .filter((setting) => setting.takes === takes)
    .filter(({ of }) => JSON.stringify(of(before)) !== JSON.stringify(of(after)))
    .map(({ name }) => name);
}
