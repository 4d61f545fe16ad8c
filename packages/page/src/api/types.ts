/** What the admin API answers, from its own schemas: types alone, nothing of them is bundled. */
import type { AdminAnswer, Overview, OverviewDestination } from "@waybill/relay";

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
  TracedEvent,
  TraceDestination,
} from "@waybill/relay";

export type OverviewEnvironment = Overview["environments"][number];

/** A destination and where it is. */
export interface Placed {
  readonly environment: string;
  readonly destination: OverviewDestination;
}

export type Session = AdminAnswer<"showSession">;
