/**
 * LaunchDarkly events in memory, as LaunchDarkly's own relay has them: at most `capacity` waiting
 * per value of the metadata, posted together at each flush, lost after two attempts and with the
 * process.
 *
 * Values of the metadata are what clients say, so they are bounded too: 1,000 queues for each kind
 * of SDK, 64 values for events that are to be summarised, and 32 MiB for each (more where the
 * capacity says so). What is beyond is dropped, counted, and reported in one warning, as an
 * overflow of the capacity is. Queues that are empty at a flush are forgotten, summarisers that
 * were not used for a whole clean-up interval too; one alone is kept.
 */
import { createSender, messageOf, type Runtime, TextBatch, type Timer, unhalved } from "@waybill/core";
import { cleanupIntervalOf, IdleMap } from "./idle-map.ts";
import { type LaunchDarklyMetadata, parseLaunchdarklyMetadata, type SdkKind } from "./inbound.ts";
import type { EventMetadata, LaunchDarklyCredential } from "./outbound.ts";
import { ATTEMPTS, BYTES_PER_EVENT, EventQueues, RETRY_MS } from "./publisher.ts";
import { credentialOf, launchdarklyRelayed, launchdarklyUrl, type RelayedSettings } from "./relayed.ts";
import { type Flag, Summariser } from "./summarise.ts";

const SUMMARISED_SCHEMA = 3;
/**
 * Old events that wait to be summarised: they shrink to counters, so there may be many for each
 * that leaves.
 */
const OLD_PER_CAPACITY = 100;
/** Values of the metadata whose events are summarised. */
const OLD_MAX = 64;
const OLD_MAX_BYTES = 32 * 1024 * 1024;
const DIAGNOSTICS_MAX = 64;

export interface ForwarderOptions extends RelayedSettings {
  /** Above 0. */
  readonly flushIntervalMs: number;
  /** Events per value of the metadata. */
  readonly capacity: number;
  readonly timeoutMs: number;
  /** 0 and less: an hour, or two flushes where a flush is longer than an hour. */
  readonly cleanupIntervalMs?: number | undefined;
  readonly inlineUsers: boolean;
  readonly flag: (key: string) => Flag | undefined;
  readonly onWarning: (message: string) => void;
}

interface Old {
  readonly summariser: Summariser;
  readonly metadata: EventMetadata;
  readonly sdk: SdkKind;
  texts: string[];
}

const encoder = new TextEncoder();

export class EventForwarder {
  readonly #options: ForwarderOptions;
  readonly #runtime: Runtime;
  readonly #queues = new Map<SdkKind, EventQueues>();
  readonly #old: IdleMap<Old>;
  #settings: RelayedSettings;
  #timer: Timer | undefined;
  /** Characters of old events that wait. */
  #oldBytes = 0;
  /** Diagnostics that are being posted. */
  #diagnostics = 0;
  /** From the vendor's last answer that had a date. */
  #serverTimeMs: number | undefined;
  #dropped = 0;
  #warned = false;
  #closed = false;

