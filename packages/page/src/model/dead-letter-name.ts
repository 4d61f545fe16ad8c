/** Names of dead letters of a cluster: each partition has the ids of its own. */
import type { DeadLetterView } from "../api/types.ts";

type Named = Pick<DeadLetterView, "deadLetterId" | "partition">;

const PARTITION = /\/\d+$/;

/** As the admin API takes it for `environment`: `17`, of all partitions `3:17`. */
export function deadLetterName(environment: string, { deadLetterId, partition }: Named): string {
  const isOfOne = partition === undefined || PARTITION.test(environment);
  return isOfOne ? String(deadLetterId) : `${partition}:${deadLetterId}`;
}

/** The log that has its event. */
export function logOf(environment: string, { partition }: Named): string {
  return partition === undefined || PARTITION.test(environment) ? environment : `${environment}/${partition}`;
}
