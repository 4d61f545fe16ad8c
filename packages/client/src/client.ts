import { createUuidV7, type DropReason, messageOf, WaybillError } from "@waybill/core";
import {
  type AliasEvent,
  type CanonicalEvents,
  type EventType,
  type GroupEvent,
  type IdentifyEvent,
  type PageEvent,
  type ScreenEvent,
  type TrackEvent,
} from "@waybill/vendors";
import { Captured, type EventHandle, Handle, type Shared } from "./captured.ts";
import { type AnyEvents, catalogFault, type TypedTrackEvent } from "./catalog.ts";
import { type Configured, configure } from "./configure.ts";
import type { DestinationAccount, GivenOptions, Health, Host, Pipeline, ResolvedOptions } from "./options.ts";
import { createMemoryPipeline } from "./pipeline.ts";
import { createSerialiser, type Serialiser } from "./serialise.ts";

/** Events by what became of them. Over several destinations they are added up. */
export interface Summary {
  /** Taken by a destination. */
  readonly delivered: number;
  /** Refused permanently by a destination; reported to `onDrop`. */
  readonly rejected: number;
  /** Dropped on purpose, by reason; reported to `onDrop`. */
  readonly dropped: number;
  /** Not delivered yet: in memory, or on disk with a spool. */
  readonly left: number;
  /** Where some are left: of each destination how many, how it is, and why. */
  readonly destinations?: Readonly<Record<string, Health & { readonly left: number }>>;
}

export interface Client<Events extends object = AnyEvents> {
  /** Who a user is. */
  identify(event: IdentifyEvent): EventHandle;
  /** Something a user did. */
  track(event: TypedTrackEvent<Events>): EventHandle;
  /** A page a user saw. */
  page(event: PageEvent): EventHandle;
  /** A screen of an app a user saw. */
  screen(event: ScreenEvent): EventHandle;
  /** The group a user belongs to. */
  group(event: GroupEvent): EventHandle;
  /** Two ids of one user. */
  alias(event: AliasEvent): EventHandle;
  /**
   * A barrier: ends when every event captured before has its outcome, or cannot get one for now (a
   * halted destination), or after `deadlineMs` (default 30 s).
   */
  flush(options?: { readonly deadlineMs?: number }): Promise<Summary>;
  /**
   * Delivers what is there within `deadlineMs` (default 10 s), then refuses more. A halted
   * destination is tried once more. Idempotent. Never rejects.
   */
  close(options?: { readonly deadlineMs?: number }): Promise<Summary>;
  /**
   * The ledger of each destination (accepted = delivered + rejected + dropped + expired + pending),
   * how it is, and why.
   */
  accounts(): Readonly<Record<string, DestinationAccount>>;
}

const FLUSH_DEADLINE_MS = 30_000;
const CLOSE_DEADLINE_MS = 10_000;

/** The client on any host; `createClient` of the entry points brings the host along. */
export function createClientOn(host: Host, given: GivenOptions): Client {
  return new WaybillClient(host, configure(given));
}

class WaybillClient implements Client {
  readonly #options: ResolvedOptions;
  readonly #host: Host;
  readonly #pipeline: Pipeline;
  readonly #serialise: Serialiser;
  readonly #shared: Shared;
  #closing: Promise<Summary> | undefined;

