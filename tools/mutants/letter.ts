import type { Mutant } from "./mutant.ts";

export const LETTER: readonly Mutant[] = [];
