/** All flows, in the order in which they run: those that change what others look at come last. */
import type { Flow } from "../lib/flow.ts";
import { clusterFlows } from "./cluster.ts";
import { clusterFaultFlows } from "./cluster-faults.ts";
import { configFlows } from "./config.ts";
import { deadLetterFlows } from "./dead-letters.ts";
import { eventFlows } from "./events.ts";
import { firstRunFlows } from "./first-run.ts";
import { laneFlows } from "./lanes.ts";
import { largeFlows } from "./large.ts";
import { layoutFlows } from "./layout.ts";
import { liveFlows } from "./live.ts";
import { originFlows } from "./origins.ts";
import { replayFlows } from "./replays.ts";
import { signingInFlows } from "./signing-in.ts";

export const FLOWS: readonly Flow[] = [
  ...layoutFlows,
  ...clusterFlows,
  ...clusterFaultFlows,
  ...liveFlows,
  ...signingInFlows,
  ...originFlows,
  ...eventFlows,
  ...replayFlows,
  ...laneFlows,
  ...deadLetterFlows,
  ...configFlows,
  ...firstRunFlows,
  ...largeFlows,
];
