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
  type ServerResponse,
} from "@waybill/testing";
import { type HostileAnswer, hostileAnswer, hostileNumber } from "./hostile.ts";
import { BATCH_EVENTS_LIMIT, REDACTED_PROPERTY, SKIPPED_EVENT } from "./sim-relay.ts";

const KEY = "key";
/** The number that a stranger has among the clients. */
const STRANGER = -1;

/** An event as a vendor got it, after dedupe. */
interface Arrived {
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
  readonly emulator: Emulator;
  /** What has arrived since the beginning. */
  readonly arrived: () => readonly Arrived[];
  /** Ids of everything that was taken. */
  readonly ids: () => readonly string[];
  /** Whether it gets a choice of the events, without what is redacted. */
  readonly isChoosy: boolean;
}

export function createVendor(vendor: "segment" | "letter", name: string, clock: VirtualClock): SimVendor {
  if (vendor === "letter") {
    const emulator = new emulators.LetterEmulator({ clock, apiKeys: [KEY] });
    const arrived: Arrived[] = [];
    return new SimVendor({
      name,
      emulator,
      isChoosy: true,
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
    name,
    emulator,
    isChoosy: false,
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
  /** By the number of the client. */
  readonly #last = new Map<string, number>();
  /** Ids it refused inside a batch: they may come later after all. */
  readonly #refused = new Set<string>();
  readonly #faults: string[] = [];
  #looked = 0;
  #odd: HostileAnswer | undefined;

  constructor(options: SimVendorOptions) {
    this.#options = options;
  }

  readonly handle: ServerHandler = async (request) => {
    const odd = this.#odd;
    this.#odd = undefined;
    if (odd?.acts === false) return odd.answer;
    const before = this.#options.ids().length;
    const answer = await this.#options.emulator.handle(request);
    const taken = this.#options.ids().length - before;
    if (taken > BATCH_EVENTS_LIMIT) this.#faults.push(`${this.#options.name} got ${taken} events at once`);
    this.#noteRefused(request.body, answer);
    return odd !== undefined && tookAll(answer) ? odd.answer : answer;
  };

  fail(failure: EmulatorFailure): void {
    this.#options.emulator.fail(failure);
  }

  /** The next request is answered as no vendor should. */
  answerOddly(random: SeededRandom): void {
    this.#odd = hostileAnswer(random);
  }

  rotate(key: string): void {
    this.#options.emulator.rotate([key]);
  }

  /** From now on it does what vendors do, for the first key. */
  recover(): void {
    this.#odd = undefined;
    this.#options.emulator.recover();
    this.rotate(KEY);
  }

  /** Ids of what it took, after dedupe. */
  ids(): readonly string[] {
    return this.#options.ids();
  }

  /** What is wrong with what came since the last look. */
  faults(): readonly string[] {
    const arrived = this.#options.arrived();
    for (; this.#looked < arrived.length; this.#looked++) this.#look(arrived[this.#looked] as Arrived);
    return this.#faults.splice(0);
  }

  /** In the order in which its client made it, and as this vendor is to have it. */
  #look({ id, event }: Arrived): void {
    const { name, isChoosy } = this.#options;
    const { properties } = event;
    const held = typeof properties === "object" && properties !== null ? (properties as Record<string, unknown>) : {};
    if (isChoosy && event["event"] === SKIPPED_EVENT) this.#faults.push(`${name} got an event that is filtered`);
    if (isChoosy && Object.hasOwn(held, REDACTED_PROPERTY)) this.#faults.push(`${name} got what is redacted`);
    if (this.#refused.has(id)) return;
    const stranger = hostileNumber(id);
    const client = stranger === undefined ? held["client"] : STRANGER;
    const number = stranger ?? held["number"];
    // A stranger's event whose id was none.
    if (typeof client !== "number" || typeof number !== "number") return;
    // Events of one user keep their order; those of nobody have none.
    const user = event["userId"] ?? event["anonymousId"];
    if (typeof user !== "string" || user === "") return;
    const who = `client ${client}, user ${user}`;
    const last = this.#last.get(who) ?? Number.NEGATIVE_INFINITY;
    if (number <= last) this.#faults.push(`${name} got event ${number} of ${who} after event ${last}`);
    this.#last.set(who, number);
  }

  /** The refusal may be lost on the way, or with the cursor: the event comes again then. */
  #noteRefused(body: Uint8Array, answer: ServerResponse): void {
    if (!answer.body.includes('"rejected"')) return;
    const { rejected } = JSON.parse(answer.body) as { readonly rejected: readonly { readonly index: number }[] };
    const { batch } = JSON.parse(Buffer.from(body).toString()) as {
      readonly batch: readonly { messageId?: unknown }[];
    };
    for (const { index } of rejected) this.#refused.add(String(batch[index]?.messageId));
  }
}

/** Only then may it say something else without a lie about an event. */
function tookAll({ status, body, fault, delayMs }: ServerResponse): boolean {
  return status === 200 && fault === undefined && delayMs === undefined && !body.includes('"rejected"');
}
