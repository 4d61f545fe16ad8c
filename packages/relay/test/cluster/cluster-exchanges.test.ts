/** Callers that wait for a vendor's answer, at the relay that has the lane or at another one. */
import type { HttpRequest, HttpResponse, Transport } from "@waybill/core";
import { resolveEnvironment } from "@waybill/relay/headless";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { adapterOf, type Vendor } from "@waybill/vendors/registry";
import { expect, onTestFinished, test } from "vitest";
import type { ClusterEnvironment } from "../../src/cluster/cluster-environment.ts";
import type { AnswerFromOwner } from "../../src/cluster/cluster-exchanges.ts";
import type { ExchangeAnswer } from "../../src/delivery/exchanges.ts";
import { openOn } from "./lib/environment.ts";

const DEADLINE_MS = 10_000;
const PARTITIONS = 4;
const USERS = Array.from({ length: 8 }, (_, index) => `user-${index}`);
/** Longer than it takes to store, read and send. */
const SOON_MS = 500;

interface WorldOptions {
  readonly partitions?: number;
  readonly destinations?: readonly string[];
  readonly vendor?: Vendor;
  /** The way from one relay to the other. Default: at once. */
  readonly hop?: (answer: () => Promise<ExchangeAnswer>) => Promise<ExchangeAnswer>;
}

class World {
  readonly clock = new VirtualClock();
  readonly cluster = new SimCluster({ clock: this.clock, random: new SeededRandom(1), heartbeatIntervalMs: 200 });
  readonly relays: ClusterEnvironment[] = [];
  /** Urls of the requests that the vendor got. */
  readonly urls: string[] = [];
  /** Of requests to other relays. */
  hops = 0;
  isSilent = false;
  readonly #options: WorldOptions;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
  }

  readonly #transport: Transport = async (request: HttpRequest) => {
    this.urls.push(request.url);
    if (this.isSilent) return new Promise<HttpResponse>(() => undefined);
    const body = JSON.stringify({ url: request.url, alias: {} });
    return { status: 201, headers: { "content-type": "application/json" }, body };
  };

  /** By a directory that knows everything. */
  readonly #answerFromOwner: AnswerFromOwner = (place, deadlineMs) => {
    this.hops += 1;
    const { hop = (answer) => answer() } = this.#options;
    const name = `${place.environment}/${place.partition}`;
    const owner = this.relays.find(({ shards }) =>
      shards.some((shard) => shard.name === name && shard.destination(place.destination) !== undefined),
    );
    return hop(() => owner?.answerHere(place, deadlineMs) ?? Promise.resolve("nobody"));
  };

  async openOne(): Promise<ClusterEnvironment> {
    const relay = await this.#open("one");
    await this.#shared();
    return relay;
  }

  /** Each has lanes. */
  async openTwo(): Promise<readonly [ClusterEnvironment, ClusterEnvironment]> {
    const relays = [await this.#open("one"), await this.#open("two")] as const;
    await this.#shared();
    return relays;
  }

  async #open(name: string): Promise<ClusterEnvironment> {
    const { partitions = PARTITIONS, vendor = "trophy", destinations = ["first"] } = this.#options;
    const options = { vendor, writeKey: "gflux_secret_out", batch: { linger: "1ms" } };
    const config = resolveEnvironment("test", {
      sources: { app: { protocol: vendor, writeKeys: ["in.secret"] } },
      destinations: Object.fromEntries(destinations.map((one) => [one, { ...options, url: `http://${one}.test` }])),
    });
    const relay = await openOn({
      clock: this.clock,
      broker: this.cluster.connect(name),
      partitions,
      transport: this.#transport,
      config,
      answerFromOwner: this.#answerFromOwner,
    });
    relay.start();
    this.relays.push(relay);
    onTestFinished(() => this.close(relay));
    return relay;
  }

  /** All lanes are at some relay, and each relay has some. */
  async #shared(): Promise<void> {
    const { partitions = PARTITIONS, destinations = ["first"] } = this.#options;
    const lanes = (): readonly number[] =>
      this.relays.map(({ shards }) => shards.reduce((sum, shard) => sum + [...shard.destinations()].length, 0));
    const all = (): number => lanes().reduce((sum, count) => sum + count);
    await this.clock.until(() => lanes().every((count) => count > 0) && all() === partitions * destinations.length);
  }

  async close(relay: ClusterEnvironment): Promise<void> {
    const closing = relay.close(1_000);
    await this.clock.advance(5_000);
    await closing;
  }

  /** Stores an event as a request for it does, and waits for the answer. */
  async exchange(relay: ClusterEnvironment, path: string, event: object): Promise<ExchangeAnswer> {
    const { vendor = "trophy" } = this.#options;
    const body = Buffer.from(JSON.stringify(event));
    const request = { method: "POST", path, query: "", headers: {} };
    const options = { strict: false, isKey: () => true, makeId: () => "id", now: () => 0 };
    const taken = adapterOf(vendor).inbound.match(path)?.take(body, request, options);
    if (taken === undefined || !("parts" in taken)) throw new Error(`not taken: ${JSON.stringify(taken)}`);
    const [part] = taken.parts;
    if (part === undefined) throw new Error("nothing to store");
    const { metadata, events } = part;
    const source = { config: { name: "app" }, counters: { accepted: 0 } };
    const entry = (): typeof events & { metadata: string } => ({ ...events, metadata });
    const [stored] = await relay.cluster.ingest([{ source, receivedAtMs: 0, count: 1, entry }]);
    if (stored === undefined) throw new Error("not stored");
    return relay.exchanges.answerTo({ source: "app", vendor, stored }, DEADLINE_MS);
  }

  /** Of a user's event. */
  answerTo(relay: ClusterEnvironment, user: string): Promise<ExchangeAnswer> {
    return this.#options.vendor === "getfluxly"
      ? this.exchange(relay, "/v1/identify/alias", { user_id: user, previous_id: "p" })
      : this.exchange(relay, "/metrics/words/event", { user: { id: user }, value: 1 });
  }

  /** What is answered, and after how many seconds: storing it takes some milliseconds. */
  async timed(answering: Promise<ExchangeAnswer>): Promise<{ readonly answer: unknown; readonly tookS: number }> {
    const startedAtMs = this.clock.monotonic();
    let tookMs: number | undefined;
    void answering.then(() => (tookMs = this.clock.monotonic() - startedAtMs));
    await this.clock.until(() => tookMs !== undefined);
    const answer = await answering;
    return { answer: typeof answer === "object" ? answer.status : answer, tookS: Math.floor((tookMs ?? 0) / 1_000) };
  }
}

