/** Blocks of outcomes that come late: of a relay whose lane others have had since. */
import type { HttpRequest, HttpResponse, Outcome } from "@waybill/core";
import { Fates, type FateTail, NO_FATES } from "@waybill/log";
import { type Broker, BrokerError, companionTopic, type ProduceRequest } from "@waybill/log-kafka";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import type { ClusterEnvironment } from "../../src/cluster/cluster-environment.ts";
import { companionRuntime } from "../../src/cluster/companions.ts";
import { configOf, openOn } from "./lib/environment.ts";
import { bound, TOPIC } from "./lib/one-partition.ts";
import { storedEvent } from "./lib/stored-event.ts";

const NAMES = { environment: "production", destination: "segment" };
const REFUSED: Outcome = { status: "rejected", reason: "never" };
const SET_ASIDE = 5;
const AHEAD = 20;
/** Known to the first relay's state, and to what the second one writes. */
const KNOWN = 10;
const KNOWN_NEXT = 30;

class CompanionWorld {
  readonly clock = new VirtualClock();
  readonly cluster = new SimCluster({ clock: this.clock, latencyMs: 0, replicationMs: 0 });
  readonly topic = companionTopic("waybill", NAMES, "fates");
  /** Calls of the first relay that nobody answers. */
  readonly late: ProduceRequest[] = [];
  isCut = false;

  async run<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = (): void => void (isDone = true);
    work.then(done, done);
    await this.clock.until(() => isDone);
    return work;
  }

  async create(): Promise<void> {
    const settings = { partitions: 1, replicationFactor: 3, configs: {}, deadlineMs: 1_000 };
    await this.cluster.connect("admin").create({ topic: this.topic, ...settings });
  }

  open(name: string, tail: FateTail): Promise<Fates> {
    const broker = bound(this.cluster.connect(name));
    const produce: Broker["produce"] = (asked) => {
      if (name !== "one" || !this.isCut) return broker.produce(asked);
      this.late.push(asked);
      return Promise.reject(new BrokerError("timeout", "no answer in time"));
    };
    const runtime = companionRuntime(
      { broker: { ...broker, produce }, clock: this.clock, prefix: "waybill", ...NAMES },
      0,
      "/data",
      { known: { fates: tail.blocksTo ?? 0 } },
    );
    return this.run(Fates.open({ directory: "/data/fates/segment", runtime, tail }));
  }

  async arrives(): Promise<void> {
    const [asked] = this.late;
    if (asked === undefined) throw new Error("nothing is late");
    await this.run(this.cluster.connect("late").produce({ ...asked, deadlineMs: 1_000 }));
    await this.clock.advance(2_000);
  }
}

/** Once, or as often as something that came first was to be read. */
async function written(world: CompanionWorld, fates: Fates): Promise<FateTail> {
  while (fates.isLong)
    await world
      .run(fates.flush())
      .catch((error: { readonly reason?: string }) => expect(error.reason).toBe("overtaken"));
  return fates.tail;
}

test.each(["ahead", "set aside"])(
  "what came late of an event %s is not believed, whatever its successor wrote before and after",
  async (kind) => {
    for (const arrives of ["first", "unread", "after"] as const)
      for (const writes of [false, true]) {
        const when = `${arrives}, ${writes}`;
        const world = new CompanionWorld();
        await world.create();
        const one = await world.open("one", { from: 0, runs: [], before: NO_FATES });
        one.passTo(SET_ASIDE + 1, (position) => position === SET_ASIDE, true);
        one.settleAt(KNOWN, REFUSED);
        const before = await written(world, one);
        world.isCut = true;
        one.settleAt(kind === "ahead" ? AHEAD : SET_ASIDE, REFUSED);
        void one.flush().catch(() => undefined);
        await world.clock.advance(100);
        const two = await world.open("two", before);
        if (arrives === "first") await world.arrives();
        if (writes) two.settleAt(KNOWN_NEXT, REFUSED);
        if (arrives === "unread") {
          const writing = written(world, two);
          await world.run(
            world.cluster.connect("late").produce({ ...(world.late[0] as ProduceRequest), deadlineMs: 1 }),
          );
          await writing;
        }
        const after = await written(world, two);
        if (arrives === "after") await world.arrives();
        const three = await world.open("three", after);
        for (const fates of [three, await world.open("four", await written(world, three))]) {
          const settled = [KNOWN, AHEAD, KNOWN_NEXT].map((position) => fates.wasSettled(position));
          expect(settled, when).toEqual([true, false, writes]);
          expect(await world.run(fates.at(SET_ASIDE)), when).toEqual({ status: "unknown" });
        }
      }
  },
);

