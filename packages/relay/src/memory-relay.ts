/**
 * LaunchDarkly events in memory, as LaunchDarkly's own relay has them: taken without a disk, at most `capacity` waiting per value of the metadata, posted together at each flush, lost
 * after two attempts and with the process. For those who prefer an answer within microseconds to one that is durable; the books do not count them.
 *
 * Values of the metadata are what clients say, so they are bounded too: 1,000 queues for each kind of SDK, 64 values for events that are to be summarised, and 32 MiB for
 * each (more where the capacity says so). What is beyond is dropped, counted, and told in one warning, as an overflow of the capacity is. Values that were not used
 * for an hour, or two flushes where that is longer, are forgotten.
 */
import { createSender, messageOf, type Runtime, TextBatch } from "@waybill/core";
import {
  EventQueues,
  type LaunchDarklyCredential,
  type LaunchDarklyForm,
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
/** Values of the metadata whose events are summarised. */
const OLD_MAX = 64;
const OLD_MAX_BYTES = 32 * 1024 * 1024;
const BYTES_PER_EVENT = 1_024;
const UNUSED_MS = 3_600_000;
const DIAGNOSTICS_MAX = 64;

interface Old {
  readonly summariser: Summariser;
  readonly metadata: { readonly schemaVersion: number; readonly tags: string };
  readonly sdk: "server" | "mobile" | "js";
  texts: string[];
  usedAtMs: number;
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
  /** Characters of old events that wait. */
  #oldBytes = 0;
  /** Diagnostics that are being posted. */
  #diagnostics = 0;
  #dropped = 0;
  #warned = false;
  #closed = false;

  constructor(destination: DestinationConfig, options: MemoryRelayOptions) {
    this.#destination = destination;
    this.#options = options;
    this.#flags = createFlagSource(destination, options);
    this.#armTimer();
  }

  /** Takes the events of one request. Returns how many were dropped since the last call. */
  publish(metadata: string, texts: readonly string[]): number {
    const form = launchdarklyFormOf(metadata);
    if (form === undefined) void this.#diagnostic(metadata, texts);
    else if (form.schema < SUMMARISED_SCHEMA) this.#keepOld(metadata, form, texts);
    else {
      const schemaVersion = this.#options.strict ? SUMMARISED_SCHEMA : form.schema;
      this.#publish(form.sdk, { schemaVersion, tags: form.tags }, texts);
    }
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  #publish(
    sdk: Old["sdk"],
    metadata: Parameters<EventQueues["publish"]>[0],
    texts: readonly string[],
    beyond = 0,
  ): void {
    const queues = this.#queueFor(sdk);
    if (queues === undefined) {
      // The destination has no credential for this kind of SDK.
      this.#dropped += texts.length;
      return;
    }
    const before = queues.dropped;
    queues.publish(metadata, texts, { beyond });
    this.#dropped += queues.dropped - before;
  }

  #keepOld(metadata: string, { sdk, schema, tags }: LaunchDarklyForm, texts: readonly string[]): void {
    const { runtime, memory } = this.#options;
    const old = this.#old.get(metadata) ?? this.#newOld(metadata, { sdk, schema, tags });
    let taken = 0;
    if (old !== undefined) {
      old.usedAtMs = runtime.clock.monotonic();
      const maxBytes = Math.max(OLD_MAX_BYTES, BYTES_PER_EVENT * memory.capacity);
      for (const text of texts) {
        if (old.texts.length >= memory.capacity * OLD_PER_CAPACITY || this.#oldBytes + text.length > maxBytes) break;
        old.texts.push(text);
        this.#oldBytes += text.length;
        taken += 1;
      }
    }
    if (taken < texts.length) this.#drop(texts.length - taken);
    else this.#warned = false;
  }

  #newOld(metadata: string, { sdk, schema, tags }: LaunchDarklyForm): Old | undefined {
    if (this.#old.size >= OLD_MAX) return undefined;
    const { inlineUsers } = this.#destination;
    const summariser = new Summariser({
      schema,
      inlineUsers,
      flag: (key) => this.#flags.flag(key),
      now: () => this.#options.runtime.clock.now(),
    });
    const old = { summariser, sdk, metadata: { schemaVersion: SUMMARISED_SCHEMA, tags }, texts: [], usedAtMs: 0 };
    this.#old.set(metadata, old);
    return old;
  }

  #drop(events: number): void {
    this.#dropped += events;
    this.#warnCapacity();
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
    this.#oldBytes -= texts.reduce((total, text) => total + text.length, 0);
    const { texts: said, rejected, delivered } = old.summariser.summarise(texts);
    delivered(undefined);
    for (const reason of rejected.values()) this.#options.onWarning(`Error in event processing, ${reason}`);
    const { capacity } = this.#options.memory;
    const summary = said.at(-1)?.startsWith('{"kind":"summary"') === true ? said.slice(-1) : [];
    const events = said.slice(0, said.length - summary.length);
    if (events.length > capacity) this.#drop(events.length - capacity);
    const kept = events.slice(0, capacity);
    // The summary stands last, and counts for none.
    this.#publish(old.sdk, old.metadata, [...kept, ...summary], summary.length);
  }

  /** Once, until there was room again. */
  #warnCapacity(): void {
    if (this.#warned) return;
    this.#warned = true;
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
    if (this.#diagnostics >= DIAGNOSTICS_MAX) return this.#drop(texts.length);
    this.#diagnostics += 1;
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
    try {
      const outcomes = await sender.send(batch, { soon: signal, now: signal, watch });
      const failure = outcomes.find((outcome) => outcome.status !== "delivered");
      if (failure !== undefined) this.#options.onWarning(`A diagnostic event was dropped: ${failure.reason}`);
    } catch (error) {
      this.#options.onWarning(`A diagnostic event was dropped: ${messageOf(error)}`);
    } finally {
      this.#diagnostics -= 1;
    }
  }

  /** Values that nobody uses any more; one is kept for what will come. */
  #forgetUnused(): void {
    const { runtime, memory } = this.#options;
    const unusedMs = Math.max(UNUSED_MS, 2 * memory.flushIntervalMs);
    for (const [metadata, { usedAtMs }] of this.#old)
      if (this.#old.size > 1 && runtime.clock.monotonic() - usedAtMs > unusedMs) this.#old.delete(metadata);
  }

  #armTimer(): void {
    const { runtime, memory } = this.#options;
    this.#timer = runtime.clock.after(memory.flushIntervalMs, () => {
      this.flush().catch((error: unknown) => this.#options.onWarning(`A flush failed: ${messageOf(error)}`));
      this.#forgetUnused();
      if (!this.#closed) this.#armTimer();
    });
  }
}
