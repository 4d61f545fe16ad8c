/** What is wrong with any of the relays, and with the cluster. */

import { partitionOf } from "../../cluster/partition-name.ts";
import { LANE_CODES, laneProblemText } from "../lane-problems.ts";
import { byUrgency } from "../problems.ts";
import type { Overview, RelayProblem } from "../views.ts";
import { CLUSTER_CODES, shortened } from "./cluster-problems.ts";
import { overLanes } from "./over-lanes.ts";
import { faultText, type Unanswered } from "./peers.ts";
import type { OthersReports } from "./reports.ts";
import { earliest, grouped } from "./sums.ts";

interface WholeProblems {
  readonly here: Overview;
  readonly others: OthersReports<Overview>;
  /** Of all relays. */
  readonly environments: Overview["environments"];
}

/** What is wrong with the cluster every relay finds: here it is as this one does. */
export function wholeProblems(whole: WholeProblems): readonly RelayProblem[] {
  const { here, others } = whole;
  const { found, unanswered } = others;
  const self = here.cluster?.relays.find(({ isSelf }) => isSelf)?.name ?? "this relay";
  const ofCluster = here.problems.filter(({ code }) => CLUSTER_CODES.has(code));
  const ofRelays = [{ relay: { name: self }, value: here }, ...found].flatMap(({ relay, value }) =>
    value.problems.filter(({ code }) => !CLUSTER_CODES.has(code)).map((problem) => named(problem, relay.name)),
  );
  const groups = grouped(ofRelays.filter(isOfPartition), keyOf);
  return [
    ...ofCluster,
    // One that is missing is a problem of the cluster already.
    ...unanswered.filter(({ relay }) => !relay.isMissing).map(unansweredProblem),
    ...ofRelays.filter((problem) => !isOfPartition(problem)),
    ...[...groups.values()].map((group) => together(group, whole)),
  ].toSorted(byUrgency(here.now));
}

/** What is not about a lane is about a relay. */
function named(problem: RelayProblem, relay: string): RelayProblem {
  return problem.destination === undefined ? { ...problem, relay } : problem;
}

function unansweredProblem(fault: Unanswered): RelayProblem {
  return {
    severity: "warning",
    code: "relay_unanswered",
    relay: fault.relay.name,
    since: null,
    what: `The relay ${faultText(fault)}. What it has is missing here.`,
    doThis: "See to it that relays reach each other: `kafka.advertise`, `admin.listen` and `admin.token` of each.",
  };
}

function isOfPartition({ environment = "", destination }: RelayProblem): boolean {
  return destination !== undefined && partitionOf(environment) !== undefined;
}

/** The same of several lanes of a destination. What is not about lanes is so word for word. */
function keyOf({ severity, code, environment = "", destination = "", what }: RelayProblem): string {
  const text = LANE_CODES.has(code) ? "" : what;
  return [severity, code, partitionOf(environment)?.environment, destination, text].join("\n");
}

/** They tell how much it is: in which partitions it is matters less. */
const AMOUNTS: ReadonlySet<string> = new Set(["dead_letters", "events_parked", "events_lost"]);

/** They tell that nothing was done since then: by none of the lanes. */
const SINCE_THE_LAST: ReadonlySet<string> = new Set(["destination_failing", "lane_stalled"]);

function together(problems: readonly RelayProblem[], { here, environments }: WholeProblems): RelayProblem {
  const [first] = problems as readonly [RelayProblem, ...RelayProblem[]];
  const environment = partitionOf(first.environment ?? "")?.environment;
  const destination = environments
    .find(({ name }) => name === environment)
    ?.destinations.find(({ name }) => name === first.destination);
  const given = new Set(problems.map((one) => partitionOf(one.environment ?? "")?.partition));
  if (given.size === 1 || environment === undefined || destination === undefined) return first;
  const all = destination.partitions ?? [];
  const lanes = all.filter(({ partition }) => given.has(partition));
  const times = problems.flatMap((one) => one.since ?? []);
  const since = earliest(times);
  const whole = overLanes(destination, lanes);
  const figures = {
    ...whole,
    destination: whole.name,
    expired: whole.expiredLately,
    since: SINCE_THE_LAST.has(first.code) && since !== null ? Math.max(...times) : since,
    now: here.now,
  };
  const what = laneProblemText(first.code, figures) ?? first.what;
  const isNamed = lanes.length < all.length && !AMOUNTS.has(first.code);
  const where = isNamed ? `Partitions ${shortened(lanes.map(({ partition }) => partition))}: ` : "";
  return { ...first, environment, since, what: `${where}${what}` };
}
