/** Fetches that share requests: brokers answer late, with errors, nothing or not at all. */
import * as library from "@platformatic/kafka";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { BrokerError } from "../src/index.ts";
import type { Address } from "../src/kafka/link.ts";
import type { Call, FetchAnswer } from "../src/kafka/requests.ts";
import { type FetchLinks, SharedFetch } from "../src/kafka/shared-fetch.ts";
import { Within } from "../src/kafka/within.ts";
import { type FetchedPartition, fetchedAnswers, fetchedFrom } from "./lib/fake-kafka.ts";

const PORTS = [1, 2] as const;
const PARTITIONS = 6;
const NOT_LEADER = 6;
const ROUNDS = 300;
const STEP_MS = 7;
/** How long a fetch may be in no request. */
const GATHER_MS = 2;
const WAIT_MAX_MS = 400;
const BEYOND_MS = 1_000;

interface Asked {
  readonly place: string;
  readonly askedAtMs: number;
  readonly untilMs: number;
  settledAtMs?: number;
  answer?: FetchAnswer;
  error?: unknown;
}

class World {
  readonly clock = new VirtualClock();
  readonly random: SeededRandom;
  readonly asked: Asked[] = [];
  /** How many requests have a place now. */
  readonly outstanding = new Map<string, number>();
  /** Since when a place is in no request. */
  readonly #idleSinceMs = new Map<string, number>();
  /** Records that brokers have answered with. */
  readonly given = new Set<string>();
  readonly fetch: SharedFetch;
  /** Brokers answer at once, with records. */
  isCalm = false;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    const links: FetchLinks = {
      to: ({ port }: Address) => ({ call: (call, within) => this.#exchange(port, call, within) }),
    };
    this.fetch = new SharedFetch(library, links, this.clock);
  }

  async #exchange<R>(port: number, call: Call<R>, within: Within): Promise<R> {
    const { random, outstanding } = this;
    const partitions = fetchedFrom(library.Reader.from(call.write().buffer));
    expect(new Set(partitions).size, "an answer does not distinguish two of one partition").toBe(partitions.length);
    const places = partitions.map((partition) => `${port}/${partition}`);
    for (const place of places) outstanding.set(place, (outstanding.get(place) ?? 0) + 1);
    try {
      const isLost = !this.isCalm && random.chance(0.03);
      await within.wait(new Promise<void>((resolve) => isLost || this.clock.after(this.#tookMs, resolve)));
      if (!this.isCalm && random.chance(0.05)) throw new BrokerError("unreachable", "the connection broke");
      const answers = new Map(partitions.map((partition) => [partition, this.#answerOf(`${port}/${partition}`)]));
      return call.read(library.Reader.from(fetchedAnswers(answers).buffer));
    } finally {
      for (const place of places) {
        outstanding.set(place, (outstanding.get(place) ?? 0) - 1);
        this.#idleSinceMs.set(place, this.clock.monotonic());
      }
    }
  }

  get #tookMs(): number {
    return this.isCalm ? 1 : this.random.below(this.random.chance(0.1) ? BEYOND_MS : 100);
  }

  #answerOf(place: string): FetchedPartition {
    if (!this.isCalm && this.random.chance(0.05)) return { errorCode: NOT_LEADER };
    if (!this.isCalm && this.random.chance(0.6)) return {};
    const record = `${place} ${this.given.size}`;
    this.given.add(record);
    return { batches: Buffer.from(record) };
  }

  ask(): void {
    const { clock, random } = this;
    const port = random.pick(PORTS);
    const partition = random.below(PARTITIONS);
    const maxWaitMs = random.chance(0.1) ? 0 : random.below(WAIT_MAX_MS);
    const within = new Within(clock, maxWaitMs + BEYOND_MS, "fetch");
    const askedAtMs = clock.monotonic();
    const asked: Asked = { place: `${port}/${partition}`, askedAtMs, untilMs: askedAtMs + maxWaitMs };
    this.asked.push(asked);
    const settled = (of: Pick<Asked, "answer" | "error">): void => {
      expect(asked.settledAtMs, "it is answered once").toBeUndefined();
      Object.assign(asked, of, { settledAtMs: clock.monotonic() });
    };
    this.fetch
      .send({ host: "broker", port }, { topic: "t", partition, offset: 0, maxBytes: 1_000, maxWaitMs, within })
      .then(
        (answer) => settled({ answer }),
        (error: unknown) => settled({ error }),
      );
  }

  /** Who waits is in a request, or was a moment ago. */
  checkWaiting(): void {
    const nowMs = this.clock.monotonic();
    for (const { place, askedAtMs, untilMs, settledAtMs } of this.asked) {
      const isInRequest = (this.outstanding.get(place) ?? 0) > 0;
      if (settledAtMs !== undefined || isInRequest || untilMs <= nowMs) continue;
      const idleMs = nowMs - Math.max(askedAtMs, this.#idleSinceMs.get(place) ?? 0);
      expect(idleMs, `${place} is in no request`).toBeLessThanOrEqual(GATHER_MS);
    }
  }

  /** What each got is its own, and nothing that a broker gave is lost. */
  check(): void {
    const got = this.asked.flatMap(({ answer }) => {
      const text = answer?.batches.toString() ?? "";
      return text === "" ? [] : [text];
    });
    for (const { place, untilMs, settledAtMs, answer, error } of this.asked) {
      expect(settledAtMs, place).toBeDefined();
      if (error !== undefined) expect(error).toBeInstanceOf(BrokerError);
      const text = answer?.batches.toString() ?? "";
      if (text !== "") expect(text.startsWith(`${place} `), `${text} for ${place}`).toBe(true);
      else if (answer?.errorCode === 0) expect(untilMs - (settledAtMs ?? 0), place).toBeLessThanOrEqual(GATHER_MS);
    }
    expect(new Set(got).size).toBe(got.length);
    expect(got.toSorted()).toEqual([...this.given].toSorted());
  }
}

test.each(Array.from({ length: 12 }, (_, seed) => [seed]))(
  "each fetch is answered once, with its own partition's records, and none is forgotten: seed %i",
  async (seed) => {
    const world = new World(seed);
    for (let round = 0; round < ROUNDS; round++) {
      for (let count = world.random.below(4); count > 0; count--) world.ask();
      await world.clock.advance(STEP_MS);
      world.checkWaiting();
    }
    world.isCalm = true;
    await world.clock.advance(2 * BEYOND_MS + WAIT_MAX_MS);
    world.check();
    const errors = world.asked.filter(({ error }) => error !== undefined).length;
    expect(errors).toBeGreaterThan(0);
    expect(world.given.size).toBeGreaterThan(ROUNDS / 4);
  },
);
