/**
 * What operators ask of any relay: replays of the log, retries of dead letters over all partitions,
 * or to discard them; and what must hold of all that at the end.
 */
import type { ReplayView } from "@waybill/relay";
import type { SeededRandom } from "@waybill/testing";
import {
  type AskedReplay,
  isReplayOver,
  type PartLedger,
  type ReplayPart,
} from "../../packages/relay/src/cluster/asked-replays.ts";
import type { ClusterReplays } from "../../packages/relay/src/cluster/cluster-replays.ts";
import type { DeadLetterChoice } from "../../packages/relay/src/delivery/dead-letter-choice.ts";
import { partName, type Replayed, type Taken } from "../replayed.ts";
import type { ClusterRelay } from "./cluster-relay.ts";
import type { Committed } from "./committed.ts";
import { ENVIRONMENT } from "./names.ts";
import type { Stored, StoredEvents } from "./stored-events.ts";
import { holderOf } from "./view.ts";

/** The vendor that knows requests by their keys: what replays send it is known by them. */
export const REPLAYED_INDEX = 3;
const DESTINATION = `emulator${REPLAYED_INDEX}`;
/** Slow enough that relays come and go meanwhile; of the whole log, so that it comes to an end. */
const RATES = [5, 10, 20, undefined] as const;
const RETRY_RATES = [1, 2, 5, undefined] as const;
/** Longer than any request is on its way. */
const FORGOTTEN_AFTER_MS = 90_000;
const EVENT = "E";
/** Of the dead letters that could be discarded. */
const KEPT_EVERY = 3;

export interface OperatorsOptions {
  readonly random: SeededRandom;
  readonly relays: () => readonly ClusterRelay[];
  readonly partitions: number;
  readonly stored: StoredEvents;
  readonly committed: Committed;
  readonly replayed: Replayed;
  readonly count: (what: string, times?: number) => void;
}

type Choice = Extract<AskedReplay["choice"], { readonly log: unknown }>["log"];

export class Operators {
  readonly #options: OperatorsOptions;
  /** Ids of replays that were asked for, as far as that was answered. */
  readonly #begun: string[] = [];
  readonly #forgotten = new Set<string>();
  /** By the name of a part: what was no longer waiting when it was asked for, by its id. */
  readonly #settled = new Map<string, ReadonlySet<string>>();
  /** By partition: ids of those that were discarded, which was answered. */
  readonly #discarded = new Map<number, Set<string>>();

  constructor(options: OperatorsOptions) {
    this.#options = options;
  }

