/**
 * LaunchDarkly events in memory, as LaunchDarkly's own relay has them: taken without a disk, at most `capacity` waiting per value of the metadata, posted together at each flush, lost
 * after two attempts and with the process. For those who prefer an answer within microseconds to one that is durable; the books do not count them.
 */
import { createSender, type Runtime, TextBatch } from "@waybill/core";
import {
  EventQueues,
  type LaunchDarklyCredential,
  launchdarklyFormOf,
  launchdarklyRelayed,
  launchdarklyUrl,
  Summariser,
} from "@waybill/vendors";
import type { DestinationConfig, MemoryConfig } from "./config/types.ts";
import { createFlagSource, type FlagSource } from "./flags.ts";
import { VERSION } from "./version.ts";

const ATTEMPTS = 2;
const RETRY_MS = 1_000;
const TIMEOUT_MS = 3_000;
const SUMMARISED_SCHEMA = 3;
/** Old events that wait to be summarised: they shrink to counters, so there may be many for each that leaves. */
const OLD_PER_CAPACITY = 100;

interface Old {
  readonly summariser: Summariser;
  readonly metadata: { readonly schemaVersion: number; readonly tags: string };
  readonly sdk: "server" | "mobile" | "js";
  texts: string[];
}

export interface MemoryRelayOptions {
  readonly memory: MemoryConfig;
  readonly runtime: Runtime;
  readonly strict: boolean;
  readonly publicOnly?: boolean;
  readonly onWarning: (message: string) => void;
}

export class MemoryRelay {
  readonly #options: MemoryRelayOptions;
  readonly #queues = new Map<string, EventQueues>();
  readonly #old = new Map<string, Old>();
  #destination: DestinationConfig;
  #flags: FlagSource;
  #timer: { cancel(): void } | undefined;
  #closed = false;

  constructor(destination: DestinationConfig, options: MemoryRelayOptions) {
    this.#destination = destination;
    this.#options = options;
    this.#flags = createFlagSource(destination, options);
    this.#armTimer();
  }

  /** Takes the events of one request. */
  publish(metadata: string, texts: readonly string[]): void {
    const form = launchdarklyFormOf(metadata);
    if (form === undefined) return void this.#diagnostic(metadata, texts);
    const { sdk, schema, tags } = form;
    if (schema >= SUMMARISED_SCHEMA) {
      const schemaVersion = this.#options.strict ? SUMMARISED_SCHEMA : schema;
      this.#queueFor(sdk)?.publish({ schemaVersion, tags }, texts);
      return;
    }
    let old = this.#old.get(metadata);
    if (old === undefined) {
      const { inlineUsers } = this.#destination;
      const summariser = new Summariser({
        schema,
        inlineUsers,
        flag: (key) => this.#flags.flag(key),
        now: () => this.#options.runtime.clock.now(),
      });
      old = { summariser, sdk, metadata: { schemaVersion: SUMMARISED_SCHEMA, tags }, texts: [] };
      this.#old.set(metadata, old);
    }
    const room = this.#options.memory.capacity * OLD_PER_CAPACITY - old.texts.length;
    old.texts.push(...texts.slice(0, room));
    if (texts.length > room) this.#warnCapacity();
  }

  get destination(): DestinationConfig {
    return this.#destination;
  }

