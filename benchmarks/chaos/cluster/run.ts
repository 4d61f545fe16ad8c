import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeClock } from "@waybill/node";
import { SeededRandom, SegmentEmulator, startServer } from "@waybill/testing";
import { type Cluster, startCluster, whyNoKafka } from "../../lib/kafka/cluster.ts";
import { say } from "../../lib/result.ts";
import { countOvertaken } from "../distance.ts";
import { pause, WORKERS, work } from "../load.ts";
import { Unavailable } from "../mounts.ts";
import { readCommits } from "./commits.ts";
import { Fleet } from "./fleet.ts";
import { longestGap } from "./gaps.ts";
import { Ledgers } from "./ledgers.ts";

export interface ClusterResult {
  readonly brokers: number;
  readonly relays: number;
  readonly relayKills: number;
  readonly brokerKills: number;
  readonly pauses: number;
  readonly acknowledged: number;
  /** Different events at the emulator. */
  readonly delivered: number;
  readonly lost: number;
  readonly duplicatesInEffect: number;
  readonly staleCommitsAccepted: number;
  readonly booksBalance: boolean;
  /** The longest that the vendor got nothing of a partition that had something for it. */
  readonly longestRebalanceMs: number;
  readonly sentTwice: number;
  readonly orderViolations: number;
  /** Processes that ended though nobody killed them, and starts that failed. */
  readonly endedByThemselves: number;
  /** That a broker took. */
  readonly commits: number;
  /** That none took: refused, or lost with what carried them. */
  readonly commitsNotTaken: number;
  readonly seed: number;
}

const BROKERS = 3;
const RELAYS = 3;
const PARTITIONS = 6;
const TOPIC = "waybill.bench";
const GROUP = `${TOPIC}.emulator`;
/** Short, and longer than a busy machine lets a relay wait. */
const GROUP_SESSION_MS = 6_000;
/** One pause for so many kills. */
const KILLS_PER_PAUSE = 3;
const BETWEEN_MS = { from: 500, to: 4_000 } as const;
const RELAY_DOWN_MS = { from: 0, to: 1_500 } as const;
const BROKER_DOWN_MS = { from: 200, to: 4_000 } as const;
/** Beyond the session: the group gives the lanes to others meanwhile. */
const PAUSE_MS = { from: GROUP_SESSION_MS + 1_000, to: GROUP_SESSION_MS + 4_000 } as const;
const CLIENT = { timeoutMs: 5_000, pauseMs: 100, retryPauseMs: 50 } as const;
const SETTLE_MS = 2_000;
const DRAIN_MAX_MS = 120_000;
const LOOK_EVERY_MS = 500;

type Step = "relay" | "broker" | "pause";

/** **Errors**: `Unavailable` where no Kafka can be. */
export async function runCluster(kills: number, seed: number): Promise<ClusterResult> {
  const missing = await whyNoKafka({ tell: say });
  if (missing !== undefined) throw new Unavailable(missing);
  const cluster = await startCluster({ brokers: BROKERS, groupSessionMs: GROUP_SESSION_MS, tell: say });
  const directory = mkdtempSync(join(tmpdir(), "waybill-chaos-"));
  const emulator = new SegmentEmulator({ clock: nodeClock });
  const server = await startServer(emulator.handle);
  const fleet = new Fleet({
    directory,
    relays: RELAYS,
    brokers: cluster.addresses,
    partitions: PARTITIONS,
    vendorUrl: server.url,
  });
  const chaos = new Chaos({ cluster, fleet, emulator, random: new SeededRandom(seed) });
  try {
    await fleet.start();
    const acknowledgedAt = await chaos.run(kills);
    const ledgers = await Ledgers.open(cluster.addresses, { topic: TOPIC, group: GROUP, partitions: PARTITIONS });
    await chaos.drain(ledgers, acknowledgedAt);
    await fleet.stop();
    const result = { ...(await tallyOf({ chaos, fleet, emulator, ledgers, acknowledgedAt })), seed };
    if (isBroken(result)) say(`kept for inspection: ${directory}`);
    else rmSync(directory, { recursive: true, force: true });
    return result;
  } finally {
    await fleet.end();
    await server.close();
    await cluster.close();
  }
}

export function isBroken(result: ClusterResult): boolean {
  const { acknowledged, lost, duplicatesInEffect, orderViolations, staleCommitsAccepted, booksBalance } = result;
  const faults = lost + duplicatesInEffect + orderViolations + staleCommitsAccepted;
  return acknowledged === 0 || faults > 0 || !booksBalance;
}

interface ChaosOptions {
  readonly cluster: Cluster;
  readonly fleet: Fleet;
  readonly emulator: SegmentEmulator;
  readonly random: SeededRandom;
}

class Chaos {
  readonly #options: ChaosOptions;
  readonly #underWay = new Set<Promise<void>>();
  #broker: Promise<void> = Promise.resolve();
  readonly done: Record<Step, number> = { relay: 0, broker: 0, pause: 0 };

  constructor(options: ChaosOptions) {
    this.#options = options;
  }

