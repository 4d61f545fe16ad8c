import {
  type AccountView,
  type Batch,
  createUuidV7,
  DELIVERED,
  type DropReason,
  messageOf,
  type Outcome,
  type Timer,
  WaybillError,
} from "@waybill/core";
import {
  type AliasEvent,
  type CanonicalEvents,
  type EventType,
  encodeMetadata,
  type GroupEvent,
  type IdentifyEvent,
  type PageEvent,
  type ScreenEvent,
  type TrackEvent,
} from "@waybill/vendors";
import { type AnyEvents, catalogFault, type TypedTrackEvent } from "./catalog.ts";
import { relayDestination } from "./destinations.ts";
import {
  type ClientOptions,
  type Destination,
  type Drop,
  type Host,
  type ResolvedOptions,
  resolveClientOptions,
  worse,
} from "./options.ts";
import { createMemoryPipeline, type Pipeline } from "./pipeline.ts";
import { createSerialiser, messageIdOf, type Serialiser } from "./serialise.ts";
import { LIBRARY } from "./version.ts";

/** What `identify`, `track` and the others give back. */
export interface EventHandle {
  /** "" when the event was not taken: see `onDrop`. */
  readonly messageId: string;
  /**
   * Ends with the event's outcome, the worst one when it went to several destinations; never rejects. Made when it is first read, so a call
   * that does not read it pays nothing. Waiting for it holds the process open, for 30 s at most. An event that is left at close ends as
   * retryable.
   */
  readonly delivered: Promise<Outcome>;
}

/** Events by what became of them. Over several destinations they are added up. */
export interface Summary {
  readonly delivered: number;
  /** Refused for good by a destination; told to `onDrop`. */
  readonly rejected: number;
  /** Lost on purpose, by reason; told to `onDrop`. */
  readonly dropped: number;
  /** Not delivered yet: in memory, or on disk with a spool. */
  readonly left: number;
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
  /** A barrier: ends when every event captured before has its outcome, or cannot get one for now (a halted destination), or after `deadlineMs` (default 30 s). */
  flush(options?: { readonly deadlineMs?: number }): Promise<Summary>;
  /** Delivers what is there within `deadlineMs` (default 10 s), then refuses more. Idempotent. Never rejects. */
  close(options?: { readonly deadlineMs?: number }): Promise<Summary>;
  /** The book of each destination: accepted = delivered + rejected + dropped + expired + pending. */
  accounts(): Readonly<Record<string, AccountView>>;
}

const FLUSH_DEADLINE_MS = 30_000;
const CLOSE_DEADLINE_MS = 10_000;
/** Outcomes other than delivered that are remembered for handles that are asked late. */
const REMEMBERED_OUTCOMES = 1_000;

interface Waiter {
  left: number;
  outcome: Outcome | undefined;
  readonly promise: Promise<Outcome>;
  readonly resolve: (outcome: Outcome) => void;
  /** Holds the process open for who waits. */
  readonly hold: Timer;
}

/** The client on any host; `createClient` of the entry points brings the host along. */
export function createClientOn(host: Host, given: ClientOptions): Client {
  const options = resolveClientOptions(given);
  return new WaybillClient(host, options, destinationsOf(options));
}

function destinationsOf(options: ResolvedOptions): readonly Destination[] {
  const { destinations, relay } = options;
  if ((destinations === undefined) === (relay === undefined))
    throw new WaybillError("WAYBILL_OPTIONS", "createClient: give either destinations or relay", {
      hint: "createClient({ relay: { url, writeKey } }) or createClient({ destinations: [segment({ writeKey })] })",
    });
  const list = destinations ?? [relayDestination(relay as { url: string; writeKey: string })];
  const names = list.map(({ name }) => name);
  if (list.length === 0) throw new WaybillError("WAYBILL_OPTIONS", "createClient: destinations is empty");
  if (new Set(names).size < names.length)
    throw new WaybillError(
      "WAYBILL_OPTIONS",
      `createClient: two destinations have the same name (${names.join(", ")})`,
      {
        hint: "Give each a name: segment({ name, writeKey })",
      },
    );
  return list;
}