  constructor(host: Host, { options, destinations, metadata }: Configured) {
    const { clock, random } = host.runtime;
    this.#host = host;
    this.#options = options;
    this.#shared = { clock, destinations: destinations.length, awaited: new Set(), over: false };
    this.#serialise = createSerialiser(host, createUuidV7(clock, random));
    const createPipeline = options.spool?.createPipeline ?? createMemoryPipeline;
    this.#pipeline = createPipeline({
      options,
      host,
      destinations,
      metadata,
      shared: this.#shared,
      onDrop: (drop) => void this.#call(options.onDrop, drop),
      onError: (error) => this.#report(error),
    });
  }

  identify(event: IdentifyEvent): EventHandle {
    return this.#capture("identify", event);
  }

  track(event: TrackEvent): EventHandle {
    return this.#capture("track", event);
  }

  page(event: PageEvent): EventHandle {
    return this.#capture("page", event);
  }

  screen(event: ScreenEvent): EventHandle {
    return this.#capture("screen", event);
  }

  group(event: GroupEvent): EventHandle {
    return this.#capture("group", event);
  }

  alias(event: AliasEvent): EventHandle {
    return this.#capture("alias", event);
  }

  async flush(options?: { readonly deadlineMs?: number }): Promise<Summary> {
    await this.#within(options?.deadlineMs, FLUSH_DEADLINE_MS, () => this.#pipeline.flush());
    return this.#summary();
  }

  close(options?: { readonly deadlineMs?: number }): Promise<Summary> {
    this.#closing ??= this.#close(options?.deadlineMs);
    return this.#closing;
  }

  accounts(): Readonly<Record<string, DestinationAccount>> {
    return this.#pipeline.accounts();
  }

  async #close(deadlineMs: number | undefined): Promise<Summary> {
    // Whoever is called from here on finds the client closing.
    await Promise.resolve();
    await this.#within(deadlineMs, CLOSE_DEADLINE_MS, (ms) => this.#pipeline.close(ms));
    this.#pipeline.freeze?.();
    this.#shared.over = true;
    for (const event of this.#shared.awaited) event.leave();
    return this.#summary();
  }

  /**
   * Ends with what `run` starts, at the latest after the deadline; holds the process open until
   * then. Never rejects.
   */
  async #within(
    givenMs: number | undefined,
    defaultMs: number,
    run: (deadlineMs: number) => Promise<unknown>,
  ): Promise<void> {
    const deadlineMs = typeof givenMs === "number" && givenMs >= 0 ? givenMs : defaultMs;
    // Begun before the timer, so that what aborts itself at the deadline has done so when it is
    // over.
    const running = run(deadlineMs).catch((error) => this.#report(error));
    await new Promise<void>((resolve) => {
      const timer = this.#host.runtime.clock.after(deadlineMs, resolve, true);
      void running.finally(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #capture<T extends EventType>(type: T, event: CanonicalEvents[T]): EventHandle {
    if (this.#closing !== undefined) return this.#refuse("closed");
    let captured: Captured;
    try {
      const fault = type === "track" ? catalogFault(this.#options, event as TrackEvent) : undefined;
      if (fault !== undefined) {
        this.#reportEvent(type, fault);
        if (this.#options.validate === "drop") return this.#refuse("invalid");
      }
      captured = new Captured(this.#serialise(type, event), this.#shared);
      // A getter of the event may have closed the client.
      if ((this.#closing as unknown) !== undefined) return this.#refuse("closed");
    } catch (error) {
      this.#reportEvent(type, error);
      return this.#refuse("invalid");
    }
    if (captured.bytes > this.#options.eventMaxBytes) return this.#refuse("event_too_large", captured.messageId);
    this.#pipeline.push(captured);
    const { waitUntil } = this.#options;
    if (waitUntil !== undefined)
      void this.#call(waitUntil, this.flush(), (error) => this.#reportEvent("waitUntil", error));
    return new Handle(captured);
  }

  /** Counts and reports an event that is not taken. */
  #refuse(reason: DropReason, messageId?: string): EventHandle {
    this.#pipeline.drop(reason, messageId);
    return { messageId: "", delivered: Promise.resolve({ status: "dropped", reason }) };
  }

  #reportEvent(call: string, error: unknown): void {
    this.#report(new WaybillError("WAYBILL_EVENT", `${call}(): ${messageOf(error)}`, { cause: error }));
  }

  /** Never throws, so it may be called from anywhere. */
  #report(error: unknown): void {
    const reported =
      error instanceof WaybillError ? error : new WaybillError("WAYBILL_DEFECT", messageOf(error), { cause: error });
    void this.#call(this.#options.onError, reported);
  }

  /**
   * What the application's functions throw, at once or later, does not affect delivery. That of
   * `onDrop` and `onError` is ignored, as the options document: nothing is left to report it to.
   */
  async #call<T>(
    callback: ((value: T) => unknown) | undefined,
    value: T,
    onThrown: (error: unknown) => void = () => undefined,
  ): Promise<void> {
    try {
      await callback?.(value);
    } catch (error) {
      onThrown(error);
    }
  }

  #summary(): Summary {
    const accounts = Object.entries(this.accounts());
    const sum = { delivered: 0, rejected: 0, dropped: 0, left: 0 };
    for (const [, account] of accounts) {
      sum.delivered += account.delivered;
      sum.rejected += account.rejected;
      sum.dropped += account.droppedTotal + account.expired;
      sum.left += account.pending;
    }
    if (sum.left === 0) return sum;
    const destinations = accounts.map(([name, { pending, mode, reason }]) => [name, { mode, reason, left: pending }]);
    return { ...sum, destinations: Object.fromEntries(destinations) };
  }
}
