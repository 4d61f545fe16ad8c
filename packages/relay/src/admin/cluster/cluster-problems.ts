/** What is wrong with the cluster as a whole: the same list has it that has what is wrong here. */
import type { Cluster, RelayProblem } from "../views.ts";
import { grouped } from "./sums.ts";

/** Every relay finds the same. */
export const CLUSTER_CODES: ReadonlySet<string> = new Set([
  "cluster_not_read",
  "relay_missing",
  "lanes_without_relay",
  "configurations_differ",
  "relay_fault",
]);

export function clusterProblems(cluster: Cluster): readonly RelayProblem[] {
  if (cluster.isStale) return [notRead(cluster)];
  return [...missingRelays(cluster), ...unownedLanes(cluster), ...otherConfigs(cluster), ...faultsOf(cluster)];
}

function notRead({ readAt }: Cluster): RelayProblem {
  return warning(
    "cluster_not_read",
    "What the relays tell of themselves cannot be read: nothing is known of the others.",
    "See to the log of this relay, and to the cluster: brokers, network, permissions.",
    { since: readAt },
  );
}

function missingRelays({ relays }: Cluster): readonly RelayProblem[] {
  return relays
    .filter(({ isMissing }) => isMissing)
    .map(({ name, id, seenAt }) =>
      warning(
        "relay_missing",
        `The relay ${name} (${id}) is not heard of any more.`,
        "Others take its lanes over. Start it again, or wait: it is forgotten an hour after it was heard of last, once others have its lanes.",
        { since: seenAt },
      ),
    );
}

/** One for each destination: there may be a thousand partitions. */
function unownedLanes({ lanes }: Cluster): readonly RelayProblem[] {
  const places = new Map<string, { environment: string; destination: string; partitions: number[]; all: number }>();
  for (const { environment, destination, partition, mode } of lanes) {
    const key = `${environment}/${destination}`;
    const place = places.get(key) ?? { environment, destination, partitions: [], all: 0 };
    places.set(key, place);
    place.all += 1;
    if (mode === "unowned") place.partitions.push(partition);
  }
  return [...places.values()]
    .filter(({ partitions }) => partitions.length > 0)
    .map(({ environment, destination, partitions, all }) =>
      warning(
        "lanes_without_relay",
        `No relay delivers ${partitions.length} of ${all} partitions to ${destination}: ${shortened(partitions)}.`,
        "Their events are kept. Relays that start, stop or die hand over within a minute; after that see to the logs of all relays for lane_not_opened.",
        { environment, destination },
      ),
    );
}

function otherConfigs({ relays }: Cluster): readonly RelayProblem[] {
  const others = relays.filter(({ isMissing, hasSameConfig }) => !isMissing && !hasSameConfig).map(({ name }) => name);
  if (others.length === 0) return [];
  return [
    warning(
      "configurations_differ",
      `The configuration of this relay is not that of ${shortened(others)}.`,
      "Give all relays the same file, and reload.",
      {},
    ),
  ];
}

/** What several relays report alike, as of a topic, is one. */
function faultsOf({ relays }: Cluster): readonly RelayProblem[] {
  const reported = relays.flatMap(({ name, faults }) => faults.map((fault) => ({ name, fault })));
  return [...grouped(reported, ({ fault }) => fault)].map(([fault, by]) => {
    const doThis =
      by.length === 1 ? "See to that relay: its log has more." : "See to it: the logs of these relays have more.";
    return warning("relay_fault", `${shortened(by.map(({ name }) => name))}: ${fault}`, doThis, {});
  });
}

const SHOWN_MAX = 8;

/** A list, cut short. */
export function shortened(values: readonly (string | number)[]): string {
  const more = values.length - SHOWN_MAX;
  return `${values.slice(0, SHOWN_MAX).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

type Place = Pick<RelayProblem, "environment" | "destination"> & { readonly since?: number };

function warning(code: string, what: string, doThis: string, { since, ...place }: Place): RelayProblem {
  return { severity: "warning", code, ...place, since: since ?? null, what, doThis };
}
