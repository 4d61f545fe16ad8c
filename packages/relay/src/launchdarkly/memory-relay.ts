/**
 * A LaunchDarkly source without a disk: events are taken, posted and lost as LaunchDarkly's own
 * relay does it. For those who prefer an answer within microseconds to one that is durable; the
 * ledgers do not count them.
 */
import type { Runtime } from "@waybill/core";
import { EventForwarder } from "@waybill/vendors";
import type { LaunchDarklyMemory } from "@waybill/vendors/config";
import { type Connection, type ConnectionSettings, connectionOf } from "../delivery/connection.ts";
import { VERSION } from "../version.ts";
import { createFlagSource, type FlagSource } from "./flags.ts";
import type { LaunchDarklyDestination } from "./options.ts";

const TIMEOUT_MS = 3_000;

export interface MemoryRelayOptions extends ConnectionSettings {
  readonly memory: LaunchDarklyMemory;
  readonly runtime: Runtime;
  readonly strict: boolean;
  readonly publicOnly?: boolean;
  readonly onWarning: (message: string) => void;
}

export class MemoryRelay {
  readonly #options: MemoryRelayOptions;
  readonly #forwarder: EventForwarder;
  readonly #connection: Connection;
  #destination: LaunchDarklyDestination;
  #flags: FlagSource;

  constructor(destination: LaunchDarklyDestination, options: MemoryRelayOptions) {
    this.#destination = destination;
    this.#options = options;
    this.#flags = createFlagSource(destination, options);
    this.#connection = connectionOf(destination, options.runtime, options);
    const { memory, strict, onWarning } = options;
    const { url, writeKey, mobileKey, environmentId, inlineUsers, eventQueueCleanupInterval } = destination;
    this.#forwarder = new EventForwarder(
      {
        url,
        sdkKey: writeKey,
        mobileKey,
        environmentId,
        userAgent: `WaybillRelay/${VERSION}`,
        strict,
        capacity: memory.capacity,
        flushIntervalMs: memory.flushInterval,
        timeoutMs: TIMEOUT_MS,
        cleanupIntervalMs: eventQueueCleanupInterval,
        inlineUsers,
        flag: (key) => this.#flags.flag(key),
        onWarning,
      },
      { ...options.runtime, transport: this.#connection.transport },
    );
  }

  get destination(): LaunchDarklyDestination {
    return this.#destination;
  }

  /** Queues and summarisers in memory. */
  get held(): EventForwarder["held"] {
    return this.#forwarder.held;
  }

  /** Takes the events of one request. Returns how many were dropped since the last call. */
  publish(metadata: string, texts: readonly string[]): number {
    return this.#forwarder.publish(metadata, texts);
  }

  /**
   * Makes other keys and flag data ready; `commit` has them used from the next flush on.
   * **Errors**: `WAYBILL_CONFIG`.
   */
  prepare(destination: LaunchDarklyDestination): { readonly commit: () => void; readonly discard: () => void } {
    const flags = createFlagSource(destination, this.#options);
    return {
      commit: () => {
        this.#flags.close();
        this.#flags = flags;
        this.#destination = destination;
        const { writeKey, mobileKey } = destination;
        this.#forwarder.replaceCredential({ kind: "sdkKey", value: writeKey });
        if (mobileKey !== undefined) this.#forwarder.replaceCredential({ kind: "mobileKey", value: mobileKey });
      },
      discard: () => flags.close(),
    };
  }

  flush(): Promise<void> {
    return this.#forwarder.flush();
  }

  /** Sends what waits, once. */
  async close(): Promise<void> {
    await this.#forwarder.close();
    this.#flags.close();
    this.#connection.close();
  }
}
