import type { Seed } from "./seed.ts";

export const GETFLUXLY: Seed = {
  system: "GetFluxly",
  lines: [],
};