  /** Of all partitions, or one; of all events, or some. */
  begin(): boolean {
    const { random, partitions, count } = this.#options;
    const replays = this.#replaysAt();
    if (replays === undefined) return false;
    const isWhole = random.chance(0.7);
    const wish = {
      destination: DESTINATION,
      filter: random.pick([{}, {}, { event: EVENT }, { sinceMs: this.#time() }]),
      eventsPerSecond: random.pick(RATES),
      ...(isWhole ? {} : { partitions: [random.below(partitions)] }),
    };
    // It may begin although it fails: what became of it is in the topic.
    replays.begin(wish).then(
      ({ id }) => {
        this.#begun.push(id);
        count(isWhole ? "replayOfAll" : "replayOfAPartition");
      },
      () => undefined,
    );
    return true;
  }

  /** When some event was taken. */
  #time(): number {
    const { random, stored, partitions } = this.#options;
    const events = stored.of(random.below(partitions));
    const { receivedAtMs = 0 } = events.length === 0 ? {} : random.pick(events);
    return receivedAtMs;
  }

  cancel(): boolean {
    const { random, count } = this.#options;
    const replays = this.#replaysAt();
    if (replays === undefined || this.#begun.length === 0) return false;
    replays.cancel(random.pick(this.#begun)).then(
      (isKnown) => isKnown && count("replayEndedByOperator"),
      () => undefined,
    );
    return true;
  }

  /** Those that are over, and old enough that nothing about them is still on its way. */
  forget(nowMs: number): boolean {
    const { count } = this.#options;
    const operated = this.#operated();
    if (operated === undefined) return false;
    const { environment, control } = operated;
    const old = control.replaysOf(ENVIRONMENT).filter(({ createdAtMs }) => nowMs - createdAtMs > FORGOTTEN_AFTER_MS);
    // Some may be over before it is their turn.
    for (const { id } of old) this.#forgotten.add(id);
    environment.clusterReplays.retain(FORGOTTEN_AFTER_MS, nowMs).then(
      () => count("replayForgotten", old.filter(isReplayOver).length),
      () => undefined,
    );
    return true;
  }

  #replaysAt(): ClusterReplays | undefined {
    return this.#operated()?.environment.clusterReplays;
  }

  #operated(): ClusterRelay["operated"] {
    const { random, relays } = this.#options;
    const operated = relays().flatMap(({ isStopped, operated: one }) => (isStopped || one === undefined ? [] : [one]));
    return operated.length === 0 ? undefined : random.pick(operated);
  }

  /**
   * As the admin API does it: each partition is asked of the relay that has it. Those without a
   * rate are asked for twice, as by two people at once.
   */
  retry(): boolean {
    const { random, partitions } = this.#options;
    const eventsPerSecond = random.pick(RETRY_RATES);
    for (let partition = 0; partition < partitions; partition++)
      for (const rate of eventsPerSecond === undefined ? [1, undefined] : [eventsPerSecond])
        void this.#retryOf(partition, rate).catch(() => undefined);
    return true;
  }

  async #retryOf(partition: number, eventsPerSecond: number | undefined): Promise<void> {
    const { count } = this.#options;
    const holder = this.#holder(partition);
    const replays = holder?.relay.operated?.environment.clusterReplays;
    const shard = holder?.relay.shard(partition);
    if (holder === undefined || replays === undefined || shard === undefined) return;
    const { deadLetters } = holder.destination;
    const settled = await idsOf(deadLetters.list({ state: "retried" }));
    for (const id of await idsOf(deadLetters.list({ state: "discarded" }))) settled.add(id);
    const choice: DeadLetterChoice = {};
    const to = deadLetters.log.head;
    const total = await shard.replays.count(DESTINATION, { deadLetters: choice }, to);
    const part = { partition, from: 0, to, total };
    const { id } = await replays.retry({ destination: DESTINATION, choice, eventsPerSecond, part });
    this.#settled.set(partName(id, partition), settled);
    this.#begun.push(id);
    if (total > 0) count("deadLettersToRetry", total);
  }

  discard(): boolean {
    const { partitions } = this.#options;
    for (let partition = 0; partition < partitions; partition++) void this.#discardOf(partition).catch(() => undefined);
    return true;
  }

  async #discardOf(partition: number): Promise<void> {
    const holder = this.#holder(partition);
    if (holder === undefined) return;
    const { deadLetters } = holder.destination;
    const ids: number[] = [];
    const events: string[] = [];
    for await (const { deadLetterId, event } of deadLetters.list({ state: "waiting" })) {
      // Others are left for a retry.
      if (deadLetterId % KEPT_EVERY === 0) continue;
      ids.push(deadLetterId);
      events.push(idOf(event));
    }
    if (ids.length === 0) return;
    await deadLetters.mark(ids, "discarded");
    const known = this.#discarded.get(partition) ?? new Set<string>();
    this.#discarded.set(partition, known);
    for (const id of events) known.add(id);
    this.#options.count("deadLettersMarkedDiscarded", ids.length);
  }