/** One partition; the vendor answers the newest relay alone. */
class LaneWorld {
  readonly clock = new VirtualClock();
  readonly cluster = new SimCluster({ clock: this.clock, random: new SeededRandom(1), heartbeatIntervalMs: 200 });
  readonly requests: { readonly relay: string; readonly ids: readonly string[] }[] = [];
  readonly late: ProduceRequest[] = [];
  isCut = false;
  hangs: (id: string) => boolean = () => false;
  refused: readonly string[] = [];
  #newest = "";

  async open(name: string): Promise<ClusterEnvironment> {
    this.#newest = name;
    const broker = bound(this.cluster.connect(name));
    const produce: Broker["produce"] = (asked) => {
      if (name !== "one" || !this.isCut || asked.topic !== `${TOPIC}.segment.fates`) return broker.produce(asked);
      this.late.push(asked);
      const unanswered = new BrokerError("timeout", "no answer in time");
      return new Promise((_, reject) => this.clock.after(asked.deadlineMs, () => reject(unanswered)));
    };
    const environment = await openOn({
      clock: this.clock,
      broker: { ...broker, produce },
      partitions: 1,
      transport: (request, signal) => this.#take(name, request, signal),
      config: configOf("old", { batch: { maxEvents: 4, linger: 1 }, maxInFlight: 16 }),
    });
    environment.start();
    await this.clock.until(() => accountOf(environment) !== undefined);
    return environment;
  }

  async #take(relay: string, { body }: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const text = Buffer.concat(body.map((part) => Buffer.from(part as string))).toString();
    const { batch } = JSON.parse(text) as { readonly batch: readonly { readonly messageId: string }[] };
    const ids = batch.map(({ messageId }) => messageId);
    if (relay === this.#newest) this.requests.push({ relay, ids });
    while (relay === this.#newest && ids.some(this.hangs) && !signal.aborted) await this.#pass(20);
    const isRefused = ids.some((id) => this.refused.includes(id));
    await this.#pass(40);
    if (relay !== this.#newest || signal.aborted) throw new Error("aborted");
    return { status: isRefused ? 400 : 200, headers: {}, body: "{}" };
  }

  #pass(ms: number): Promise<void> {
    return new Promise((resume) => this.clock.after(ms, resume));
  }

  async produce(topic: string, values: readonly Uint8Array[]): Promise<void> {
    let isDone = false;
    const asked = { topic, partition: 0, values, deadlineMs: 5_000 };
    void this.cluster
      .connect("writer")
      .produce(asked)
      .then(() => (isDone = true));
    await this.clock.until(() => isDone);
  }
}

function accountOf({ shards }: ClusterEnvironment): Readonly<Record<"rejected", number>> | undefined {
  return shards[0]?.destination("segment")?.account();
}

test("an event whose outcome came late is sent again, with those it was sent with, and is counted", async () => {
  const world = new LaneWorld();
  const { clock, cluster } = world;
  const isOf = (user: number, from: number) => (id: string) =>
    Number(id.slice(2)) % 40 === user && Number(id.slice(2)) >= from;
  const bothUsers = (id: string): boolean => isOf(0, 120)(id) || isOf(11, 280)(id);
  const one = await world.open("one");
  world.refused = ["m-170", "m-291", "m-299"];
  world.hangs = bothUsers;
  const values = Array.from({ length: 300 }, (_, number) => storedEvent(`m-${number}`, `u${number % 40}`));
  await world.produce(TOPIC, values);
  await clock.until(() => accountOf(one)?.rejected === 2);
  await clock.advance(200);
  // m-291 is refused as well, and the block that has it is on its way when the relay is cut off.
  world.isCut = true;
  world.hangs = isOf(0, 120);
  await clock.until(() => world.late.length > 0);
  cluster.isolate("one");
  world.hangs = bothUsers;
  const two = await world.open("two");
  await world.produce(`${TOPIC}.segment.fates`, world.late[0]?.values ?? []);
  await clock.advance(2_000);
  // It commits what was answered. m-291 was not.
  world.hangs = isOf(11, 280);
  await clock.advance(1_000);
  expect(accountOf(two)).toMatchObject({ delivered: 291, rejected: 2 });
  cluster.isolate("two");
  world.refused = ["m-170", "m-299"];
  world.hangs = () => false;
  const three = await world.open("three");
  await clock.advance(60_000);
  expect(accountOf(three)).toMatchObject({ accepted: 300, delivered: 298, rejected: 2, expired: 0, pending: 0 });
  const sent = (relay: string): readonly string[] | undefined =>
    world.requests.find((request) => request.relay === relay && request.ids.includes("m-291"))?.ids;
  expect(sent("two")).toHaveLength(4);
  expect(sent("three")).toEqual(sent("two"));
});
