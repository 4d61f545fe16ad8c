/** A relay whose lanes do nothing but plan, send and settle numbers; and what must hold of them. */
import type { Clock, Random } from "@waybill/core";
import type { DurableState } from "@waybill/log";
import { type Broker, LaneStates, Member, type MemberHost, type Tenure, type TopicPartition } from "@waybill/log-kafka";
import { RelayClock } from "./relay-clock.ts";
import { UncertainBroker } from "./uncertain-broker.ts";

export const TOPIC = "events";
export const GROUP = "a";
export const SESSION_MS = 10_000;

export interface ToyState {
  readonly position: number;
  readonly planned: number;
  /** Differs in each write. */
  readonly write: number;
}

/** Sees what every relay does, and what the cluster accepts. */
export class Watcher {
  readonly violations: string[] = [];
  readonly sends: { readonly partition: number; readonly from: number; readonly by: string }[] = [];
  /** By partition: what was written, and the newest that was acknowledged. */
  readonly #writes = new Map<number, { readonly written: ToyState[]; acknowledged: number }>();
  /** By partition: whose commits were accepted, and what each had read. */
  readonly #owners = new Map<number, { readonly by: string; readonly read: ToyState }[]>();
  readonly #reads = new Map<string, ToyState>();
  #count = 0;

