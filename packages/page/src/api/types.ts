/** What the admin API answers, from its own schemas: types alone, nothing of them is bundled. */
import type { AdminAnswer, Overview, SearchAnswer } from "@waybill/relay";

export type {
  AccountView as Account,
  AttemptView,
  Cluster,
  ClusterLane,
  ConfigCheck,
  ConfigView,
  DeadLetterPage,
  DeadLetterView,
  History,
  LaneDetail,
  Overview,
  OverviewDestination,
  OverviewPartition,
  OverviewReplay,
  OverviewSource,
  RecentAttempt,
  RelayProblem,
  ReplayView,
  StoredEvent,
  TailEvent,
  TraceDestination,
  TracedEvent,
} from "@waybill/relay";

export type OverviewEnvironment = Overview["environments"][number];

export type FoundEvent = SearchAnswer["events"][number];
export type Session = AdminAnswer<"showSession">;
