/** Looks for a planted bug, seed after seed. */
import type { Simulated } from "./simulate.ts";

/**
 * Most seeds of a hunt: a change of the code moves the course of every seed, and the rarest bug
 * shows in one of some thirty.
 */
export const HUNT_SEEDS = 300;

export interface Found {
  /** How many seeds it took. */
  readonly seeds: number;
  /** The first promise that it broke. */
  readonly violation: string;
}

export interface HuntOptions<Bug> {
  readonly simulate: (seed: number, steps: number, bug: Bug) => Promise<Simulated>;
  /** Default: the bug's own. */
  readonly first?: number;
  readonly steps: number;
}

/** From the seed `first` on, so many `steps` each; `undefined` when it was not found. */
export async function hunt<Bug extends { readonly seed: number }>(
  bug: Bug,
  { simulate, first = bug.seed, steps }: HuntOptions<Bug>,
): Promise<Found | undefined> {
  for (let seeds = 1; seeds <= HUNT_SEEDS; seeds++) {
    const { violations } = await simulate(first + seeds - 1, steps, bug);
    if (violations[0] !== undefined) return { seeds, violation: violations[0] };
  }
  return undefined;
}
