/** What the relays say of the events of a destination, all partitions together. */
import { decodeValue } from "@waybill/log-kafka";
import type { Environment } from "@waybill/relay/headless";
import type { SimCluster } from "@waybill/testing/kafka";
import { eventsOf, type SimOutcome } from "../sim-relay.ts";
import type { Traced } from "../traces.ts";
import type { ClusterRelay } from "./cluster-relay.ts";
import { EVENTS_TOPIC } from "./names.ts";

type Destination = NonNullable<ReturnType<Environment["destination"]>>;

export interface Stored {
  readonly id: string;
  readonly event: Readonly<Record<string, unknown>>;
  /** Whether an event with its id is before it in its partition. */
  readonly isCopy: boolean;
}

interface Known {
  readonly values: number;
  readonly stored: readonly Stored[];
}

const known = new WeakMap<SimCluster, Map<number, Known>>();

/** The events of a partition, at their positions. What is committed stays as it is. */
export function storedIn(cluster: SimCluster, partition: number): readonly Stored[] {
  const ofCluster = known.get(cluster) ?? new Map<number, Known>();
  known.set(cluster, ofCluster);
  const values = cluster.records({ topic: EVENTS_TOPIC, partition }).map(({ value }) => value);
  const before = ofCluster.get(partition);
  if (before?.values === values.length) return before.stored;
  const stored = decoded(values);
  ofCluster.set(partition, { values: values.length, stored });
  return stored;
}

function decoded(values: readonly Uint8Array[]): readonly Stored[] {
  const seen = new Set<string>();
  return values.flatMap((value) => {
    const record = decodeValue(value);
    if (record === undefined) throw new Error("a record that no relay has written");
    return eventsOf(record).map((event) => {
      const id = event.messageId;
      const isCopy = seen.has(id);
      seen.add(id);
      return { id, event: event as unknown as Stored["event"], isCopy };
    });
  });
}

/** The relay that has a lane, when one alone says so. */
export function holderOf(
  relays: readonly ClusterRelay[],
  index: number,
  partition: number,
): { readonly relay: ClusterRelay; readonly destination: Destination; readonly head: number } | undefined {
  const holders = relays.flatMap((relay) => {
    const shard = relay.shard(partition);
    const destination = shard?.destination(`emulator${index}`);
    return shard === undefined || destination === undefined ? [] : [{ relay, destination, head: shard.log.head }];
  });
  return holders.length === 1 ? holders[0] : undefined;
}

/** Of the events that are not copies, as of one time. */
export interface Seen extends Traced {
  /** Copies that are neither pending nor dropped. */
  readonly copies: readonly Pick<SimOutcome, "id" | "outcome">[];
}

export interface LookedAt {
  readonly cluster: SimCluster;
  readonly relays: () => readonly ClusterRelay[];
  readonly partitions: number;
}

/** Of the lanes that one relay alone has from the beginning to the end of the look. */
export async function lookAt(world: LookedAt, index: number, isEnd: boolean): Promise<Seen> {
  const outcomes: SimOutcome[] = [];
  const copies: Seen["copies"][number][] = [];
  const dead = new Map<string, string>();
  let pending = 0;
  let counted = 0;
  for (let partition = 0; partition < world.partitions; partition++) {
    const lane = await lookAtLane(world, index, partition);
    if (lane === undefined) continue;
    outcomes.push(...lane.outcomes.filter(({ isCopy }) => !isCopy));
    copies.push(
      ...lane.outcomes.filter(({ isCopy, outcome }) => isCopy && outcome !== "pending" && outcome !== "dropped"),
    );
    for (const [id, reason] of lane.dead) dead.set(id, reason);
    pending += lane.pending;
    counted += lane.outcomes.filter(({ outcome }) => outcome === "pending").length;
  }
  return {
    copies,
    outcomes: () => Promise.resolve(outcomes),
    listedDead: () => Promise.resolve(dead),
    // Time passes while they are counted.
    countPending: () => Promise.resolve(isEnd ? counted : pending),
    pending: () => pending,
  };
}

interface LaneSeen {
  readonly outcomes: readonly (SimOutcome & Stored)[];
  readonly dead: ReadonlyMap<string, string>;
  readonly pending: number;
}

async function lookAtLane(
  { cluster, relays }: LookedAt,
  index: number,
  partition: number,
): Promise<LaneSeen | undefined> {
  const holder = holderOf(relays(), index, partition);
  if (holder === undefined) return undefined;
  const { destination, head } = holder;
  const outcomes: (SimOutcome & Stored)[] = [];
  for (const [position, stored] of storedIn(cluster, partition).slice(0, head).entries())
    outcomes.push({ ...stored, ...(await destination.outcomeOf(position)) });
  const dead = new Map<string, string>();
  for await (const { event, reason } of destination.deadLetters.list())
    dead.set((JSON.parse(Buffer.from(event).toString()) as { readonly messageId: string }).messageId, reason);
  if (holderOf(relays(), index, partition)?.destination !== destination) return undefined;
  return { outcomes, dead, pending: destination.pending().events };
}
