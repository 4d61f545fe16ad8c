/** The accounts of all relays as one: each lane once, and which of them nobody has reported. */
import type { Accounts, EnvironmentView, SourceView } from "../views.ts";
import { grouped, latest, sumOf, sumOfCounts } from "./sums.ts";

export interface Configured {
  readonly environments: readonly EnvironmentView[];
  /** Of each environment. */
  readonly partitions: number;
}

type LaneName = Pick<Accounts["lanes"][number], "environment" | "destination">;

const keyOf = ({ environment, destination }: LaneName): string => `${environment}/${destination}`;

export function wholeAccounts(
  here: Accounts,
  others: readonly Accounts[],
  { environments, partitions }: Configured,
): Accounts {
  const all = [here, ...others];
  const lanes = latest(
    all.flatMap((one) => one.lanes),
    { keyOf, reportOf: ({ report }) => report },
  ).toSorted(byName);
  const reported = new Set(lanes.map(keyOf));
  const wanted = environments.flatMap(({ environment, destinations }) =>
    destinations.flatMap(({ destination }) =>
      Array.from({ length: partitions }, (_, partition) => ({
        environment: `${environment}/${partition}`,
        destination,
      })),
    ),
  );
  return {
    ...here,
    lanes,
    missingLanes: wanted.filter((lane) => !reported.has(keyOf(lane))),
    sources: wholeSources(all.flatMap(({ sources }) => sources)),
    replays: [...new Map(all.flatMap(({ replays }) => replays).map((replay) => [replay.id, replay])).values()],
  };
}

function wholeSources(sources: readonly SourceView[]): readonly SourceView[] {
  const groups = grouped(sources, ({ environment, source }) => `${environment}/${source}`);
  return [...groups.values()].map((group) => ({
    ...(group[0] as SourceView),
    accepted: sumOf(group, ({ accepted }) => accepted),
    duplicates: sumOf(group, ({ duplicates }) => duplicates),
    refusedByCode: sumOfCounts(group.map(({ refusedByCode }) => refusedByCode)),
  }));
}

/** `production/2` before `production/10`. */
function byName(one: LaneName, other: LaneName): number {
  return (
    one.environment.localeCompare(other.environment, "en", { numeric: true }) ||
    one.destination.localeCompare(other.destination, "en")
  );
}
