/**
 * The vendors of the simulation: what arrives at each is in order, within its limits, and what was
 * to be left out is not there.
 */

import type { SeededRandom, VirtualClock } from "@waybill/testing";
import {
  type EmulatorFailure,
  emulators,
  SegmentEmulator,
  type ServerHandler,
  type ServerRequest,
  type ServerResponse,
} from "@waybill/testing";
import { BatchVendor } from "./batch-vendor.ts";
import { type HostileAnswer, hostileAnswer, hostileNumber } from "./hostile.ts";
import { eventsIn, userOf } from "./in-flight.ts";
import type { KnownPlaces } from "./places.ts";
import { type Replayed, type ReplayRequest, replayRequestOf } from "./replayed.ts";
import { BATCH_EVENTS_LIMIT, REDACTED_PROPERTY, SKIPPED_EVENT, type VENDORS } from "./sim-relay.ts";

const KEY = "key";
/** The number that a stranger has among the clients. */
const STRANGER = -1;
/** Of a vendor that takes only so many requests at once. */
const WORK_MS = 50;
/** An event with this property is answered with 500, and so is each request that it is in. */
export const POISON_PROPERTY = "poison";
/** The same until the vendor recovers. */
export const SICK_PROPERTY = "sick";
/** An event with this property is refused for good; a replay's is mostly taken. */
export const INVALID_PROPERTY = "invalid";
const INVALID: ServerResponse = { status: 400, headers: {}, body: "an event is not valid" };
/** Of requests of replays with such events, until the vendor recovers. */
const INVALID_SHARE = 0.3;

/** An event as a vendor got it, after dedupe. */
export interface Arrived {
  readonly id: string;
  readonly event: Readonly<Record<string, unknown>>;
}

interface Emulator {
  readonly handle: ServerHandler;
  fail(failure: EmulatorFailure): void;
  recover(): void;
  rotate(keys: readonly string[]): void;
}

export interface SimVendorOptions {
  readonly name: string;
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  /** From the relay and back, without its work. */
  readonly roundTripMs: number;
  readonly emulator: Emulator;
  /** What has arrived since the beginning. */
  readonly arrived: () => readonly Arrived[];
  /** Ids of everything that was taken. */
  readonly ids: () => readonly string[];
  /** What came of replays, where they can be distinguished from what lanes send. */
  readonly replayed?: Replayed;
  /** What else is wrong with what came. */
  readonly ownFaults?: () => readonly string[];
  /** Whether it gets a choice of the events, without what is redacted. */
  readonly isChoosy: boolean;
  /** Whether it knows a duplicate by its own id, and not by the key of its request. */
  readonly knowsIds: boolean;
  /** Whether what an anonymous id did comes before what ties it to a user. Default: always. */
  readonly areTied?: (user: string, anonymousId: string) => boolean;
  /** Of an event that it has twice: whether that cannot be helped. */
  readonly mayBeTwice?: (id: string) => boolean;
  /** Of an event that it got: whether it may come after later ones of its user. Default: never. */
  readonly mayBeLate?: (id: string) => boolean;
}

interface SimVendorPlace
  extends Pick<SimVendorOptions, "name" | "clock" | "random" | "roundTripMs" | "areTied" | "mayBeLate"> {
  readonly places: KnownPlaces;
}

export function createVendor(vendor: (typeof VENDORS)[number], { places, ...place }: SimVendorPlace): SimVendor {
  const { clock } = place;
  if (vendor === "http") {
    const emulator = new BatchVendor({ clock }, places);
    return new SimVendor({
      ...place,
      emulator,
      isChoosy: false,
      knowsIds: false,
      mayBeTwice: (id) => emulator.cut.has(id),
      ids: () => emulator.ids,
      arrived: () => emulator.arrived,
      replayed: emulator.replayed,
      ownFaults: () => [...emulator.faults.splice(0), ...emulator.replayed.faults.splice(0)],
    });
  }
  if (vendor === "letter") {
    const emulator = new emulators.LetterEmulator({ clock, apiKeys: [KEY] });
    const arrived: Arrived[] = [];
    return new SimVendor({
      ...place,
      emulator,
      isChoosy: true,
      knowsIds: true,
      ids: () => emulator.ids,
      arrived() {
        for (const event of emulator.events.slice(arrived.length))
          arrived.push({ id: String(event["messageId"]), event });
        return arrived;
      },
    });
  }
  const emulator = new SegmentEmulator({ clock, writeKeys: [KEY] });
  const arrived: Arrived[] = [];
  return new SimVendor({
    ...place,
    emulator,
    isChoosy: false,
    knowsIds: true,
    ids: () => emulator.events.map(({ messageId }) => messageId),
    arrived() {
      for (let at = arrived.length; at < emulator.events.length; at++) {
        const { messageId, event } = emulator.events[at] as (typeof emulator.events)[number];
        arrived.push({ id: messageId, event });
      }
      return arrived;
    },
  });
}