  constructor(options: ForwarderOptions, runtime: Runtime) {
    this.#options = options;
    this.#runtime = runtime;
    this.#settings = options;
    this.#old = new IdleMap({
      clock: runtime.clock,
      intervalMs: cleanupIntervalOf(options.cleanupIntervalMs, options.flushIntervalMs),
      onForgotten: (forgotten) => this.#sendForgotten(forgotten),
    });
    this.#armTimer();
  }

  /** What is in memory: queues of all kinds of SDK, and summarisers. */
  get held(): { readonly queues: number; readonly summarisers: number } {
    const queues = [...this.#queues.values()].reduce((total, { held }) => total + held.queues, 0);
    return { queues, summarisers: this.#old.size };
  }

  /** Takes the events of one request. Returns how many were dropped since the last call. */
  publish(metadata: string, texts: readonly string[]): number {
    const parsed = parseLaunchdarklyMetadata(metadata);
    if (parsed === undefined) void this.#diagnostic(metadata, texts);
    else if (parsed.schema < SUMMARISED_SCHEMA) this.#keepOld(metadata, parsed, texts);
    else {
      const schemaVersion = this.#options.strict ? SUMMARISED_SCHEMA : parsed.schema;
      this.#publish(parsed.sdk, { schemaVersion, tags: parsed.tags }, texts);
    }
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  /** From the next flush on, also for events that wait. An environment id never changes. */
  replaceCredential(credential: LaunchDarklyCredential): void {
    const { kind, value } = credential;
    if (kind === "environmentId" || (kind === "mobileKey" && this.#settings.mobileKey === undefined)) return;
    this.#settings = { ...this.#settings, [kind]: value };
    this.#queues.get(kind === "sdkKey" ? "server" : "mobile")?.replaceCredential(credential);
  }

  async flush(): Promise<void> {
    for (const old of this.#old.values()) this.#summarise(old);
    await this.#post();
  }

  /** Sends what waits, once. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.flush();
    this.#old.close();
    await Promise.all([...this.#queues.values()].map((queues) => queues.close()));
  }

  async #post(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queues) => queues.flush()));
  }

  #publish(sdk: SdkKind, metadata: EventMetadata, texts: readonly string[], beyond = 0): void {
    const queues = this.#queueFor(sdk);
    if (queues === undefined) {
      // There is no credential for this kind of SDK.
      this.#dropped += texts.length;
      return;
    }
    const before = queues.dropped;
    queues.publish(metadata, texts, { beyond });
    this.#dropped += queues.dropped - before;
  }

  #keepOld(metadata: string, parsed: LaunchDarklyMetadata, texts: readonly string[]): void {
    const { capacity } = this.#options;
    const old = this.#old.use(metadata) ?? this.#newOld(metadata, parsed);
    let taken = 0;
    if (old !== undefined) {
      const maxBytes = Math.max(OLD_MAX_BYTES, BYTES_PER_EVENT * capacity);
      for (const text of texts) {
        if (old.texts.length >= capacity * OLD_PER_CAPACITY || this.#oldBytes + text.length > maxBytes) break;
        old.texts.push(text);
        this.#oldBytes += text.length;
        taken += 1;
      }
    }
    if (taken < texts.length) this.#drop(texts.length - taken);
    else this.#warned = false;
  }

  #newOld(metadata: string, { sdk, schema, tags }: LaunchDarklyMetadata): Old | undefined {
    if (this.#old.size >= OLD_MAX) return undefined;
    const { inlineUsers, flag } = this.#options;
    const summariser = new Summariser({ schema, inlineUsers, flag, now: () => this.#runtime.clock.now() });
    const old = { summariser, sdk, metadata: { schemaVersion: SUMMARISED_SCHEMA, tags }, texts: [] };
    this.#old.add(metadata, old);
    return old;
  }

  #drop(events: number): void {
    this.#dropped += events;
    this.#warnCapacity();
  }

  /** At most `capacity` events and the summary, which is never left out. */
  #summarise(old: Old): void {
    const { texts } = old;
    if (texts.length === 0) return;
    old.texts = [];
    this.#oldBytes -= texts.reduce((total, text) => total + text.length, 0);
    if (this.#serverTimeMs !== undefined) old.summariser.noteServerTime(this.#serverTimeMs);
    const { texts: summarised, rejected, delivered } = old.summariser.summarise(texts);
    delivered(undefined);
    for (const reason of rejected.values()) this.#options.onWarning(`Error in event processing, ${reason}`);
    const { capacity } = this.#options;
    const summary = summarised.at(-1)?.startsWith('{"kind":"summary"') === true ? summarised.slice(-1) : [];
    const events = summarised.slice(0, summarised.length - summary.length);
    if (events.length > capacity) this.#drop(events.length - capacity);
    const kept = events.slice(0, capacity);
    // The summary is the last, and needs no room.
    this.#publish(old.sdk, old.metadata, [...kept, ...summary], summary.length);
  }

  /** As a processor of the original that is closed: what it has not sent leaves now. */
  #sendForgotten(forgotten: readonly Old[]): void {
    const waiting = forgotten.filter(({ texts }) => texts.length > 0);
    for (const old of waiting) this.#summarise(old);
    if (waiting.length > 0) this.#inBackground(this.#post());
  }

  /** Once, until there was room again. */
  #warnCapacity(): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#options.onWarning("Exceeded event queue capacity. Increase capacity to avoid dropping events.");
  }

  #queueFor(sdk: SdkKind): EventQueues | undefined {
    const known = this.#queues.get(sdk);
    const credential = credentialOf(this.#settings, sdk);
    if (known !== undefined || credential === undefined) return known;
    const { userAgent, flushIntervalMs, capacity, timeoutMs, onWarning } = this.#options;
    const queues = new EventQueues(
      {
        url: launchdarklyUrl(this.#settings.url, credential),
        credential,
        userAgent,
        flushIntervalMs,
        capacity,
        timeoutMs,
        onWarning,
        onServerTime: (serverTimeMs) => {
          this.#serverTimeMs = serverTimeMs;
        },
      },
      this.#runtime,
    );
    this.#queues.set(sdk, queues);
    return queues;
  }

  async #diagnostic(metadata: string, texts: readonly string[]): Promise<void> {
    if (this.#diagnostics >= DIAGNOSTICS_MAX) return this.#drop(texts.length);
    this.#diagnostics += 1;
    const { timeoutMs, onWarning } = this.#options;
    const sender = createSender({
      protocol: launchdarklyRelayed(this.#settings),
      runtime: this.#runtime,
      timeoutMs,
      maxAttempts: ATTEMPTS,
      backoff: () => RETRY_MS,
      exhausted: "keep",
      stage: unhalved,
    });
    const sizes = texts.map((text) => encoder.encode(text).length);
    const batch = new TextBatch({ key: metadata, metadata, oldestAtMs: this.#runtime.clock.now(), texts, sizes });
    const { signal } = new AbortController();
    const watch = { attempted: () => undefined, waiting: () => undefined, resumed: () => undefined };
    try {
      const outcomes = await sender.send(batch, { soon: signal, now: signal, watch });
      const failure = outcomes.find((outcome) => outcome.status !== "delivered");
      if (failure !== undefined) onWarning(`A diagnostic event was dropped: ${failure.reason}`);
    } catch (error) {
      onWarning(`A diagnostic event was dropped: ${messageOf(error)}`);
    } finally {
      this.#diagnostics -= 1;
    }
  }

  #inBackground(work: Promise<void>): void {
    work.catch((error: unknown) => this.#options.onWarning(`A flush failed: ${messageOf(error)}`));
  }

  #armTimer(): void {
    this.#timer = this.#runtime.clock.after(this.#options.flushIntervalMs, () => {
      this.#inBackground(this.flush());
      if (!this.#closed) this.#armTimer();
    });
  }
}
