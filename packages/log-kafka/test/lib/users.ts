/**
 * Users who send one request after the other, each again until it is acknowledged, over any of
 * several relays; and what must hold of the topic afterwards.
 */
import { type Place, type Producer, partitionOf } from "@waybill/log-kafka";
import type { SeededRandom, VirtualClock } from "@waybill/testing";
import { orderHash } from "@waybill/vendors/registry";
import { entryOf } from "./entries.ts";
import { runUntil } from "./run-until.ts";

const USERS = 6;
const REQUESTS = 12;
const EVENTS_MAX = 8;
const EVENT_CHARACTERS = 60;
const AGAIN_MS = 1_000;

interface UsersOptions {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly producers: readonly Producer[];
  readonly partitions: number;
}

interface Acknowledged extends Place {
  readonly text: string;
}

export class Users {
  /** Answers that were refusals. */
  refused = 0;
  readonly #options: UsersOptions;
  readonly #names = Array.from({ length: USERS }, (_, index) => `user-${index}`);
  readonly #acknowledged: Acknowledged[] = [];
  readonly #strange: string[] = [];

  constructor(options: UsersOptions) {
    this.#options = options;
  }

  /** Resolves when all requests are acknowledged. */
  async run(): Promise<void> {
    await runUntil(this.#options.clock, Promise.all(this.#names.map((name) => this.#user(name))));
  }

  /** What is not as it must be in the records of each partition, by offset. */
  violations(logs: readonly (readonly string[])[]): readonly string[] {
    const lost = this.#acknowledged
      .filter(({ partition, offset, text }) => logs[partition]?.[offset] !== text)
      .map(({ partition, offset }) => `lost: ${partition}@${offset}`);
    const events = logs.flat().flatMap((record) => record.split(","));
    const disordered = this.#names.filter((name) => {
      const once = [...new Set(events.filter((event) => event.startsWith(`${name}:`)))];
      return once.some((event, index) => index > 0 && numberOf(event) < numberOf(once[index - 1] as string));
    });
    return [...this.#strange, ...lost, ...disordered.map((name) => `not in order: ${name}`)];
  }

  async #user(name: string): Promise<void> {
    const { clock, random, partitions } = this.#options;
    const partition = partitionOf(orderHash(name), partitions);
    for (let request = 0; request < REQUESTS; request++) {
      const count = 1 + Math.floor(random.next() * EVENTS_MAX);
      const events = Array.from({ length: count }, (_, index) =>
        `${name}:${request}.${index}`.padEnd(EVENT_CHARACTERS, "-"),
      );
      while (!(await this.#send(partition, events)))
        await new Promise<void>((resolve) => clock.after(random.next() * AGAIN_MS, resolve));
    }
  }

  async #send(partition: number, events: readonly string[]): Promise<boolean> {
    const { producers, random } = this.#options;
    const producer = producers[Math.floor(random.next() * producers.length)] as Producer;
    try {
      const places = await producer.append([{ partition, entry: entryOf(events), indexes: undefined }]);
      let at = 0;
      for (const place of places) {
        this.#acknowledged.push({ ...place, text: events.slice(at, at + place.count).join(",") });
        at += place.count;
      }
      return true;
    } catch (error) {
      const { code, retryable } = error as { readonly code?: string; readonly retryable?: boolean };
      if (code !== "WAYBILL_LOG_UNAVAILABLE" || retryable !== true) this.#strange.push(String(error));
      this.refused += 1;
      return false;
    }
  }
}

function numberOf(event: string): number {
  const [, request = "", index = ""] = /:(\d+)\.(\d+)/.exec(event) ?? [];
  return Number(request) * EVENTS_MAX + Number(index);
}
