import type { Mutant } from "./mutant.ts";

export const LAUNCHDARKLY: readonly Mutant[] = [];
