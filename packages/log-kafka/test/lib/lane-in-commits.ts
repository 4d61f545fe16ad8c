/** The logs of a lane as partitions of a simulated cluster, its state in the commits of a group. */
import {
  type DurableState,
  type LaneStateValue,
  type Log,
  type LogOptions,
  newLaneState,
  parseLaneState,
} from "@waybill/log";
import { type Broker, encodeValue, LaneStates, PartitionLog, type Tenure } from "@waybill/log-kafka";
import { settle, type VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { READ_MS } from "./lane-partitions.ts";
import { entryOf } from "./world.ts";

const DEADLINE_MS = 1_000;
/** Who is a member stays one without heartbeats. */
const FOREVER_MS = 1e12;
const GROUP = "a";
const PARTITION = { topic: "events", partition: 0 };

export interface OpenedLogs {
  readonly log: PartitionLog;
  readonly openLog: (options: LogOptions) => Promise<Log>;
  readonly openState: () => Promise<DurableState<LaneStateValue>>;
}

export class LaneInCommits {
  readonly #broker: Broker;
  readonly #clock: VirtualClock;
  readonly #created = new Set<string>();
  readonly #logs: PartitionLog[] = [];
  #members: string[] = [];
  /** There were. */
  commits = 0;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
    const settings = { clock, latencyMs: 0, replicationMs: 0, sessionTimeoutMs: FOREVER_MS };
    this.#broker = new SimCluster(settings).connect("relay");
  }

  /** As a relay does to which the partition came; it is taken from the one before. */
  async open(): Promise<OpenedLogs> {
    const log = await this.#open(PARTITION.topic, "counted");
    const tenure = await this.#join();
    const broker = this.#broker;
    const states = new LaneStates({
      broker: {
        commit: (request) => {
          this.commits += 1;
          return broker.commit(request);
        },
        committed: (asked) => broker.committed(asked),
      },
      group: GROUP,
      clock: this.#clock,
      onLost: () => undefined,
    });
    return {
      log,
      openLog: ({ directory }) => this.#open(directory.replaceAll("/", "_"), "written"),
      openState: () =>
        states.open({
          partition: PARTITION,
          tenure,
          parse: parseLaneState,
          first: () => newLaneState(log, false),
          offsetOf: ({ position }) => log.placeBefore(position).offset,
        }),
    };
  }

  async #open(topic: string, positions: "counted" | "written"): Promise<PartitionLog> {
    const broker = this.#broker;
    if (!this.#created.has(topic))
      await broker.create({ topic, partitions: 1, replicationFactor: 3, configs: {}, deadlineMs: DEADLINE_MS });
    this.#created.add(topic);
    const log = await PartitionLog.open({ broker, topic, partition: 0, clock: this.#clock, positions, from: "first" });
    this.#logs.push(log);
    return log;
  }

  /** Under another id; the one before leaves. */
  async #join(): Promise<Tenure> {
    const asked = { group: GROUP, deadlineMs: DEADLINE_MS };
    const before = this.#members.at(-1);
    if (before !== undefined) await this.#broker.heartbeat({ ...asked, memberId: before, memberEpoch: -1 });
    const memberId = `member-${this.#members.length}`;
    this.#members.push(memberId);
    const joining = { ...asked, memberId, memberEpoch: 0, rebalanceTimeoutMs: DEADLINE_MS };
    const { memberEpoch } = await this.#broker.heartbeat({ ...joining, topics: [PARTITION.topic], owned: [] });
    // Nobody tells it when it was taken over: only the broker's refusals do.
    return { memberId, memberEpoch, epochNow: () => memberEpoch, isOurs: () => true, mayBegin: () => true };
  }

  async append(texts: readonly string[], metadata = ""): Promise<void> {
    const values = [encodeValue(entryOf(texts, { metadata, source: "web", receivedAtMs: 7 }))];
    await this.#broker.produce({ ...PARTITION, values, deadlineMs: DEADLINE_MS });
    await this.#clock.advance(READ_MS);
    await settle();
  }

  async close(): Promise<void> {
    for (const log of this.#logs) await log.close();
  }
}
