import type { Mutant } from "./mutant.ts";

export const TROPHY: readonly Mutant[] = [];
