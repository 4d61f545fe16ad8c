/** What the relays say of the events of a destination, all partitions together. */
import { decodeValue } from "@waybill/log-kafka";
import type { Environment } from "@waybill/relay/headless";
import type { SimCluster } from "@waybill/testing";
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

/** What was said at one time, for the events that are no copies. */
export interface Told extends Traced {
  /** What is wrong with what is said of copies. */
  readonly faults: readonly string[];
}

/** Of the lanes that one relay alone has from the beginning to the end of the questions. */
export async function tell(
  {
    cluster,
    relays,
    partitions,
  }: {
    readonly cluster: SimCluster;
    readonly relays: () => readonly ClusterRelay[];
    readonly partitions: number;
  },
  index: number,
  isEnd: boolean,
): Promise<Told> {
  const outcomes: SimOutcome[] = [];
  const faults: string[] = [];
  const dead = new Map<string, string>();
  let pending = 0;
  let counted = 0;
  for (let partition = 0; partition < partitions; partition++) {
    const holder = holderOf(relays(), index, partition);
    if (holder === undefined) continue;
    const { destination, head } = holder;
    const own: SimOutcome[] = [];
    const ofCopies: string[] = [];
    let open = 0;
    for (const [position, { id, event, isCopy }] of storedIn(cluster, partition).slice(0, head).entries()) {
      const outcome = await destination.outcomeOf(position);
      if (outcome.outcome === "pending") open += 1;
      if (!isCopy) own.push({ id, event, ...outcome });
      else if (outcome.outcome !== "pending" && outcome.outcome !== "dropped")
        ofCopies.push(`${partition}@${position}, a copy of ${id}, is ${outcome.outcome} at emulator ${index}`);
    }
    const reasons = new Map<string, string>();
    for await (const { event, reason } of destination.deadLetters.list())
      reasons.set((JSON.parse(Buffer.from(event).toString()) as { readonly messageId: string }).messageId, reason);
    if (holderOf(relays(), index, partition)?.destination !== destination) continue;
    outcomes.push(...own);
    faults.push(...ofCopies);
    for (const [id, reason] of reasons) dead.set(id, reason);
    pending += destination.pending().events;
    counted += open;
  }
  return {
    faults,
    outcomes: () => Promise.resolve(outcomes),
    listedDead: () => Promise.resolve(dead),
    // Time passes while they are counted.
    countPending: () => Promise.resolve(isEnd ? counted : pending),
    pending: () => pending,
  };
}
