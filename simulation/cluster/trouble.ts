/** What happens to brokers and networks beside what `ClusterChaos` does. Each lasts for a while. */
import type { Isolation } from "@waybill/testing/kafka";
import type { ClusterWorld } from "./cluster-world.ts";
import { EVENTS_TOPIC } from "./names.ts";

/** Of three: fewer than two cannot take anything. */
const QUORUM = 2;

/** False when one of them is down, or nobody is it. */
export function killCoordinatorAndLeader(world: ClusterWorld): boolean {
  const { cluster, random, partitions } = world;
  const coordinator = cluster.coordinatorOf(random.pick(cluster.groups));
  const leader = cluster.leaderOf({ topic: EVENTS_TOPIC, partition: random.below(partitions) });
  return kill(world, [coordinator, leader]);
}

export function loseQuorum(world: ClusterWorld): boolean {
  const { cluster, random } = world;
  const kept = random.pick(cluster.brokers);
  const killed = cluster.brokers.filter((broker) => broker !== kept);
  return killed.length >= QUORUM && kill(world, killed);
}

function kill(world: ClusterWorld, brokers: readonly (number | undefined)[]): boolean {
  const { cluster } = world;
  const killed = brokers.filter((broker) => broker !== undefined && cluster.isUp(broker)) as readonly number[];
  if (killed.length < brokers.length) return false;
  for (const broker of killed) cluster.kill(broker);
  world.lasts(() => {
    for (const broker of killed) cluster.restart(broker);
  });
  return true;
}

/** Clients reach the relay, and it reaches no broker; one way: it hears of none. */
export function cutOff(world: ClusterWorld, how: Isolation): boolean {
  const name = world.pickRelay()?.name;
  if (name === undefined) return false;
  world.cluster.isolate(name, world.cluster.brokers, how);
  world.lasts(() => world.cluster.heal(name));
  return true;
}

/** The relay reaches its brokers, and no client reaches it. */
export function hide(world: ClusterWorld): boolean {
  const slot = world.pickRelay();
  if (slot === undefined) return false;
  slot.isHidden = true;
  world.lasts(() => {
    slot.isHidden = false;
  });
  return true;
}
