import type { Seed } from "./seed.ts";

export const VALUED: Seed = {
  system: "Valued",
  lines: [],
};