  #of(partition: number): { readonly written: ToyState[]; acknowledged: number } {
    const known = this.#writes.get(partition) ?? { written: [], acknowledged: -1 };
    this.#writes.set(partition, known);
    return known;
  }

  begun(partition: number, state: Omit<ToyState, "write">): ToyState {
    const numbered = { ...state, write: this.#count++ };
    this.#of(partition).written.push(numbered);
    return numbered;
  }

  acknowledged(partition: number, state: ToyState): void {
    const of = this.#of(partition);
    of.acknowledged = Math.max(of.acknowledged, of.written.indexOf(state));
  }

  /** What a new owner reads is the last acknowledged state, or one that was sent later. */
  opened(partition: number, by: string, state: ToyState): void {
    const { written, acknowledged } = this.#of(partition);
    const index = written.findIndex(({ write }) => write === state.write);
    if (index < acknowledged)
      this.violations.push(`${by} reads ${partition}@${index}, ${acknowledged} was acknowledged`);
    this.#reads.set(`${by} ${partition}`, state);
  }

  /** Nobody's commit is accepted after a later owner's. */
  accepted(partition: number, by: string): void {
    const owners = this.#owners.get(partition) ?? [];
    this.#owners.set(partition, owners);
    if (owners.at(-1)?.by === by) return;
    if (owners.some((owner) => owner.by === by)) this.violations.push(`${by} commits ${partition} after another owner`);
    const read = this.#reads.get(`${by} ${partition}`) ?? { position: 0, planned: 0, write: -1 };
    owners.push({ by, read });
  }

  /** After another one has taken over only what was on its way then. */
  sent(partition: number, by: string, { position, planned }: ToyState): void {
    this.sends.push({ partition, from: position, by });
    const owner = this.#owners.get(partition)?.at(-1);
    if (owner === undefined || owner.by === by) return;
    if (owner.read.position !== position || owner.read.planned !== planned)
      this.violations.push(`${by} sends ${partition}@${position}+${planned} though ${owner.by} owns it`);
  }

  ownersOf(partition: number): readonly string[] {
    return (this.#owners.get(partition) ?? []).map(({ by }) => by);
  }
}

export interface ToyRelayOptions {
  readonly name: string;
  readonly broker: Broker;
  readonly world: Clock;
  readonly random: Random;
  readonly watcher: Watcher;
  /** How long a request takes at most, ms. */
  readonly sendMs?: number;
}

interface Lane {
  readonly partition: number;
  isStopping: boolean;
  ended: Promise<void>;
}

const BATCH = 3;

export class ToyRelay implements MemberHost {
  readonly clock: RelayClock;
  readonly broker: UncertainBroker;
  readonly member: Member;
  readonly states: LaneStates;
  readonly lanes = new Map<number, Lane>();
  readonly lostReasons: string[] = [];
  readonly errors: unknown[] = [];
  readonly tenures: { readonly partitions: readonly number[]; readonly tenure: Tenure }[] = [];
  /** Lanes wait for it before they end, as for a request. */
  ending: Promise<void> = Promise.resolve();
  readonly #options: ToyRelayOptions;

  constructor(options: ToyRelayOptions) {
    this.#options = options;
    const { world, random, watcher } = options;
    this.clock = new RelayClock(world);
    this.broker = new UncertainBroker({
      broker: options.broker,
      world,
      clock: this.clock,
      random,
      onCommitted: ({ offsets, memberId, memberEpoch }) => {
        for (const { partition } of offsets) watcher.accepted(partition, `${memberId}/${memberEpoch}`);
      },
    });
    this.member = new Member({
      broker: this.broker,
      group: GROUP,
      topics: [TOPIC],
      host: this,
      clock: this.clock,
      random,
      sessionMs: SESSION_MS,
    });
    this.states = new LaneStates({
      broker: this.broker,
      group: GROUP,
      clock: this.clock,
      deadlineMs: 2_000,
      onLost: (_partition, tenure, error) => this.member.renew(tenure, error.message),
    });
  }

  assigned(partitions: readonly TopicPartition[], tenure: Tenure): void {
    this.tenures.push({ partitions: partitions.map(({ partition }) => partition), tenure });
    for (const one of partitions) {
      const before = this.lanes.get(one.partition)?.ended;
      const lane: Lane = { partition: one.partition, isStopping: false, ended: Promise.resolve() };
      this.lanes.set(one.partition, lane);
      lane.ended = this.#run(lane, one, { tenure, before }).catch((error: unknown) => void this.errors.push(error));
    }
  }

  async revoke(partitions: readonly TopicPartition[]): Promise<void> {
    await Promise.all(partitions.map(({ partition }) => this.#end(partition)));
  }

  async lost(partitions: readonly TopicPartition[], reason: string): Promise<void> {
    this.lostReasons.push(reason);
    await this.revoke(partitions);
  }

  /** As by SIGKILL. */
  kill(): void {
    this.clock.kill();
    this.broker.isCutOff = true;
  }

  async #end(partition: number): Promise<void> {
    const lane = this.lanes.get(partition);
    if (lane === undefined) return;
    lane.isStopping = true;
    await lane.ended;
    if (this.lanes.get(partition) === lane) this.lanes.delete(partition);
  }

  async #run(
    lane: Lane,
    partition: TopicPartition,
    { tenure, before }: { readonly tenure: Tenure; readonly before: Promise<void> | undefined },
  ): Promise<void> {
    const { watcher, random, sendMs = 1_000 } = this.#options;
    await before;
    const by = `${tenure.memberId}/${tenure.memberEpoch}`;
    const state = await this.states.open<ToyState>({
      partition,
      tenure,
      parse: (value) => value as ToyState,
      first: () => watcher.begun(lane.partition, { position: 0, planned: 0 }),
      offsetOf: ({ position }) => position,
    });
    watcher.opened(lane.partition, by, state.initial);
    let { position, planned } = state.initial;
    while (!lane.isStopping && state.isOurs?.() === true) {
      planned ||= BATCH;
      const plan = await this.#write(lane, state, { position, planned });
      if (state.isOurs() === false) break;
      watcher.sent(lane.partition, by, plan);
      await this.clock.wait(random.next() * sendMs);
      await this.ending;
      position += planned;
      planned = 0;
      await this.#write(lane, state, { position, planned });
    }
    await state.close();
  }

  async #write(lane: Lane, state: DurableState<ToyState>, value: Omit<ToyState, "write">): Promise<ToyState> {
    const { watcher } = this.#options;
    const written = watcher.begun(lane.partition, value);
    await state.write(written);
    watcher.acknowledged(lane.partition, written);
    return written;
  }
}
