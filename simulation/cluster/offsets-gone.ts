/**
 * The offsets of a destination's group are gone while its lanes have dead letters or fates, or a
 * foreign client has overwritten them: nothing may be sent until somebody puts them right.
 */
import { companionTopics } from "@waybill/log-kafka";
import type { SimVendor } from "../vendors.ts";
import type { ClusterWorld } from "./cluster-world.ts";
import { ENVIRONMENT, EVENTS_TOPIC, groupOf, TOPIC_PREFIX } from "./names.ts";

/** Longer than any session. */
const AWAY_MS = 60_000;
const WATCHED_MS = 30_000;
const SAID = ["lane_not_opened", "does not start"];

/** False when it was not possible: lanes that have neither dead letters nor fates begin anew. */
export async function loseOffsets(world: ClusterWorld, how: "gone" | "overwritten"): Promise<boolean> {
  const { cluster, clock, random } = world;
  const known = world.indexes.filter((index) => how === "overwritten" || hasTraces(world, index));
  if (known.length === 0) return false;
  const index = random.pick(known);
  const group = groupOf(index);
  const partitions = Array.from({ length: world.partitions }, (_, partition) => ({ topic: EVENTS_TOPIC, partition }));
  world.heal();
  await world.withoutRelays(AWAY_MS);
  const saved = cluster.offsets(group, partitions);
  const isPossible = cluster.isWhole && cluster.members(group).length === 0 && saved.length === partitions.length;
  if (!isPossible) return false;
  world.committed.ignore(group, true);
  if (how === "gone") cluster.expireOffsets(group);
  else
    cluster.overwrite(
      group,
      partitions.map((one) => ({ ...one, offset: 0, metadata: "" })),
    );
  const vendor = world.vendorAt(index);
  const received = vendor.ids().length;
  const lines = world.lines.length;
  world.startRelays();
  await clock.advance(WATCHED_MS);
  world.violations.push(...faultsOf(world, { vendor, received, lines, what: `the offsets of ${group} are ${how}` }));
  await world.withoutRelays(AWAY_MS);
  if (!cluster.overwrite(group, saved)) world.violations.push(`${group} has members, and no relay runs`);
  world.committed.ignore(group, false);
  world.startRelays();
  return true;
}

/** By which it is known that its lanes had states. */
function hasTraces({ cluster, partitions }: ClusterWorld, index: number): boolean {
  const destination = { environment: ENVIRONMENT, destination: `emulator${index}` };
  return companionTopics(TOPIC_PREFIX, destination).some((topic) =>
    Array.from({ length: partitions }, (_, partition) => cluster.records({ topic, partition }).length).some(Boolean),
  );
}

interface Watched {
  readonly vendor: SimVendor;
  /** Events that it had before. */
  readonly received: number;
  /** Lines that there were before. */
  readonly lines: number;
  readonly what: string;
}

function faultsOf(world: ClusterWorld, { vendor, received, lines, what }: Watched): readonly string[] {
  const faults: string[] = [];
  if (vendor.ids().length > received) faults.push(`${what}, and ${vendor.ids().length - received} events were sent`);
  const isSaid = world.lines.slice(lines).some((line) => SAID.some((said) => line.includes(said)));
  if (!isSaid) faults.push(`${what}, and no relay says so`);
  return faults;
}
