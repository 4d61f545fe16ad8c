/** Relays before a simulated cluster, and callers that wait for what their vendor answers. */
import type { HttpRequest, HttpResponse, Transport } from "@waybill/core";
import { resolveEnvironment } from "@waybill/relay/headless";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { adapterOf, type Vendor } from "@waybill/vendors/registry";
import { onTestFinished } from "vitest";
import type { ClusterEnvironment } from "../../../src/cluster/cluster-environment.ts";
import type { AnswerFromOwner } from "../../../src/cluster/cluster-exchanges.ts";
import type { ExchangeAnswer } from "../../../src/delivery/exchanges.ts";
import type { Stored } from "../../../src/intake/source-environment.ts";
import { openOn } from "./environment.ts";

export const DEADLINE_MS = 10_000;
const PARTITIONS = 4;
/** Enough for what relays do at once. */
const SETTLE_TURNS = 80;

export interface ExchangeOptions {
  readonly partitions?: number;
  readonly destinations?: readonly string[];
  readonly vendor?: Vendor;
  /** The way from one relay to the other. Default: at once. */
  readonly hop?: (answer: () => Promise<ExchangeAnswer>) => Promise<ExchangeAnswer>;
  /** Default: 201. `undefined`: none. */
  readonly status?: () => number | undefined;
  readonly seed?: number;
}

/** What the vendor has answered to an event. */
export interface Acted {
  readonly status: number;
  /** As it came. */
  readonly event: string;
}

export class ExchangeWorld {
  readonly clock = new VirtualClock(undefined, SETTLE_TURNS);
  readonly cluster: SimCluster;
  readonly relays: ClusterEnvironment[] = [];
  /** Urls of the requests that the vendor got. */
  readonly urls: string[] = [];
  /** Of requests to other relays. */
  hops = 0;
  isSilent = false;
  readonly acted: Acted[] = [];
  #ids = 0;
  readonly #options: ExchangeOptions;

  constructor(options: ExchangeOptions = {}) {
    this.#options = options;
    const { seed = 1 } = options;
    this.cluster = new SimCluster({ clock: this.clock, random: new SeededRandom(seed), heartbeatIntervalMs: 200 });
  }

  readonly #transport: Transport = async (request: HttpRequest) => {
    this.urls.push(request.url);
    const { status: statusOf = () => 201 } = this.#options;
    const status = this.isSilent ? undefined : statusOf();
    if (status === undefined) return new Promise<HttpResponse>(() => undefined);
    const event = Buffer.concat(request.body.map((part) => Buffer.from(part as string))).toString();
    this.acted.push({ status, event });
    const body = JSON.stringify({ url: request.url, alias: {}, event });
    return { status, headers: { "content-type": "application/json" }, body };
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
    const relay = await this.open("one");
    await this.#shared();
    return relay;
  }

  /** Each has lanes. */
  async openTwo(): Promise<readonly [ClusterEnvironment, ClusterEnvironment]> {
    const relays = [await this.open("one"), await this.open("two")] as const;
    await this.#shared();
    return relays;
  }

  async open(name: string): Promise<ClusterEnvironment> {
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
    onTestFinished(async () => {
      if (this.relays.includes(relay)) await this.close(relay);
    });
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
    this.relays.splice(this.relays.indexOf(relay), 1);
    let isClosed = false;
    void relay.close(1_000).then(() => (isClosed = true));
    await this.clock.until(() => isClosed);
  }

  /** Stores an event as a request for it does. */
  async store(relay: ClusterEnvironment, path: string, event: object): Promise<Stored> {
    const { vendor = "trophy" } = this.#options;
    const body = Buffer.from(JSON.stringify(event));
    const request = { method: "POST", path, query: "", headers: {} };
    const options = { strict: false, isKey: () => true, makeId: () => `id-${this.#ids++}`, now: () => 0 };
    const taken = adapterOf(vendor).inbound.match(path)?.take(body, request, options);
    if (taken === undefined || !("parts" in taken)) throw new Error(`not taken: ${JSON.stringify(taken)}`);
    const [part] = taken.parts;
    if (part === undefined) throw new Error("nothing to store");
    const { metadata, events } = part;
    const source = { config: { name: "app" }, counters: { accepted: 0 } };
    const entry = (): typeof events & { metadata: string } => ({ ...events, metadata });
    const [stored] = await relay.cluster.ingest([{ source, receivedAtMs: 0, count: 1, entry }]);
    if (stored === undefined) throw new Error("not stored");
    return stored;
  }

  async exchange(relay: ClusterEnvironment, path: string, event: object): Promise<ExchangeAnswer> {
    return this.answerOf(relay, await this.store(relay, path, event));
  }

  answerOf({ exchanges }: ClusterEnvironment, stored: Stored): Promise<ExchangeAnswer> {
    const { vendor = "trophy" } = this.#options;
    return exchanges.answerTo({ source: "app", vendor, stored }, DEADLINE_MS);
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
