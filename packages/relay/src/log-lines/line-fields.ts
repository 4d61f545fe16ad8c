/**
 * What each line of the log has beside its time, level, code, text and hint: names of the
 * configuration, numbers, statuses, and texts of our own. Never a key, an event's content, or what
 * a vendor answered: an answer may quote both.
 */
export interface LineFields {
  readonly started: { readonly intake: string; readonly admin: string; readonly data: string } & Text;
  readonly stopping: { readonly deadlineMs: number };
  readonly stopped: None;
  readonly data_directory_readable: {
    readonly dataDirectory: string;
    readonly mode: string;
    readonly wanted: string;
  } & Text;
  readonly version_changed: { readonly before: string; readonly now: string };
  readonly version_not_noted: Failure;
  readonly certificate_replaced: {
    readonly port: string;
    readonly validTo: string;
    readonly fingerprint: string;
  };
  readonly certificate_unusable: { readonly port: string; readonly reason: string; readonly validTo: string };

  readonly log_recovered: {
    readonly environment: string;
    /** Of a write that was never acknowledged. */
    readonly cutBytes: number;
    readonly damagedRecords: number;
    readonly damagedBytes: number;
    readonly lostEvents: number;
    readonly setAsideFiles: readonly string[];
  };
  readonly directory_set_aside: { readonly directory: string; readonly aside: string };
  readonly lane_state_lost: LaneName & Text;
  readonly lane_orphaned: LaneName & { readonly events: number; readonly directory: string };
  readonly disk_log_left: LaneName & { readonly events: number; readonly directory: string };
  readonly disk_log_unread: { readonly environment: string; readonly directory: string } & Failure;
  readonly lane_fenced: PartitionLane;
  readonly lane_lost: LaneName & { readonly partitions: readonly number[]; readonly reason: string };
  readonly lane_not_opened: PartitionLane;
  readonly lane_opened: LaneName & { readonly partition: number };
  readonly replay_not_run: PartitionLane;
  readonly lane_not_closed: PartitionLane;
  readonly lanes_begin_at_end: LaneName & { readonly partitions: readonly number[] };
  readonly heartbeats_failing: LaneName & { readonly error: string };
  readonly heartbeats_work: LaneName;
  readonly checkpoint_not_written: { readonly environment: string; readonly error: string };
  readonly checkpoint_written: { readonly environment: string };
  readonly records_not_removed: { readonly environment: string; readonly error: string };
  readonly records_removed_again: { readonly environment: string };
  readonly cluster_topic_failing: { readonly topic: string; readonly error: string };
  readonly cluster_topic_works: { readonly topic: string };
  readonly desired_topic_full: { readonly topic: string };
  readonly brokers_not_reached: { readonly brokers: readonly string[]; readonly error: string };
  readonly topic_faulty: { readonly topic: string; readonly reason: string; readonly repair: string };
  readonly topic_repaired: { readonly topic: string };
  readonly replay_state_lost: { readonly environment: string; readonly replay: string };

  readonly lane_halted: LaneName & Why & Counted;
  readonly lane_unreachable: LaneName & Why & Counted;
  readonly lane_failed: LaneName & Why;
  readonly lane_waiting: LaneName & Why & Counted;
  readonly lane_answers: LaneName & { readonly waitedMs: number };
  readonly lane_paused: LaneName & { readonly by: "admin" };
  readonly lane_resumed: LaneName & { readonly after: "paused" | "halted" | "failed" };
  readonly lane_mode: LaneName & { readonly mode: string };
  readonly dead_letters: LaneName & Counted & { readonly reasons: Readonly<Record<string, number>> };
  readonly cursor_moved: LaneName & { readonly by: "admin"; readonly from: number; readonly to: number } & {
    readonly events: number;
  };
  readonly cursor_not_written: LaneName & Counted & Failure;
  readonly cursor_not_durable: { readonly environment: string } & Failure;
  readonly events_expired: LaneName & Counted;
  readonly replay_expired: { readonly environment: string; readonly events: number };
  readonly replay_failed: { readonly environment: string; readonly replay: string } & Why;

  readonly config_warning: Text;
  readonly reloaded: { readonly changed: readonly string[] };
  readonly reload_failed: { readonly errors: readonly string[] };
  readonly destination_removed: LaneName & { readonly waitingEvents: number; readonly waitingBytes: number } & Text;
  readonly environment_removed: {
    readonly environment: string;
    readonly waitingEvents: number;
    readonly waitingBytes: number;
  } & Text;
  readonly destination_changed_vendor: LaneName & {
    readonly before: string;
    readonly vendor: string;
    readonly position: number;
  };
  readonly removed_not_closed: Failure;

  readonly key_rotated: KeySetName & { readonly graceMs: number };
  readonly key_refused: LaneName;
  readonly key_not_applied: Failure;
  readonly rotation_kept: Text;
  readonly rotation_over: Text;
  readonly rotations_unreadable: Text;
  readonly rotation_not_written: Failure;
  readonly rotation_not_used: Text;

  readonly keys_refused: SourceName & { readonly vendor: string } & Counted;
  readonly clients_limited: SourceName & Counted & { readonly refusals: Readonly<Record<string, number>> };
  readonly intake_overloaded: Counted;
  readonly storage_refused: SourceName & Counted & { readonly refusals: Readonly<Record<string, number>> };
  readonly request_failed: Counted & Failure & { readonly at: readonly string[] };

  readonly segments_removed: { readonly environment: string; readonly segments: number };
  readonly maintenance_failed: { readonly environment?: string } & Failure;
  readonly defect: { readonly environment: string } & Failure;
  readonly memory_source: {
    readonly environment: string;
    readonly source: string;
    readonly problem: "queue full" | "credential refused" | "events dropped" | "event refused";
  };

  /** The version of the copy of @opentelemetry/api that has the provider. */
  readonly tracing_on: { readonly registered: string };
  readonly tracing_mismatch: { readonly registered: string };
}

export type LineCode = keyof LineFields;

type None = Readonly<Record<never, never>>;

interface LaneName {
  readonly environment: string;
  readonly destination: string;
}

/** Both are empty when no source is known. */
interface SourceName {
  readonly environment: string;
  readonly source: string;
}

interface KeySetName {
  readonly environment: string;
  readonly source?: string;
  readonly destination?: string;
}

/** A text of our own that says more than the table can. It becomes the line's text. */
interface PartitionLane extends LaneName {
  readonly partition: number;
  readonly error: string;
}

interface Text {
  readonly text: string;
}

/** Why a lane stopped: a status, or a text of our own. Absent where only an answer tells. */
interface Why {
  readonly reason?: string | undefined;
}

interface Failure {
  readonly error: string;
}

/** How often since the line before, or over the last `seconds`. */
interface Counted {
  readonly count: number;
  /** Absent from the first line: it is written at once. */
  readonly seconds?: number;
}

export interface Line<Fields> {
  readonly level: "error" | "warn" | "info" | "debug";
  /** The text; those whose `text` is a field of theirs have it from there. */
  readonly text: string;
  /** What to do; "" where there is nothing to do. It is the `hint` of a warning and an error. */
  readonly act: string;
  /** In their order. */
  readonly fields: readonly (keyof Fields & string)[];
}

export const LANE = ["environment", "destination"] as const;
