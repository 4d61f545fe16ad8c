/**
 * The admin API's shapes. Everything that shows a relay to a person (CLI, dashboard) is written against these alone.
 *
 * Own port, loopback by default (`admin.listen`, 127.0.0.1:8081), `Authorization: Bearer <admin.token>` when a token is set:
 * - `GET /health` 200 as long as the process answers; `GET /ready` 200 or 503, {@link Readiness}
 * - `GET /metrics` Prometheus text
 * - `GET /v1/accounts` {@link Accounts}
 * - `GET /v1/tail?environment=&source=` server-sent events, each `data:` a {@link TailEvent}
 * - `POST /v1/lanes/:environment/:destination/pause` and `/resume` 204
 * - `POST /v1/reload` 200 {@link ReloadResult}; the old plan keeps serving when the file is bad (422)
 * `/health` and `/ready` also answer on the intake port, without a token.
 */

export type LaneMode = "idle" | "sending" | "waiting" | "paused" | "halted" | "closed";

/** Per destination: accepted = delivered + rejected + dropped + expired + pending, at every instant. */
export interface AccountView {
  readonly accepted: number;
  readonly delivered: number;
  readonly rejected: number;
  readonly dropped: number;
  readonly droppedByReason: Readonly<Record<string, number>>;
  readonly expired: number;
  readonly pending: number;
  readonly balanced: boolean;
}

export interface LaneView {
  readonly environment: string;
  readonly destination: string;
  readonly vendor: string;
  readonly mode: LaneMode;
  /** Why it is waiting, paused or halted. */
  readonly reason?: string;
  readonly account: AccountView;
  readonly pendingBytes: number;
  /** Age of the oldest pending event. */
  readonly oldestPendingMs?: number;
  readonly attempts: number;
  readonly failedAttempts: number;
  readonly lastError?: string;
  readonly lastErrorAtMs?: number;
}

export interface SourceView {
  readonly environment: string;
  readonly source: string;
  readonly protocol: string;
  /** Events stored since the process started. */
  readonly accepted: number;
  /** Events not stored because their messageId already was. */
  readonly duplicates: number;
  /** Events refused inside an accepted request, by code. */
  readonly refusedByCode: Readonly<Record<string, number>>;
}

export interface Accounts {
  readonly atMs: number;
  readonly startedAtMs: number;
  readonly version: string;
  readonly lanes: readonly LaneView[];
  readonly sources: readonly SourceView[];
}

export interface ComponentView {
  readonly name: string;
  readonly ready: boolean;
  readonly reason?: string;
}

/** Ready means: a durable accept is possible. A halted lane is shown, but does not make the relay unready. */
export interface Readiness {
  readonly ready: boolean;
  readonly components: readonly ComponentView[];
  readonly lanes: readonly Pick<LaneView, "environment" | "destination" | "mode" | "reason">[];
}

export interface TailEvent {
  readonly environment: string;
  readonly source: string;
  readonly position: number;
  readonly receivedAtMs: number;
  /** The event as stored. */
  readonly event: unknown;
}

export interface ReloadResult {
  readonly ok: boolean;
  readonly changed: readonly string[];
  readonly errors: readonly string[];
}