test("callers at either relay get the vendor's answer, whichever has the lane", async () => {
  const world = new World();
  const relays = await world.openTwo();
  for (const relay of relays) {
    const before = world.hops;
    for (const user of USERS) {
      expect(await world.timed(world.answerTo(relay, user))).toEqual({ answer: 201, tookS: 0 });
    }
    expect(world.hops - before).toBeGreaterThan(0);
    expect(world.hops - before).toBeLessThan(USERS.length);
  }
});

test.each(["trophy", "getfluxly"] as const)(
  "who asks after %s has answered gets the answer all the same, for 30 s",
  async (vendor) => {
    let delayMs = 9_000;
    const world: World = new World({
      vendor,
      hop: async (answer) => {
        await new Promise<void>((resume) => world.clock.after(delayMs, resume));
        return answer();
      },
    });
    const [one] = await world.openTwo();
    const elsewhere = await elsewhereOf(world, one);
    expect(await world.timed(world.answerTo(one, elsewhere))).toEqual({ answer: 201, tookS: 9 });
    delayMs = 31_000;
    expect(await world.timed(world.answerTo(one, elsewhere))).toEqual({ answer: "nobody", tookS: 31 });
  },
);

/** A user whose lane is not at this relay. */
async function elsewhereOf(world: World, relay: ClusterEnvironment): Promise<string> {
  for (const user of USERS) {
    const before = world.hops;
    await world.timed(world.answerTo(relay, user));
    if (world.hops > before) return user;
  }
  throw new Error("all lanes are here");
}

