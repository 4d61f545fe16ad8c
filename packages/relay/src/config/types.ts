/** The relay's configuration after it was read: every field present, sizes in bytes, durations in milliseconds. */

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface RelayConfig {
  readonly listen: Address;
  readonly dataDirectory: string;
  /** A level of pino's. */
  readonly logLevel: string;
  readonly admin: Address & { readonly token?: string };
  /** After decompression. */
  readonly bodyMaxBytes: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** Answer exactly as the vendors do where they differ from us. */
  readonly strict: boolean;
  readonly retention: { readonly maxAgeMs: number; readonly maxBytes: number; readonly hardMaxBytes: number };
  readonly shutdownDeadlineMs: number;
  readonly dedupe: { readonly windowMs: number; readonly maxIds: number };
  readonly environments: readonly EnvironmentConfig[];
}

export interface EnvironmentConfig {
  readonly name: string;
  readonly sources: readonly SourceConfig[];
  readonly destinations: readonly DestinationConfig[];
}

export interface SourceConfig {
  readonly name: string;
  readonly protocol: "segment";
  readonly writeKeys: readonly string[];
  /** A path before the vendor's own, beside `/s/<source>`. */
  readonly prefix?: string;
}

export interface DestinationConfig {
  readonly name: string;
  readonly vendor: "segment";
  readonly url: string;
  readonly writeKey: string;
  readonly timeoutMs: number;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  readonly lingerMs: number;
  readonly batchMaxEvents: number;
  readonly batchMaxBytes: number;
  readonly maxRequestsPerSecond?: number;
}
