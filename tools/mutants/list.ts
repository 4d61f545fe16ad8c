/** Defects of one line, each of which a test must notice. Used by ../mutants.ts. */
import { ADAPTERS } from "./adapters.ts";
import { CLUSTER } from "./cluster.ts";
import { GETFLUXLY } from "./getfluxly.ts";
import { LAUNCHDARKLY } from "./launchdarkly.ts";
import { LETTER } from "./letter.ts";
import { LOG } from "./log.ts";
import type { Mutant } from "./mutant.ts";
import { RELAY } from "./relay.ts";
import { STRANDS } from "./strands.ts";
import { TELEMETRY } from "./telemetry.ts";
import { TROPHY } from "./trophy.ts";
import { VALUED } from "./valued.ts";

export const MUTANTS: readonly Mutant[] = [
  ...LOG,
  ...STRANDS,
  ...RELAY,
  ...TELEMETRY,
  ...LETTER,
  ...GETFLUXLY,
  ...TROPHY,
  ...VALUED,
  ...LAUNCHDARKLY,
  ...ADAPTERS,
  ...CLUSTER,
];
