/** What the admin API shows, as types. The schemas are in `schemas/`, the routes in `routes/`. */
import type { z } from "zod";
import type * as actions from "./schemas/actions.ts";
import type * as clusters from "./schemas/cluster.ts";
import type { View } from "./schemas/common.ts";
import type * as configs from "./schemas/config.ts";
import type * as events from "./schemas/events.ts";
import type * as inspection from "./schemas/inspection.ts";
import type * as lanes from "./schemas/lanes.ts";
import type * as live from "./schemas/live.ts";
import type * as overview from "./schemas/overview.ts";
import type { replayRequest } from "./schemas/requests.ts";
import type * as sessions from "./schemas/session.ts";

export type LaneMode = z.infer<typeof overview.laneMode>;
export type DeadLetterState = z.infer<typeof overview.deadLetterState>;
/**
 * Per destination: accepted = delivered + rejected + dropped + expired + pending, at every instant.
 */
export type AccountView = View<typeof overview.account>;
export type LaneView = View<typeof overview.lane>;
/** Of a lane: how fast it sends, and why no faster. */
export type LaneDelivery = Pick<
  LaneView,
  "inFlight" | "inFlightLimit" | "requestsPerSecondLimit" | "limitReason" | "strands" | "parkedUsers" | "parkedEvents"
>;
export type LaneReport = View<typeof overview.laneReport>;
export type LaneState = View<typeof overview.laneState>;
export type SourceView = View<typeof overview.source>;
export type ReplayView = View<typeof overview.replay>;
export type Accounts = View<typeof overview.accounts>;
export type Readiness = View<typeof overview.readiness>;
export type ComponentView = Readiness["components"][number];
export type PublicReadiness = View<typeof overview.publicReadiness>;
export type Health = View<typeof overview.health>;
export type EnvironmentView = View<typeof overview.environment>;

export type Cluster = View<typeof clusters.cluster>;
export type ClusterLane = Cluster["lanes"][number];

export type Session = View<typeof sessions.session>;
export type Overview = View<typeof live.overview>;
export type OverviewSource = View<typeof live.overviewSource>;
export type OverviewDestination = View<typeof live.overviewDestination>;
export type OverviewPartition = View<typeof live.overviewPartition>;
export type OverviewReplay = View<typeof live.overviewReplay>;
export type RelayProblem = View<typeof live.relayProblem>;
export type History = View<typeof live.history>;
export type LaneDetail = View<typeof lanes.laneDetail>;
export type RecentAttempt = View<typeof lanes.recentAttempt>;
export type RecentAttempts = View<typeof lanes.recentAttempts>;

export type ConfigView = View<typeof configs.config>;
export type ConfigCheck = View<typeof configs.configCheck>;
/** Of a configuration without faults. */
export type CheckedConfig = Pick<ConfigCheck, "changes" | "warnings">;
export type StoredEvent = View<typeof events.storedEvent>;
export type SearchAnswer = View<typeof events.searchResult>;

export type AttemptView = View<typeof inspection.attempt>;
export type TraceReplay = View<typeof inspection.traceReplay>;
export type TraceDestination = View<typeof inspection.traceDestination>;
export type TraceOutcome = TraceDestination["outcome"];
export type TracedEvent = View<typeof inspection.tracedEvent>;
export type Trace = View<typeof inspection.trace>;
export type DeadLetterView = View<typeof inspection.deadLetter>;
export type DeadLetterPage = View<typeof inspection.deadLetterPage>;
export type DeadLetterReasons = View<typeof inspection.deadLetterReasons>;
export type TailEvent = View<typeof inspection.tailEvent>;

export type Discarded = View<typeof actions.discarded>;
export type ReloadResult = View<typeof actions.reloadResult>;
export type RotationView = View<typeof actions.rotation>;
/** Which events to send again, as a client writes it. */
export type ReplayRequest = Readonly<z.input<typeof replayRequest>>;