test("a vendor that is silent is waited for until the deadline, here and there", async () => {
  const world = new World();
  const [one] = await world.openTwo();
  world.isSilent = true;
  for (const user of USERS)
    expect(await world.timed(world.answerTo(one, user))).toEqual({ answer: undefined, tookS: 10 });
  expect(world.hops).toBeGreaterThan(0);
});

test("a caller whose lane goes to another relay hears that its event is stored", async () => {
  const world = new World({ partitions: 2 });
  const [one, two] = await world.openTwo();
  world.isSilent = true;
  const answers = USERS.map((user) => world.timed(world.answerTo(one, user)));
  await world.clock.advance(SOON_MS);
  await world.close(two);
  const ended = await Promise.all(answers);
  expect(new Set(ended.map(({ answer }) => answer))).toEqual(new Set(["nobody", undefined]));
  for (const { answer, tookS } of ended) expect(tookS >= 9).toBe(answer === undefined);
});

test("a relay that stops waits for other relays no longer", async () => {
  const world = new World({ hop: () => new Promise(() => undefined) });
  const [one] = await world.openTwo();
  const answers = USERS.map((user) => world.timed(world.answerTo(one, user)));
  await world.clock.advance(SOON_MS);
  await world.close(one);
  expect(new Set((await Promise.all(answers)).map(({ answer }) => answer))).toEqual(new Set(["nobody", 201]));
  expect(world.hops).toBeGreaterThan(0);
});

test("the answer is that of the vendor's first destination, whose lane may be at another relay", async () => {
  const world = new World({ destinations: ["first", "second"] });
  const relays = await world.openTwo();
  for (const relay of relays)
    for (const user of USERS) {
      const answer = await awaited(world, world.answerTo(relay, user));
      expect(JSON.stringify(answer)).toContain("http://first.test/");
    }
  expect(world.urls.some((url) => url.startsWith("http://second.test/"))).toBe(true);
});

async function awaited(world: World, answering: Promise<ExchangeAnswer>): Promise<ExchangeAnswer> {
  await world.timed(answering);
  return answering;
}

test("without a destination of the vendor nobody is waited for", async () => {
  const world = new World();
  const one = await world.openOne();
  const stored = { first: undefined, place: { partition: 0, offset: 0, count: 1 } };
  const exchange = { source: "app", vendor: "getfluxly", stored } as const;
  expect(await one.exchanges.answerTo(exchange, DEADLINE_MS)).toBe("nobody");
});

test("a copy is not sent, and its caller hears that it is stored", async () => {
  const world = new World({ vendor: "getfluxly", partitions: 1 });
  const one = await world.openOne();
  const event = { user_id: "u", previous_id: "p", message_id: "m-1" };
  const alias = (): Promise<ExchangeAnswer> => world.exchange(one, "/v1/identify/alias", event);
  expect(await world.timed(alias())).toMatchObject({ answer: 201 });
  expect(await world.timed(alias())).toMatchObject({ answer: "nobody" });
  expect(world.urls).toHaveLength(1);
});

test("a relay that does not have the lane, or the record, says so", async () => {
  const world = new World({ partitions: 1 });
  const one = await world.openOne();
  const place = { environment: "test", destination: "first", partition: 0, offset: 0 };
  expect(await one.answerHere({ ...place, partition: 7 }, 1)).toBe("nobody");
  expect(await one.answerHere({ ...place, destination: "other" }, 1)).toBe("nobody");
  expect(await world.timed(one.answerHere({ ...place, offset: 99 }, 1_000))).toEqual({ answer: "nobody", tookS: 1 });
});

test("the time that it takes to read the record is a part of the wait, and one caller waits for it", async () => {
  const world = new World({ partitions: 1 });
  const one = await world.openOne();
  world.isSilent = true;
  const place = { environment: "test", destination: "first", partition: 0, offset: 0 };
  const waiting = world.timed(one.answerHere(place, 4_500));
  await world.clock.advance(3_000);
  void world.answerTo(one, "user");
  await world.clock.advance(SOON_MS);
  expect(await world.timed(one.answerHere(place, 4_500))).toEqual({ answer: "nobody", tookS: 0 });
  expect(await waiting).toEqual({ answer: undefined, tookS: 4 });
});
