import type { Mutant } from "./mutant.ts";

export const VALUED: readonly Mutant[] = [];