  #holder(partition: number): ReturnType<typeof holderOf> {
    const { relays } = this.#options;
    return holderOf(
      relays().filter(({ isStopped }) => !isStopped),
      REPLAYED_INDEX,
      partition,
    );
  }

  /** As a relay has read it of the topic. */
  get #asked(): readonly AskedReplay[] {
    const [operated] = this.#options.relays().flatMap((relay) => relay.operated ?? []);
    return operated?.control.replaysOf(ENVIRONMENT) ?? [];
  }

  /** Whether each replay has ended in each partition. */
  get isOver(): boolean {
    return this.#asked.every(({ ended, parts }) => ended.size === parts.length);
  }

  /** What does not hold of the replays there were, once all are over. */
  async check(): Promise<readonly string[]> {
    const { relays, count, replayed } = this.#options;
    const running = relays().flatMap((relay) => relay.shards.flatMap(({ replays }) => replays.views()));
    const views = new Map<ClusterRelay, readonly ReplayView[]>();
    for (const relay of relays()) {
      const { environment } = relay.operated ?? {};
      if (environment !== undefined) views.set(relay, await environment.clusterReplays.views(running));
    }
    const [shown = [], ...others] = views.values();
    const faults = others
      .filter((other) => JSON.stringify(other) !== JSON.stringify(shown))
      .map(() => "relays show the replays that are over differently");
    count("replayHandedOver", replayed.handedOver);
    count("replayRequestSentAgain", replayed.again);
    const asked = this.#asked;
    const unknown = this.#begun.filter((id) => !this.#forgotten.has(id) && !asked.some((one) => one.id === id));
    faults.push(...unknown.map((id) => `the replay ${id} was begun, and is not known any more`));
    for (const replay of asked) {
      const view = shown.find(({ id }) => id === replay.id);
      faults.push(...viewFaults(replay, view));
      for (const part of replay.parts) faults.push(...(await this.#partFaults(replay, part)));
    }
    faults.push(...this.#retriedTwice(asked));
    for (const [partition, ids] of this.#discarded) {
      const waiting = await this.#waiting(partition);
      const back = [...ids].filter((id) => waiting.has(id));
      if (back.length > 0) faults.push(`${back.length} dead letters were discarded, and wait: ${back.join()}`);
    }
    return faults;
  }

  async #waiting(partition: number): Promise<ReadonlySet<string>> {
    const { destination } = this.#holder(partition) ?? {};
    return destination === undefined ? new Set() : idsOf(destination.deadLetters.list({ state: "waiting" }));
  }

  async #partFaults(replay: AskedReplay, part: ReplayPart): Promise<readonly string[]> {
    const { committed, replayed } = this.#options;
    const { partition } = part;
    const name = partName(replay.id, partition);
    const ledger = replay.ended.get(partition);
    if (ledger === undefined) return [`the replay ${name} is not over`];
    const taken = replayed.of(name);
    const positions = "log" in replay.choice ? this.#chosen(part, replay.choice.log) : await this.#dead(partition);
    const faults = [
      ...ledgerFaults(ledger, committed.replayOf(REPLAYED_INDEX, partition, replay.id)),
      ...takenFaults(taken, ledger, positions),
    ];
    if ("log" in replay.choice) faults.push(...this.#logFaults(part, { ledger, taken, positions }));
    else faults.push(...(await this.#retryFaults(name, partition, { ledger, taken })));
    return faults.map((fault) => `the replay ${name} ${fault}: ${JSON.stringify(ledger)}`);
  }

  /** The events of the log that were to be chosen, by id: copies are chosen, too, and left out. */
  #chosen({ partition, from, to }: ReplayPart, { event, sinceMs = 0 }: Choice): ReadonlyMap<string, Position> {
    const { stored } = this.#options;
    const positions = new Map<string, Position>();
    // Where retention has taken the first one, a copy is delivered as well.
    const mayComeAgain = stored.removedTo(partition) > 0;
    for (const [at, one] of stored.of(partition).slice(from, to).entries())
      if (one.receivedAtMs >= sinceMs && (event === undefined || one.event["event"] === event)) {
        const { first = from + at, events = [] } = positions.get(one.id) ?? {};
        positions.set(one.id, { first, events: [...events, one], mayComeAgain: mayComeAgain && events.length > 0 });
      }
    return positions;
  }

  async #dead(partition: number): Promise<ReadonlyMap<string, Position>> {
    const positions = new Map<string, Position>();
    const { destination } = this.#holder(partition) ?? {};
    if (destination === undefined) return positions;
    for await (const { event, deadLetterId } of destination.deadLetters.list())
      positions.set(idOf(event), { first: deadLetterId, events: [], mayComeAgain: false });
    return positions;
  }

  #logFaults({ partition, total }: ReplayPart, { ledger, taken, positions }: Ended): readonly string[] {
    const { stored } = this.#options;
    const removedTo = stored.removedTo(partition);
    const chosen = [...positions.values()].flatMap(({ events }) => events);
    if (removedTo > 0) return [];
    const faults: string[] = [];
    if (total !== chosen.length) faults.push(`has chosen ${total} events of ${chosen.length}`);
    const { duplicate = 0 } = ledger.dropped;
    const copies = chosen.filter(({ isCopy }) => isCopy).length;
    if (pendingOf(ledger) === 0 && duplicate !== copies) faults.push(`left out ${duplicate} of ${copies} copies`);
    const dropped = Object.values(ledger.dropped).reduce((sum, count) => sum + count, 0);
    if (pendingOf(ledger) === 0 && ledger.rejected === 0 && taken.events.size !== chosen.length - dropped)
      faults.push(`has sent ${taken.events.size} of ${chosen.length - dropped}`);
    return faults;
  }

  /** What a retry has sent that ran to its end, no other one sends: it is marked by then. */
  #retriedTwice(asked: readonly AskedReplay[]): readonly string[] {
    const { replayed } = this.#options;
    const faults: string[] = [];
    const senders = new Map<string, string>();
    for (const { id, choice, parts, isCancelled } of asked)
      for (const { partition } of "log" in choice || isCancelled ? [] : parts) {
        const name = partName(id, partition);
        const { events, troubled } = replayed.of(name);
        for (const event of events.keys()) {
          if (troubled.has(event)) continue;
          const other = senders.get(event);
          if (other !== undefined) faults.push(`the retries ${other} and ${name} have both sent ${event}`);
          senders.set(event, name);
        }
      }
    return faults;
  }

  async #retryFaults(
    name: string,
    partition: number,
    { ledger, taken }: Pick<Ended, "ledger" | "taken">,
  ): Promise<readonly string[]> {
    const settled = this.#settled.get(name);
    const again = [...taken.events.keys()].filter((id) => settled?.has(id) === true);
    const faults = again.map((id) => `sent ${id} although it had been retried or discarded before`);
    if (ledger.rejected > 0 || pendingOf(ledger) > 0) return faults;
    const waiting = await this.#waiting(partition);
    const left = [...taken.events.keys()].filter((id) => waiting.has(id));
    if (left.length > 0) faults.push(`sent ${left.join()}, which still wait`);
    return faults;
  }
}

