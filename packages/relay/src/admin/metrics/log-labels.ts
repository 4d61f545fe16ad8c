import { partitionOf } from "../../cluster/partition-name.ts";

/** Of an environment, or of `production/3`, which is a partition of one. */
export function logLabels(name: string): {
  readonly environment: string;
  readonly partition?: string;
} {
  const place = partitionOf(name);
  return place === undefined
    ? { environment: name }
    : { environment: place.environment, partition: String(place.partition) };
}