  /** Resolves to when each event was acknowledged, once all processes run again. */
  async run(kills: number): Promise<ReadonlyMap<string, number>> {
    const { random } = this.#options;
    const acknowledgedAt = new Map<string, number>();
    let isStopping = false;
    const workers = this.#load(acknowledgedAt, () => isStopping);
    for (const step of stepsOf(kills, random)) {
      await pause(between(random, BETWEEN_MS));
      await this.#step(step);
      this.done[step] += 1;
    }
    await Promise.all(this.#underWay);
    await this.#options.fleet.ready();
    await pause(SETTLE_MS);
    isStopping = true;
    await Promise.all(workers);
    return acknowledgedAt;
  }

  /** Until each event of the topic is in a ledger. */
  async drain(ledgers: Ledgers, acknowledgedAt: ReadonlyMap<string, number>): Promise<void> {
    const deadline = performance.now() + DRAIN_MAX_MS;
    for (;;) {
      await ledgers.update();
      if (ledgers.pending.every((pending) => pending === 0)) return;
      if (performance.now() > deadline) break;
      await pause(LOOK_EVERY_MS);
    }
    say(`of ${acknowledgedAt.size} events these are pending, by partition: ${ledgers.pending.join(", ")}`);
    for (const { accounts } of await Promise.all(
      this.#options.fleet.relays.map(async (relay) => ({ accounts: await relay.accounts() })),
    ))
      say(JSON.stringify(accounts));
  }

  #load(acknowledgedAt: Map<string, number>, stopping: () => boolean): readonly Promise<void>[] {
    const { fleet, random } = this.#options;
    return Array.from({ length: WORKERS }, (_, worker) => {
      const own = random.fork();
      return work({
        ...CLIENT,
        name: `u${worker}`,
        // Nobody listens at 1: refused, as by one that is being started again.
        port: () => (fleet.ports.length === 0 ? 1 : own.pick(fleet.ports)),
        stopping,
        random: own,
        acknowledge: (ids) => {
          for (const id of ids) acknowledgedAt.set(id, nodeClock.now());
        },
        answered: () => undefined,
      });
    });
  }

  async #step(step: Step): Promise<void> {
    const { fleet, random, emulator } = this.#options;
    if (random.chance(0.3)) emulator.fail({ kind: random.pick(["resetAfter", "reset", "status"] as const), times: 2 });
    if (step === "broker") return this.#killBroker();
    // One goes on serving.
    while (fleet.running.length < 2) await pause(LOOK_EVERY_MS);
    const name = random.pick(fleet.running);
    tell(`${step === "pause" ? "pauses" : "kills"} ${name}`);
    if (step === "relay") return fleet.kill(name, between(random, RELAY_DOWN_MS));
    this.#goesOn(fleet.freeze(name, between(random, PAUSE_MS)));
  }

  /** The next one waits until it runs again, though it may still be behind. */
  async #killBroker(): Promise<void> {
    const { cluster, random } = this.#options;
    await this.#broker;
    const broker = random.pick(cluster.brokers);
    tell(`kills broker ${broker.id}`);
    await broker.kill();
    const downMs = between(random, BROKER_DOWN_MS);
    this.#broker = pause(downMs).then(() => {
      broker.start();
      return broker.ready();
    });
    this.#goesOn(this.#broker);
  }

  #goesOn(what: Promise<void>): void {
    const done = what.finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
  }
}

/** Each kind at least once; pauses come in between, and never last. */
function stepsOf(kills: number, random: SeededRandom): readonly Step[] {
  const steps: Step[] = Array.from({ length: kills }, (_, index) =>
    index === 0 ? "relay" : index === 1 ? "broker" : random.pick(["relay", "broker"] as const),
  );
  const pauses = Math.ceil(kills / KILLS_PER_PAUSE);
  for (let paused = 0; paused < pauses; paused++) steps.splice(random.below(steps.length), 0, "pause");
  return steps;
}

function tell(what: string): void {
  say(`${new Date(nodeClock.now()).toISOString()} ${what}`);
}

function between(random: SeededRandom, { from, to }: { readonly from: number; readonly to: number }): number {
  return from + random.next() * (to - from);
}

interface Counted {
  readonly chaos: Chaos;
  readonly fleet: Fleet;
  readonly emulator: SegmentEmulator;
  readonly ledgers: Ledgers;
  readonly acknowledgedAt: ReadonlyMap<string, number>;
}

async function tallyOf({
  chaos,
  fleet,
  emulator,
  ledgers,
  acknowledgedAt,
}: Counted): Promise<Omit<ClusterResult, "seed">> {
  // What they wrote when they stopped.
  await ledgers.update();
  const commits = await readCommits(ledgers.broker, { group: GROUP, recordings: fleet.recordings });
  await ledgers.broker.close();
  for (const stale of commits.stale) say(`accepted though stale: ${stale}`);
  const times = new Map<string, number>();
  for (const { messageId } of emulator.events) times.set(messageId, (times.get(messageId) ?? 0) + 1);
  const lost = [...acknowledgedAt.keys()].filter((id) => !times.has(id));
  for (const id of lost.slice(0, 5)) say(`lost: ${id} of partition ${ledgers.partitionOf.get(id)}`);
  if (!ledgers.areBalanced)
    say(`ledgers: ${JSON.stringify({ events: ledgers.events, ids: ledgers.partitionOf.size, ledgers: ledgers.all })}`);
  const gap = longestGap(emulator.events, { acknowledgedAt, partitionOf: ledgers.partitionOf });
  say(`longest without a delivery: partition ${gap.partition}, until ${new Date(gap.untilMs).toISOString()}`);
  return {
    brokers: BROKERS,
    relays: RELAYS,
    relayKills: chaos.done.relay,
    brokerKills: chaos.done.broker,
    pauses: chaos.done.pause,
    acknowledged: acknowledgedAt.size,
    delivered: times.size,
    lost: lost.length,
    duplicatesInEffect: [...times.values()].filter((count) => count > 1).length,
    staleCommitsAccepted: commits.stale.length,
    booksBalance: ledgers.areBalanced,
    longestRebalanceMs: gap.ms,
    sentTwice: emulator.duplicates,
    orderViolations: countOvertaken(emulator.events),
    endedByThemselves: fleet.ended,
    commits: commits.accepted,
    commitsNotTaken: commits.notTaken,
  };
}