interface Position {
  /** Of its first one. */
  readonly first: number;
  /** With its copies. */
  readonly events: readonly Stored[];
  /** Whether a copy may be sent, too. */
  readonly mayComeAgain: boolean;
}

interface Ended {
  readonly ledger: PartLedger;
  readonly taken: Taken;
  readonly positions: ReadonlyMap<string, Position>;
}

function viewFaults(replay: AskedReplay, view: ReplayView | undefined): readonly string[] {
  if (view === undefined) return [`the replay ${replay.id} is not shown`];
  const { state, account } = view;
  const faults: string[] = [];
  const text = `the replay ${replay.id} is ${state}: ${JSON.stringify(account)}`;
  if (state !== "done" && state !== "cancelled") faults.push(`${text}, though it is over`);
  if (state === "cancelled" && !replay.isCancelled) faults.push(`${text}, and nobody has cancelled it`);
  if (!account.balanced) faults.push(`${text}, which does not balance`);
  if (state === "done" && account.pending > 0) faults.push(`${text}, and has pending ones`);
  return faults;
}

/** How a replay ended is what its last owner had committed. */
function ledgerFaults(ledger: PartLedger, progress: PartLedger | undefined): readonly string[] {
  const { delivered = 0, rejected = 0, expired = 0 } = progress ?? {};
  const isSame = ledger.delivered === delivered && ledger.rejected === rejected && ledger.expired === expired;
  const faults = isSame ? [] : [`ended with another ledger than was committed: ${JSON.stringify(progress)}`];
  return pendingOf(ledger) < 0 ? [...faults, "has more outcomes than events"] : faults;
}

/** What is counted as delivered was sent; nothing else was, in order, and under one key each. */
function takenFaults(
  { events, troubled }: Taken,
  ledger: PartLedger,
  positions: ReadonlyMap<string, Position>,
): readonly string[] {
  const faults: string[] = [];
  const { delivered, rejected, expired } = ledger;
  let most = 0;
  for (const [id, keys] of events) most += positions.get(id)?.mayComeAgain === true ? keys.size : 1;
  if (delivered > most || events.size > delivered + rejected + expired + pendingOf(ledger))
    faults.push(`has ${delivered} delivered, the vendor took ${events.size}`);
  let last = -1;
  for (const [id, keys] of events) {
    const position = positions.get(id);
    if (position === undefined) faults.push(`sent ${id}, which was not chosen`);
    if (position === undefined || position.mayComeAgain || troubled.has(id)) continue;
    if (position.first < last) faults.push(`sent ${id} after later ones`);
    if (keys.size > 1) faults.push(`sent ${id} under ${[...keys].join(" and ")}`);
    last = Math.max(last, position.first);
  }
  return faults;
}

function pendingOf({ total, delivered, rejected, expired, dropped }: PartLedger): number {
  return total - Object.values(dropped).reduce((sum, count) => sum + count, delivered + rejected + expired);
}

async function idsOf(deadLetters: AsyncIterable<{ readonly event: Uint8Array }>): Promise<Set<string>> {
  const ids = new Set<string>();
  for await (const { event } of deadLetters) ids.add(idOf(event));
  return ids;
}

function idOf(event: Uint8Array): string {
  return (JSON.parse(Buffer.from(event).toString()) as { readonly messageId: string }).messageId;
}