class WaybillClient implements Client {
  readonly #options: ResolvedOptions;
  readonly #host: Host;
  readonly #pipeline: Pipeline;
  readonly #serialise: Serialiser;
  readonly #destinations: number;
  readonly #waiters = new Map<string, Waiter>();
  readonly #remembered = new Map<string, Outcome>();
  #closing: Promise<Summary> | undefined;

  constructor(host: Host, options: ResolvedOptions, destinations: readonly Destination[]) {
    const { clock, random } = host.runtime;
    this.#host = host;
    this.#options = options;
    this.#destinations = destinations.length;
    this.#serialise = createSerialiser(clock, createUuidV7(clock, random));
    const context = JSON.stringify({ ...options.context, library: LIBRARY });
    const createPipeline = options.spool?.createPipeline ?? createMemoryPipeline;
    this.#pipeline = createPipeline({
      options,
      host,
      destinations,
      metadata: encodeMetadata({ context }),
      onDrop: (reason, text, destination) => this.#dropped(reason, text, destination),
      onSettled: (destination, batch, outcomes) => this.#settled(destination, batch, outcomes),
      onError: (error) => this.#reportError(error),
    });
  }

  identify(event: IdentifyEvent): EventHandle {
    return this.#capture("identify", event);
  }

  track(event: TrackEvent): EventHandle {
    const { catalog, validate } = this.#options;
    if (catalog !== undefined && validate !== "off") {
      const fault = catalogFault(catalog, event?.event, event?.properties);
      if (fault !== undefined) {
        this.#reportError(new WaybillError("WAYBILL_EVENT", `track(): ${fault}`));
        if (validate === "drop") return this.#refuse("invalid", "");
      }
    }
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

  flush({ deadlineMs = FLUSH_DEADLINE_MS }: { readonly deadlineMs?: number } = {}): Promise<Summary> {
    return new Promise((resolve) => {
      const finish = (): void => {
        timer.cancel();
        resolve(this.#summary());
      };
      // Holds the process open for as long as the caller waits.
      const timer = this.#host.runtime.clock.after(deadlineMs, finish, true);
      this.#pipeline.flush().then(finish, finish);
    });
  }

  close({ deadlineMs = CLOSE_DEADLINE_MS }: { readonly deadlineMs?: number } = {}): Promise<Summary> {
    this.#closing ??= this.#close(deadlineMs);
    return this.#closing;
  }

  accounts(): Readonly<Record<string, AccountView>> {
    return this.#pipeline.accounts();
  }

  async #close(deadlineMs: number): Promise<Summary> {
    try {
      await this.#pipeline.close(deadlineMs);
    } catch (error) {
      this.#reportError(
        new WaybillError("WAYBILL_CLOSED", `close() did not end well: ${messageOf(error)}`, { cause: error }),
      );
    }
    for (const waiter of this.#waiters.values()) {
      waiter.hold.cancel();
      waiter.resolve({ status: "retryable", reason: "left at close" });
    }
    this.#waiters.clear();
    return this.#summary();
  }

  #capture<T extends EventType>(type: T, event: CanonicalEvents[T]): EventHandle {
    if (this.#closing !== undefined) return this.#refuse("closed", "");
    let serialised: { readonly messageId: string; readonly text: string };
    try {
      serialised = this.#serialise(type, event);
    } catch (error) {
      this.#reportError(
        error instanceof WaybillError ? error : new WaybillError("WAYBILL_EVENT", messageOf(error), { cause: error }),
      );
      return this.#refuse("invalid", "");
    }
    const { messageId, text } = serialised;
    const bytes = this.#host.byteLength(text);
    if (bytes > this.#options.eventMaxBytes) return this.#refuse("event_too_large", text);
    this.#pipeline.push(text, bytes);
    if (this.#options.waitUntil !== undefined) this.#keepAlive(this.#options.waitUntil);
    return new Handle(messageId, this.#outcomeOf);
  }

  /** Counts and reports an event that is not taken. */
  #refuse(reason: DropReason, text: string): EventHandle {
    this.#pipeline.drop(reason, text);
    return { messageId: "", delivered: Promise.resolve({ status: "dropped", reason }) };
  }

  #keepAlive(waitUntil: (promise: Promise<unknown>) => void): void {
    try {
      waitUntil(this.flush());
    } catch (error) {
      this.#reportError(new WaybillError("WAYBILL_EVENT", `waitUntil threw: ${messageOf(error)}`, { cause: error }));
    }
  }

  readonly #outcomeOf = (messageId: string): Promise<Outcome> => {
    const known = this.#remembered.get(messageId);
    if (known !== undefined) return Promise.resolve(known);
    const waiting = this.#waiters.get(messageId);
    if (waiting !== undefined) return waiting.promise;
    if (Object.values(this.accounts()).every(({ pending }) => pending === 0)) return Promise.resolve(DELIVERED);
    let resolve: (outcome: Outcome) => void = () => undefined;
    const promise = new Promise<Outcome>((done) => {
      resolve = done;
    });
    const hold = this.#host.runtime.clock.after(FLUSH_DEADLINE_MS, () => undefined, true);
    this.#waiters.set(messageId, { left: this.#destinations, outcome: undefined, promise, resolve, hold });
    return promise;
  };

  #settled(destination: string, batch: Batch, outcomes: readonly Outcome[]): void {
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === "retryable" || outcome.status === "halted") continue;
      if (outcome.status === "delivered" && this.#waiters.size === 0) continue;
      const text = batch.event(index);
      const messageId = messageIdOf(typeof text === "string" ? text : new TextDecoder().decode(text));
      if (outcome.status === "rejected") {
        this.#remember(messageId, outcome);
        this.#call(this.#options.onDrop, { reason: "rejected", detail: outcome.reason, messageId, destination });
      } else if (outcome.status === "dropped") {
        this.#call(this.#options.onDrop, { reason: outcome.reason, messageId, destination });
      }
      this.#resolveWaiter(messageId, outcome);
    }
  }

  #dropped(reason: DropReason, text: string, destination: string): void {
    const messageId = text === "" ? undefined : messageIdOf(text);
    this.#call(this.#options.onDrop, { reason, destination, ...(messageId === undefined ? {} : { messageId }) });
    if (messageId === undefined) return;
    const outcome: Outcome = { status: "dropped", reason };
    this.#remember(messageId, outcome);
    this.#resolveWaiter(messageId, outcome);
  }

  #remember(messageId: string, outcome: Outcome): void {
    this.#remembered.set(messageId, outcome);
    if (this.#remembered.size > REMEMBERED_OUTCOMES)
      this.#remembered.delete(this.#remembered.keys().next().value as string);
  }

  #resolveWaiter(messageId: string, outcome: Outcome): void {
    const waiter = this.#waiters.get(messageId);
    if (waiter === undefined) return;
    waiter.outcome = worse(waiter.outcome, outcome);
    waiter.left -= 1;
    if (waiter.left > 0) return;
    this.#waiters.delete(messageId);
    waiter.hold.cancel();
    waiter.resolve(waiter.outcome);
  }

  #reportError(error: WaybillError): void {
    this.#call(this.#options.onError, error);
  }

  /** The host's callbacks must not reach into the engine. */
  #call<T extends Drop | WaybillError>(callback: ((value: T) => void) | undefined, value: T): void {
    try {
      callback?.(value);
    } catch {
      // Said in the options: what a callback throws is ignored.
    }
  }

  #summary(): Summary {
    let delivered = 0;
    let rejected = 0;
    let dropped = 0;
    let left = 0;
    for (const account of Object.values(this.accounts())) {
      delivered += account.delivered;
      rejected += account.rejected;
      dropped += account.droppedTotal + account.expired;
      left += account.pending;
    }
    return { delivered, rejected, dropped, left };
  }
}

class Handle implements EventHandle {
  readonly messageId: string;
  readonly #outcomeOf: (messageId: string) => Promise<Outcome>;

  constructor(messageId: string, outcomeOf: (messageId: string) => Promise<Outcome>) {
    this.messageId = messageId;
    this.#outcomeOf = outcomeOf;
  }

  get delivered(): Promise<Outcome> {
    return this.#outcomeOf(this.messageId);
  }
}
