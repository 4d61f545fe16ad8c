import type { Seed } from "./seed.ts";

export const LETTER: Seed = {
  system: "Letter",
  lines: [],
};
