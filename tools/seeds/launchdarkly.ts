import type { Seed } from "./seed.ts";

export const LAUNCHDARKLY: Seed = {
  system: "LaunchDarkly Relay `events`",
  lines: [],
};
