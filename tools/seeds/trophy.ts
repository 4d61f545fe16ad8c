import type { Seed } from "./seed.ts";

export const TROPHY: Seed = {
  system: "Trophy",
  lines: [],
};
