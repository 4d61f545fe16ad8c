import type { Mutant } from "./mutant.ts";

export const GETFLUXLY: readonly Mutant[] = [];