export class SimVendor {
  readonly #options: SimVendorOptions;
  /** By the number of the client and the user. */
  readonly #last = new Map<string, number>();
  /** Ids it refused inside a batch: they may come later after all. */
  readonly #refused = new Set<string>();
  readonly #faults: string[] = [];
  #looked = 0;
  #odd: HostileAnswer | undefined;
  #isSick = true;
  /** Whether order is promised to it: events in between have none. */
  isOrdered = true;
  orderViolations = 0;
  /** When it took something: for who wants to know whether others passed. */
  readonly #tookAt: number[] = [];
  readonly #ordered = new Set<string>();
  /** Ids of requests that failed: the batch they were in may have been halved since. */
  readonly #troubled = new Set<string>();
  /** How many requests it takes at once, and how many it has. */
  #atOnce = Number.POSITIVE_INFINITY;
  #working = 0;
  /** Of the requests since there is such a limit. */
  #taken = 0;
  #refusals: number[] = [];
  /** When it refused each poisonous event. */
  readonly #poisonAt = new Map<string, number[]>();

  constructor(options: SimVendorOptions) {
    this.#options = options;
  }

  /**
   * What is there twice and may not be. Where duplicates are known by the key of the request alone,
   * the parts of a batch that was halved, on its way in a crash, come again under another key; so
   * does what hard retention has left of a batch.
   */
  twice(): readonly string[] {
    const { ids, knowsIds, mayBeTwice } = this.#options;
    const seen = new Set<string>();
    const isWrong = (id: string): boolean => knowsIds || !(this.#troubled.has(id) || mayBeTwice?.(id) === true);
    return ids().filter((id) => (seen.has(id) ? isWrong(id) : (seen.add(id), false)));
  }

  readonly handle: ServerHandler = async (request) => {
    const { clock, roundTripMs, random } = this.#options;
    const wayMs = (roundTripMs / 2) * (0.5 + 0.5 * random.next());
    await new Promise<void>((resolve) => clock.after(wayMs, resolve));
    const replay = this.#options.replayed && replayRequestOf(request);
    const answer = await (replay === undefined ? this.#answerWithin(request) : this.#answerReplay(request));
    if (answer.status !== 200 || answer.fault !== undefined || answer.delayMs !== undefined)
      this.#noteTrouble(request.body, replay);
    return { ...answer, delayMs: (answer.delayMs ?? 0) + wayMs };
  };

  #noteTrouble(body: Uint8Array, replay: ReplayRequest | undefined): void {
    const ids = eventsIn(body).map((event) => String(event["messageId"]));
    if (replay !== undefined) this.#options.replayed?.trouble(replay, ids);
    else for (const id of ids) this.#troubled.add(id);
  }

  /** It fails as for lanes; nothing of that is noted of the events, which lanes send too. */
  #answerReplay(request: ServerRequest): ServerResponse | Promise<ServerResponse> {
    const odd = this.#odd;
    this.#odd = undefined;
    if (odd?.acts === false) return odd.answer;
    // Replays wait for what is refused for ever: it is taken from them once the vendor recovers.
    if (this.#isSick && eventsIn(request.body).some((event) => isPoison(event) || isSick(event)))
      return { status: 500, headers: {}, body: "cannot read property of undefined" };
    const { random, emulator } = this.#options;
    if (this.#isSick && eventsIn(request.body).some(isInvalid) && random.chance(INVALID_SHARE)) return INVALID;
    const answer = emulator.handle(request);
    return odd === undefined ? answer : Promise.resolve(answer).then((one) => (tookAll(one) ? odd.answer : one));
  }

  /** With 429 when it has as many requests as it takes at once. */
  async #answerWithin(request: ServerRequest): Promise<ServerResponse> {
    if (this.#atOnce === Number.POSITIVE_INFINITY) return this.#answer(request);
    if (this.#working >= this.#atOnce) {
      this.#refusals.push(this.#taken);
      return { status: 429, headers: { "retry-after": "1" }, body: "" };
    }
    this.#working += 1;
    this.#taken += 1;
    await new Promise<void>((resolve) => this.#options.clock.after(WORK_MS, resolve));
    this.#working -= 1;
    return this.#answer(request);
  }

  async #answer(request: ServerRequest): Promise<ServerResponse> {
    const { clock, emulator, ids, name } = this.#options;
    const odd = this.#odd;
    this.#odd = undefined;
    const poison = eventsIn(request.body).filter((event) => isPoison(event) || (this.#isSick && isSick(event)));
    for (const event of poison) this.#notePoison(String(event["messageId"]));
    if (odd?.acts === false) {
      this.#noteOdd(request.body);
      return odd.answer;
    }
    if (poison.length > 0) return { status: 500, headers: {}, body: "cannot read property of undefined" };
    const invalid = eventsIn(request.body).filter(isInvalid);
    for (const event of invalid) this.#refused.add(String(event["messageId"]));
    if (invalid.length > 0) return INVALID;
    const before = ids().length;
    const answer = await emulator.handle(request);
    const taken = ids().length - before;
    if (taken > BATCH_EVENTS_LIMIT) this.#faults.push(`${name} got ${taken} events at once`);
    if (answer.status === 200) this.#tookAt.push(clock.monotonic());
    this.#noteRefused(request.body, answer);
    return odd !== undefined && tookAll(answer) ? odd.answer : answer;
  }

  #notePoison(id: string): void {
    const times = this.#poisonAt.get(id) ?? [];
    this.#poisonAt.set(id, times);
    times.push(this.#options.clock.monotonic());
  }

  /** Whether this event was ever sent, and is answered with 500. */
  hasRefused(id: string): boolean {
    return this.#poisonAt.has(id);
  }

  /** For how long a poisonous event has been refused while others were taken, at most. */
  refusedMs(id: string): number {
    const times = this.#poisonAt.get(id) ?? [];
    const slackMs = 2 * this.#options.roundTripMs;
    let sum = 0;
    for (const [index, at] of times.entries()) {
      const next = times[index + 1];
      if (next !== undefined && this.#tookAt.some((took) => took > at - slackMs && took < next + slackMs))
        sum += next - at;
    }
    return sum;
  }

  fail(failure: EmulatorFailure): void {
    this.#options.emulator.fail(failure);
  }

  /** The next request is answered as no vendor should. */
  answerOddly(random: SeededRandom): void {
    this.#odd = hostileAnswer(random);
  }

  /** From now on it takes so many requests at once. */
  limitTo(atOnce: number): void {
    this.#atOnce = atOnce;
    this.#taken = 0;
    this.#refusals = [];
  }

  /** Of the requests since the limit, but for the first `learning` that it took: those refused. */
  refusedShare(learning: number): number {
    const refused = this.#refusals.filter((taken) => taken >= learning).length;
    return refused / Math.max(1, refused + this.#taken - learning);
  }

  rotate(key: string): void {
    this.#options.emulator.rotate([key]);
  }

  /** From now on it does what vendors do, for the first key. */
  recover(): void {
    this.#odd = undefined;
    this.#isSick = false;
    this.#options.emulator.recover();
    this.rotate(KEY);
  }

  /** What came of replays, where they can be distinguished from what lanes send. */
  get replayed(): Replayed | undefined {
    return this.#options.replayed;
  }

  /** Ids of what it took, after dedupe. */
  ids(): readonly string[] {
    return this.#options.ids();
  }

  /** What is wrong with what came since the last look. */
  faults(): readonly string[] {
    const arrived = this.#options.arrived();
    for (; this.#looked < arrived.length; this.#looked++) this.#look(arrived[this.#looked] as Arrived);
    return [...(this.#options.ownFaults?.() ?? []), ...this.#faults.splice(0)];
  }

  /** In the order in which its client made it, and as this vendor is to have it. */
  #look({ id, event }: Arrived): void {
    const { name, isChoosy } = this.#options;
    const held = heldIn(event);
    if (isChoosy && event["event"] === SKIPPED_EVENT) this.#faults.push(`${name} got an event that is filtered`);
    if (isChoosy && Object.hasOwn(held, REDACTED_PROPERTY)) this.#faults.push(`${name} got what is redacted`);
    if (held[POISON_PROPERTY] === true) this.#faults.push(`${name} took an event that it refuses`);
    // What comes again under another key is counted elsewhere.
    const isNew = !this.#ordered.has(id);
    this.#ordered.add(id);
    const made = madeBy(id, event);
    if (this.#refused.has(id) || made === undefined || !isNew || this.#options.mayBeLate?.(id) === true) return;
    const { client, user, number } = made;
    this.#lookAtOrder(`client ${client}, user ${user}`, number);
    const tied = client === STRANGER ? undefined : tieOf(event);
    // What an anonymous user did before it was somebody must not come after.
    if (tied !== undefined && tied !== user && this.#options.areTied?.(user, tied) !== false)
      this.#raise(`client ${client}, user ${tied}`, number);
  }

  /** Whether a later event of its user was taken before this one, which was not. */
  hasOvertaken(id: string, event: Readonly<Record<string, unknown>>): boolean {
    const made = madeBy(id, event);
    if (made === undefined || !this.isOrdered || this.#refused.has(id)) return false;
    const last = this.#last.get(`client ${made.client}, user ${made.user}`);
    return last !== undefined && last > made.number;
  }

  #lookAtOrder(who: string, number: number): void {
    const last = this.#last.get(who) ?? Number.NEGATIVE_INFINITY;
    if (number <= last && this.isOrdered) {
      this.orderViolations += 1;
      this.#faults.push(`${this.#options.name} got event ${number} of ${who} after event ${last}`);
    }
    this.#raise(who, number);
  }

  #raise(who: string, number: number): void {
    this.#last.set(who, Math.max(number, this.#last.get(who) ?? Number.NEGATIVE_INFINITY));
  }

  /** What an odd answer made a dead letter comes again when the cursor is lost. */
  #noteOdd(body: Uint8Array): void {
    for (const event of eventsIn(body)) this.#refused.add(String(event["messageId"]));
  }

  /** The refusal may be lost on the way, or with the cursor: the event comes again then. */
  #noteRefused(body: Uint8Array, answer: ServerResponse): void {
    if (!answer.body.includes('"rejected"')) return;
    const { rejected } = JSON.parse(answer.body) as { readonly rejected: readonly { readonly index: number }[] };
    const batch = eventsIn(body);
    for (const { index } of rejected) this.#refused.add(String(batch[index]?.["messageId"]));
  }
}

/** What the simulation wrote into an event to know it again. */
export function heldIn(event: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const held = event["properties"] ?? event["traits"];
  return typeof held === "object" && held !== null ? (held as Record<string, unknown>) : {};
}

function isPoison(event: Readonly<Record<string, unknown>>): boolean {
  return heldIn(event)[POISON_PROPERTY] === true;
}

function isSick(event: Readonly<Record<string, unknown>>): boolean {
  return heldIn(event)[SICK_PROPERTY] === true;
}

function isInvalid(event: Readonly<Record<string, unknown>>): boolean {
  return heldIn(event)[INVALID_PROPERTY] === true;
}

/** Whose event it is, and its number among those of its client; `undefined` for nobody's. */
function madeBy(
  id: string,
  event: Readonly<Record<string, unknown>>,
): { readonly client: number; readonly user: string; readonly number: number } | undefined {
  const held = heldIn(event);
  const stranger = hostileNumber(id);
  const client = stranger === undefined ? held["client"] : STRANGER;
  const number = stranger ?? held["number"];
  const user = userOf(event);
  // A stranger's event whose id was none.
  if (typeof client !== "number" || typeof number !== "number" || user === undefined) return undefined;
  return { client, user, number };
}

/** The anonymous id that an event ties to its user. */
function tieOf({ type, anonymousId }: Readonly<Record<string, unknown>>): string | undefined {
  return type === "identify" && typeof anonymousId === "string" ? anonymousId : undefined;
}

/** Only then may it say something else without a lie about an event. */
function tookAll({ status, body, fault, delayMs }: ServerResponse): boolean {
  return status === 200 && fault === undefined && delayMs === undefined && !body.includes('"rejected"');
}
