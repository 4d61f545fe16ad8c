/** Random sets of settled events, copied to Kafka and back; copies that are cut short. */
import type { Broker } from "@waybill/log-kafka";
import { expect, test } from "vitest";
import { marksOf } from "../../src/copy/disk-mark.ts";
import { andBack, begun, check, drained, toKafka } from "./lib/check-copy.ts";
import { CopyWorld } from "./lib/copy-world.ts";

const SEEDS = Array.from({ length: 60 }, (_, index) => 100 + index);

test.for(SEEDS)("what waits is delivered from Kafka, and nothing else, seed %i", (seed) => toKafka(seed));

test.for(SEEDS)("what waits is delivered from the disk again, and nothing else, seed %i", andBack);

class Cut extends Error {}

/** Nothing works after so many steps. */
class Power {
  steps = 0;
  readonly #last: number;

  constructor(last: number) {
    this.#last = last;
  }

  get isOut(): boolean {
    return this.steps >= this.#last;
  }

  step(): void {
    if (this.isOut) throw new Cut("cut short");
    this.steps += 1;
  }
}

/** The last call is done, and its answer lost. */
function cutting(broker: Broker, power: Power): Broker {
  return new Proxy(broker, {
    get: (target, name) => {
      const call = Reflect.get(target, name) as unknown;
      if (typeof call !== "function") return call;
      // What only reads waits at the end of a partition, and is not a step.
      if (name === "close" || name === "fetch") return call.bind(target) as unknown;
      return async (...args: unknown[]) => {
        power.step();
        const answer: unknown = await Reflect.apply(call, target, args);
        if (power.isOut) throw new Cut("cut short");
        return answer;
      };
    },
  });
}

type Prepare = () => Promise<CopyWorld>;

/** Copies, cut short after so many steps. Returns how many there were. */
async function cutCopy(world: CopyWorld, to: "kafka" | "disk", last: number): Promise<number> {
  const power = new Power(last);
  world.disk.onOperation = () => power.step();
  const copying = world.copy(to, cutting(world.cluster.connect("copy"), power));
  await copying.catch((error: unknown) => expect(power.isOut, String(error)).toBe(true));
  world.disk.onOperation = undefined;
  world.disk.crash();
  return power.steps;
}

/** What a relay could be started on. */
async function usable(world: CopyWorld): Promise<readonly string[]> {
  const side = world.side(world.cluster.connect("look"));
  const isThere = world.disk.paths().some((path) => path.startsWith("/data/test/log/"));
  const marks = await marksOf(world.disk, "/data/test");
  const marked = await side.checkpoints.readMarked(side.all);
  const states = await side.states("one");
  const isMarked = [...marked.values()].some(({ copy }) => copy !== undefined);
  return [...(isThere && marks.length === 0 ? ["disk"] : []), ...(states.size > 0 && !isMarked ? ["kafka"] : [])];
}

const EVERY = 29;
const LAST = 16;
const TIMEOUT_MS = 300_000;

async function cutEverywhere(to: "kafka" | "disk", prepare: Prepare): Promise<void> {
  const steps = await cutCopy(await prepare(), to, Number.POSITIVE_INFINITY);
  for (let last = 0; last < steps; last += last < steps - LAST - EVERY ? EVERY : 1) {
    const world = await prepare();
    await cutCopy(world, to, last);
    expect((await usable(world)).length).toBeLessThanOrEqual(1);
    const broker = world.cluster.connect("again");
    await world.copy(to, broker);
    expect(await usable(world)).toEqual([to]);
    const each = to === "kafka" ? world.workOnKafka.bind(world, broker) : world.workOnDisk.bind(world);
    check(world, await drained(world, each));
  }
}

test("a copy to Kafka that is cut short at any step is begun anew", { timeout: TIMEOUT_MS }, () =>
  cutEverywhere("kafka", async () => {
    const world = new CopyWorld(7);
    await begun(world);
    return world;
  }),
);

test("a copy to the disk that is cut short at any step is begun anew", { timeout: TIMEOUT_MS }, () =>
  cutEverywhere("disk", async () => {
    const world = new CopyWorld(8);
    await begun(world);
    await world.copy("kafka", world.cluster.connect("first"));
    world.newDisk();
    return world;
  }),
);