  /** Makes other settings ready; `commit` has them used from the next flush on. **Errors**: `WAYBILL_CONFIG`. */
  prepare(destination: DestinationConfig): { readonly commit: () => void; readonly discard: () => void } {
    const flags = createFlagSource(destination, this.#options);
    return {
      commit: () => {
        this.#flags.close();
        this.#flags = flags;
        this.#destination = destination;
        for (const [sdk, queues] of this.#queues) {
          const credential = this.#credentialOf(sdk as Old["sdk"]);
          if (credential !== undefined) queues.replaceCredential(credential);
        }
      },
      discard: () => flags.close(),
    };
  }

  async flush(): Promise<void> {
    for (const old of this.#old.values()) this.#summarise(old);
    await Promise.all([...this.#queues.values()].map((queues) => queues.flush()));
  }

  /** Sends what waits, once. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.flush();
    await Promise.all([...this.#queues.values()].map((queues) => queues.close()));
    this.#flags.close();
  }

  /** At most `capacity` events and the summary, which is never left out. */
  #summarise(old: Old): void {
    const { texts } = old;
    if (texts.length === 0) return;
    old.texts = [];
    const { texts: said, rejected, delivered } = old.summariser.summarise(texts);
    delivered(undefined);
    for (const reason of rejected.values()) this.#options.onWarning(`Error in event processing, ${reason}`);
    const { capacity } = this.#options.memory;
    const summary = said.at(-1)?.startsWith('{"kind":"summary"') === true ? said.slice(-1) : [];
    const events = said.slice(0, said.length - summary.length);
    if (events.length > capacity) this.#warnCapacity();
    const kept = events.slice(0, capacity);
    // The summary stands last, and counts for none.
    this.#queueFor(old.sdk)?.publish(old.metadata, [...kept, ...summary], { beyond: summary.length });
  }

  #warnCapacity(): void {
    this.#options.onWarning("Exceeded event queue capacity. Increase capacity to avoid dropping events.");
  }

  #queueFor(sdk: Old["sdk"]): EventQueues | undefined {
    const known = this.#queues.get(sdk);
    const credential = this.#credentialOf(sdk);
    if (known !== undefined || credential === undefined) return known;
    const { memory, runtime, onWarning } = this.#options;
    const queues = new EventQueues(
      {
        url: launchdarklyUrl(this.#destination.url, credential),
        credential,
        userAgent: `WaybillRelay/${VERSION}`,
        flushIntervalMs: memory.flushIntervalMs,
        capacity: memory.capacity,
        timeoutMs: TIMEOUT_MS,
        onWarning,
      },
      runtime,
    );
    this.#queues.set(sdk, queues);
    return queues;
  }

  #credentialOf(sdk: Old["sdk"]): LaunchDarklyCredential | undefined {
    const { writeKey, mobileKey, environmentId } = this.#destination;
    if (sdk === "server") return { kind: "sdkKey", value: writeKey };
    if (sdk === "mobile") return mobileKey === undefined ? undefined : { kind: "mobileKey", value: mobileKey };
    return environmentId === undefined ? undefined : { kind: "environmentId", value: environmentId };
  }

  async #diagnostic(metadata: string, texts: readonly string[]): Promise<void> {
    const { runtime, strict } = this.#options;
    const { url, writeKey, mobileKey, environmentId } = this.#destination;
    const sender = createSender({
      protocol: launchdarklyRelayed({
        url,
        sdkKey: writeKey,
        mobileKey,
        environmentId,
        userAgent: `WaybillRelay/${VERSION}`,
        strict,
      }),
      runtime,
      timeoutMs: TIMEOUT_MS,
      maxAttempts: ATTEMPTS,
      backoff: () => RETRY_MS,
      exhausted: "keep",
      halve: false,
    });
    const sizes = texts.map((text) => Buffer.byteLength(text));
    const batch = new TextBatch({ key: metadata, metadata, oldestAtMs: runtime.clock.now(), texts, sizes });
    const { signal } = new AbortController();
    const watch = { attempted: () => undefined, waiting: () => undefined, resumed: () => undefined };
    await sender.send(batch, { soon: signal, now: signal, watch });
  }

  #armTimer(): void {
    const { runtime, memory } = this.#options;
    this.#timer = runtime.clock.after(memory.flushIntervalMs, () => {
      for (const old of this.#old.values()) this.#summarise(old);
      void Promise.all([...this.#queues.values()].map((queues) => queues.flush()));
      if (!this.#closed) this.#armTimer();
    });
  }
}
