/** What the relays say of the events of a destination, all partitions together. */
import type { Environment } from "@waybill/relay/headless";
import type { SimOutcome } from "../sim-relay.ts";
import type { Traced } from "../traces.ts";
import type { ClusterRelay } from "./cluster-relay.ts";
import type { Stored, StoredEvents } from "./stored-events.ts";

type Destination = NonNullable<ReturnType<Environment["destination"]>>;

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
  readonly stored: StoredEvents;
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
    const lane = await lookAtLane(world, { index, partition, isEnd });
    if (lane === undefined) continue;
    outcomes.push(...lane.outcomes.filter(({ isCopy }) => !isCopy));
    copies.push(...lane.outcomes.filter((one) => isKept(one, world.stored)));
    for (const [id, reason] of lane.dead) dead.set(id, reason);
    pending += lane.pending;
    counted += lane.counted;
  }
  return {
    copies,
    outcomes: () => Promise.resolve(outcomes),
    listedDead: () => Promise.resolve(dead),
    // Before the end much is settled while they are counted.
    countPending: () => Promise.resolve(isEnd ? counted : pending),
    pending: () => pending,
  };
}

/** Whether it is a copy, and was delivered although the first one is there. */
function isKept({ id, isCopy, outcome }: SimOutcome & Stored, stored: StoredEvents): boolean {
  return isCopy && !["pending", "dropped", "expired"].includes(outcome) && !stored.isGone(id);
}

interface LaneSeen {
  /** Of events that are in the log. */
  readonly outcomes: readonly (SimOutcome & Stored)[];
  readonly dead: ReadonlyMap<string, string>;
  readonly pending: number;
  /** The same, counted one by one: also those that retention has taken meanwhile. */
  readonly counted: number;
}

interface Lane {
  readonly index: number;
  readonly partition: number;
  readonly isEnd: boolean;
}

async function lookAtLane(world: LookedAt, lane: Lane): Promise<LaneSeen | undefined> {
  const { stored, relays } = world;
  const { index, partition, isEnd } = lane;
  const holder = holderOf(relays(), index, partition);
  if (holder === undefined) return undefined;
  const { destination } = holder;
  const settledNow = (): number => destination.account().accepted - destination.account().pending;
  const settled = settledNow();
  const headNow = (): number => holderOf(relays(), index, partition)?.head ?? 0;
  const dead = new Map<string, string>();
  const outcomes: (SimOutcome & Stored)[] = [];
  let position = Math.min(stored.removedTo(partition), destination.neededFrom);
  let counted = 0;
  // Copies may come late: also while the others are looked at.
  while (position < headNow()) {
    for (; position < headNow(); position++) {
      const events = stored.of(partition);
      // While nobody leads the partition it is not known what was committed last.
      if (events.length <= position) return undefined;
      const found = await destination.outcomeOf(position);
      if (found.outcome === "pending") counted += 1;
      const event = events[position] as Stored;
      if (position >= stored.removedTo(partition) && !event.isCall) outcomes.push({ ...event, ...found });
    }
    for await (const { event, reason } of destination.deadLetters.list())
      dead.set((JSON.parse(Buffer.from(event).toString()) as { readonly messageId: string }).messageId, reason);
  }
  if (holderOf(relays(), index, partition)?.destination !== destination) return undefined;
  // Of late copies.
  if (isEnd && settledNow() !== settled) return lookAtLane(world, lane);
  return { outcomes, dead, pending: destination.pending().events, counted };
}
