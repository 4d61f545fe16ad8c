import type { Mutant } from "./mutant.ts";

export const RELAY: readonly Mutant[] = [];
