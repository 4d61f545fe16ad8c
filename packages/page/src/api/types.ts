/** What the admin API answers, from its own schemas: types alone, nothing of them is bundled. */
import type { AdminAnswer, Overview, OverviewDestination, SearchAnswer } from "@waybill/relay";

export type {
  AccountView as Account,
  AttemptView,
  DeadLetterView,
  History,
  LaneDetail,
  LaneMode,
  Overview,
  OverviewDestination,
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

/** A destination and where it is. */
export interface Placed {
  readonly environment: string;
  readonly destination: OverviewDestination;
}

export type FoundEvent = SearchAnswer["events"][number];
export type Session = AdminAnswer<"showSession">;
