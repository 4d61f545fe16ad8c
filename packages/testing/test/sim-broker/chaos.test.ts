import type { Broker } from "@waybill/log-kafka";
import { SeededRandom } from "@waybill/testing";
import { ClusterChaos } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import { AT, ClusterWorld } from "./lib/cluster-world.ts";

const SEEDS = 14;
const ROUNDS = 40;
const STEP_MS = 400;

/** What a run has to show for itself. */
interface Run {
  readonly acknowledged: number;
  readonly lost: readonly string[];
  /** What two readers, or one at two times, saw differently at the same offset. */
  readonly changed: readonly string[];
  readonly commits: { readonly acknowledged: number; readonly stored: number; readonly tried: number };
  readonly stored: readonly string[];
  readonly injected: ReadonlyMap<string, number>;
  readonly isWhole: boolean;
}

test("whatever happens, what was acknowledged stays where it was, and what was read as well", async () => {
  const injected = new Map<string, number>();
  for (let seed = 0; seed < SEEDS; seed++) {
    const run = await runWith(seed, "all");
    expect({ seed, lost: run.lost, changed: run.changed }).toEqual({ seed, lost: [], changed: [] });
    expect(run.acknowledged).toBeGreaterThan(5);
    expect(run.isWhole).toBe(true);
    // The last acknowledged commit, or a later one whose answer did not come.
    expect(run.commits.stored).toBeGreaterThanOrEqual(run.commits.acknowledged);
    expect(run.commits.stored).toBeLessThanOrEqual(run.commits.tried);
    for (const [kind, count] of run.injected) injected.set(kind, (injected.get(kind) ?? 0) + count);
  }
  expect(new Set(injected.keys())).toEqual(
    new Set([
      "broker cut off",
      "broker killed",
      "broker lagging",
      "broker older",
      "broker stopped",
      "coordinator moved",
      "duplicate",
      "full",
      "late",
      "leader moved",
      "loseAnswer",
      "member expelled",
      "power cut",
      "refuse",
      "relay isolated",
      "relay paused",
      "slow",
      "stuck",
    ]),
  );
}, 120_000);

test("with acks=1 acknowledged records get lost", async () => {
  let lost = 0;
  for (let seed = 0; seed < SEEDS && lost === 0; seed++) lost += (await runWith(seed, 1)).lost.length;
  expect(lost).toBeGreaterThan(0);
}, 120_000);

test("the same seed is the same history", async () => {
  const [one, again, other] = [await runWith(3, "all"), await runWith(3, "all"), await runWith(4, "all")];
  expect(again).toEqual(one);
  expect(other.stored).not.toEqual(one.stored);
}, 120_000);

async function runWith(seed: number, acks: "all" | 1): Promise<Run> {
  const random = new SeededRandom(seed);
  const world = await ClusterWorld.of({ random, replicationMs: 20, sessionTimeoutMs: 6_000, replicaLagMs: 4_000 });
  const { cluster, clock } = world;
  const brokers = ["relay-1", "relay-2"].map((name) => cluster.connect(name, { acks }));
  const chaos = new ClusterChaos({ cluster, random: random.fork(), relays: () => ["relay-1", "relay-2"] });
  const acknowledged: { readonly offset: number; readonly text: string }[] = [];
  const seen = new Map<number, string>();
  const changed: string[] = [];
  const member: Committer = { id: 0, epoch: 0, owns: false, isBusy: false, acknowledged: 0, tried: 0 };
  const pending: Promise<unknown>[] = [];
  const see = (offset: number, text: string): void => {
    if ((seen.get(offset) ?? text) !== text) changed.push(`${offset}: ${seen.get(offset)}, then ${text}`);
    seen.set(offset, text);
  };
  for (let round = 0; round < ROUNDS; round++) {
    chaos.strike();
    for (const [index, broker] of brokers.entries()) {
      const text = `${index}-${round}`;
      pending.push(world.produce(text, { broker }).then(({ offset }) => acknowledged.push({ offset, text }), ignore));
      pending.push(readInto(world, broker, { from: Math.max(0, seen.size - 3), see }));
    }
    // Calls at once may pass each other: one commit at a time.
    if (!member.isBusy) pending.push(beatAndCommit(world, brokers[0] as Broker, member));
    await clock.advance(STEP_MS);
  }
  chaos.heal();
  await clock.advance(60_000);
  await Promise.all(pending);
  const stored = new Map(cluster.records(AT).map(({ offset, value }) => [offset, Buffer.from(value).toString()]));
  const lost = acknowledged.filter(({ offset, text }) => stored.get(offset) !== text).map(({ text }) => text);
  for (const [offset, text] of seen) if (stored.get(offset) !== text) changed.push(`${offset}: ${text} is gone`);
  const commits = { acknowledged: member.acknowledged, tried: member.tried, stored: world.offset ?? 0 };
  const { injected, isWhole } = cluster;
  return {
    acknowledged: acknowledged.length,
    lost,
    changed,
    commits,
    stored: [...stored.values()],
    injected: new Map(injected),
    isWhole,
  };
}

async function readInto(
  world: ClusterWorld,
  broker: Broker,
  { from, see }: { readonly from: number; readonly see: (offset: number, text: string) => void },
): Promise<void> {
  const fetched = await world.fetch(from, { broker, maxWaitMs: 200 }).catch(ignore);
  for (const { offset, value } of fetched?.records ?? []) see(offset, Buffer.from(value).toString());
}

interface Committer {
  id: number;
  epoch: number;
  owns: boolean;
  isBusy: boolean;
  acknowledged: number;
  tried: number;
}

/**
 * Commits with a higher offset each time. After a commit whose fate is unknown it becomes another
 * member: the old one's commit may still be on its way, and would come after a newer one.
 */
async function beatAndCommit(world: ClusterWorld, broker: Broker, member: Committer): Promise<void> {
  member.isBusy = true;
  const id = `m${member.id}`;
  try {
    const beating = member.epoch === 0 ? world.join(id, broker) : world.beat(id, member.epoch, broker);
    const { memberEpoch, assignment } = await beating;
    member.epoch = memberEpoch;
    if (assignment !== undefined) member.owns = assignment.length > 0;
    if (member.owns) {
      member.tried += 1;
      await world.commit(id, memberEpoch, member.tried, broker);
      member.acknowledged = member.tried;
    }
  } catch {
    world.beat(id, -1, broker).catch(ignore);
    member.id += 1;
    member.epoch = 0;
    member.owns = false;
  }
  member.isBusy = false;
}

function ignore(): undefined {
  return undefined;
}
