/** What is wrong with any of the relays, and with the cluster. */

import { partitionOf } from "../../cluster/partition-name.ts";
import { byUrgency, deadLettersText } from "../problems.ts";
import type { Overview, RelayProblem } from "../views.ts";
import { CLUSTER_CODES, shortened } from "./cluster-problems.ts";
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
export function wholeProblems({ here, others, environments }: WholeProblems): readonly RelayProblem[] {
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
    ...[...groups.values()].map((group) => together(group, environments)),
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

/** The same of several lanes of a destination. */
function keyOf({ severity, code, environment = "", destination = "" }: RelayProblem): string {
  return [severity, code, partitionOf(environment)?.environment, destination].join("\n");
}

function together(problems: readonly RelayProblem[], environments: Overview["environments"]): RelayProblem {
  const [first, ...others] = problems as readonly [RelayProblem, ...RelayProblem[]];
  const place = partitionOf(first.environment ?? "");
  if (others.length === 0 || place === undefined) return first;
  const partitions = others.flatMap(({ environment = "" }) => partitionOf(environment)?.partition ?? []);
  const whole = {
    ...first,
    environment: place.environment,
    since: earliest(problems.map(({ since }) => since)),
  };
  const destination = environments
    .find(({ name }) => name === place.environment)
    ?.destinations.find(({ name }) => name === first.destination);
  if (first.code === "dead_letters" && destination !== undefined)
    return { ...whole, what: deadLettersText(destination.name, destination.deadLetters) };
  return {
    ...whole,
    what: `Partition ${place.partition}: ${first.what} The same in ${shortened(partitions)}.`,
  };
}
