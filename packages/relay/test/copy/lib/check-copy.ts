/** What must be true of a copy, whichever log it is in. */
import { expect } from "vitest";
import { CopyWorld, DESTINATIONS, type OpenLane } from "./copy-world.ts";

export interface Drained {
  readonly ids: Map<string, string[]>;
  readonly deadLetters: Map<string, number>;
  readonly accepted: Map<string, number>;
}

/** Delivers what waits in all lanes, and checks what their ledgers say. */
export async function drained(
  world: CopyWorld,
  each: (work: (lane: OpenLane) => Promise<void>) => Promise<void>,
): Promise<Drained> {
  const found: Drained = { ids: new Map(), deadLetters: new Map(), accepted: new Map() };
  const sums = new Map<string, { delivered: number; rejected: number; filtered: number }>();
  await each(async (lane) => {
    const { name, store, deadLetters } = lane;
    expect(store.account().balanced).toBe(true);
    const before = store.account();
    const ids = await world.drain(lane);
    expect(before.pending).toBe(ids.length);
    const after = store.account();
    expect(after.balanced).toBe(true);
    expect(store.unknownFates).toBe(0);
    found.ids.set(name, [...(found.ids.get(name) ?? []), ...ids]);
    found.deadLetters.set(name, (found.deadLetters.get(name) ?? 0) + deadLetters.counts().waiting);
    found.accepted.set(name, (found.accepted.get(name) ?? 0) + after.accepted);
    const sum = sums.get(name) ?? { delivered: 0, rejected: 0, filtered: 0 };
    sum.delivered += before.delivered;
    sum.rejected += before.rejected;
    sum.filtered += before.dropped["filtered"] ?? 0;
    sums.set(name, sum);
  });
  for (const name of DESTINATIONS) {
    const known = [...(world.outcomes.get(name)?.values() ?? [])];
    const count = (wanted: string): number => known.filter((one) => one === wanted).length;
    expect(sums.get(name)).toEqual({
      delivered: count("delivered"),
      rejected: count("rejected"),
      filtered: count("filtered"),
    });
  }
  return found;
}

export function check(world: CopyWorld, { ids, deadLetters }: Drained): void {
  for (const name of DESTINATIONS) {
    const got = ids.get(name) ?? [];
    expect([...got].toSorted()).toEqual(world.waiting(name));
    const place = new Map(got.map((id, index) => [id, index]));
    for (const own of world.accepted.values()) {
      const places = own.flatMap((id) => place.get(id) ?? []);
      expect(places).toEqual(places.toSorted((one, other) => one - other));
    }
    const rejected = [...(world.outcomes.get(name)?.values() ?? [])].filter((one) => one === "rejected");
    expect(deadLetters.get(name)).toBe(rejected.length);
  }
}

/** A log on a disk with lanes that have settled some of it. */
export async function begun(world: CopyWorld): Promise<void> {
  await world.accept(10, ["one", "two"]);
  await world.workOnDisk((lane) => (lane.name === "three" ? Promise.resolve() : world.workAtRandom(lane)));
  await world.accept(20, ["three"]);
  await world.workOnDisk((lane) => world.workAtRandom(lane));
}

/** Exactly what was not settled is delivered from the copy. */
export async function toKafka(seed: number, textLength?: number): Promise<void> {
  const world = new CopyWorld(seed, textLength);
  await begun(world);
  const broker = world.cluster.connect("copy");
  const copied = await world.copy("kafka", broker);
  for (const { destination, pending } of copied.destinations) expect(pending).toBe(world.waiting(destination).length);
  check(world, await drained(world, (work) => world.workOnKafka(broker, work)));
}

export async function andBack(seed: number): Promise<void> {
  const world = new CopyWorld(seed);
  await begun(world);
  const broker = world.cluster.connect("copy");
  await world.copy("kafka", broker);
  await world.workOnKafka(broker, (lane) => world.workAtRandom(lane, 3));
  world.newDisk();
  const copied = await world.copy("disk", broker);
  for (const { destination, pending } of copied.destinations) expect(pending).toBe(world.waiting(destination).length);
  check(world, await drained(world, (work) => world.workOnDisk(work)));
}
