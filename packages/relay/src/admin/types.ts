/**
 * The admin API's shapes. Everything that shows a relay to a person (CLI, dashboard) is written against these alone.
 *
 * Own port, loopback by default (`admin.listen`, 127.0.0.1:8081), `Authorization: Bearer <admin.token>` when a token is set, `content-type: application/json` for a body. `Host` must
 * be loopback, the address that listens, or one of `admin.hosts`, and requests of web pages of other origins are refused (403; not so for health, ready and metrics):
 * - `GET /health` 200, or 503 {@link Health} while a lane is `failed`; `GET /ready` 200 or 503, {@link Readiness}. Without the token both say whether, not which
 * - `GET /metrics` Prometheus text
 * - `GET /openapi.json` this API as an OpenAPI document, without a token
 * - `GET /v1/environments` {@link EnvironmentView}s
 * - `GET /v1/accounts` {@link Accounts}
 * - `GET /v1/tail?environment=&source=` server-sent events, each `data:` a {@link TailEvent}
 * - `POST /v1/lanes/:environment/:destination/pause` and `/resume` 204
 * - `GET /v1/trace/:messageId?environment=&since=&until=` {@link Trace}; 404 when no event of that id is in the log
 * - `GET /v1/dead-letters/:environment/:destination?state=&source=&reason=&since=&until=&letter=&after=&limit=` {@link DeadLetterPage}
 * - `GET …/export?…` the same letters as NDJSON, one {@link DeadLetterView} a line, all of them
 * - `POST …/retry` and `…/discard?…` for the letters so chosen; 202 {@link ReplayView}, 200 `{ discarded }`
 * - `POST /v1/replays/:environment` {@link ReplayRequest}; 202 {@link ReplayView}, with `dryRun` 200 `{ events }`
 * - `GET /v1/replays` {@link ReplayView}s; `DELETE /v1/replays/:environment/:id` 204, ends it where it is
 * - `POST /v1/sources/<environment>/<source>/rotate`, `POST /v1/destinations/<environment>/<destination>/rotate` {@link RotateRequest}; 200 `{ rotated, graceMs }`, 404 without such a key set
 * - `GET /v1/rotations` {@link RotationView}s
 * - `POST /v1/reload` 200 {@link ReloadResult}; the old plan keeps serving when the file is bad (422)
 * Refusals are `application/problem+json` with a stable `code`; 4xx for the request, 503 for a disk that fails or too much at once, 500 `internal` for a defect.
 * `/health` (always 200) and `/ready` ({@link PublicReadiness}) also answer on the intake port, without a token.
 */

/** `failed`: a defect stopped it; its events are kept, and `resume` tries again. */
export type LaneMode = "idle" | "sending" | "waiting" | "paused" | "halted" | "failed" | "closed";

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
  /** Why it is waiting, paused, halted or failed. */
  readonly reason?: string;
  readonly account: AccountView;
  readonly pendingBytes: number;
  /** Age of the oldest pending event. */
  readonly oldestPendingMs?: number;
  readonly attempts: number;
  readonly failedAttempts: number;
  /** `damaged`: they cannot be read; known once somebody listed them. */
  readonly deadLetters: Readonly<Record<DeadLetterState | "damaged", number>>;
  /** At the present rate of accepts, until retention removes the first event that this lane has not delivered; absent when it never will. */
  readonly timeUntilLossMs?: number;
  /** Settled events of which nobody knows any more what became of them; absent while the fates of all are kept. */
  readonly unknownFates?: number;
  readonly lastError?: string;
  readonly lastErrorAtMs?: number;
}

/** One request to a destination. */
export interface AttemptView {
  /** Position of its first event, and how many there were. */
  readonly first: number;
  readonly count: number;
  readonly atMs: number;
  readonly durationMs: number;
  /** The HTTP status; absent when no answer came. */
  readonly status?: number;
  /** Events per outcome. */
  readonly delivered: number;
  readonly retryable: number;
  readonly rejected: number;
  readonly halted: number;
  /** The first reason among the outcomes. */
  readonly reason?: string;
}

/**
 * `dropped`: left out on purpose, `reason` says why. `expired`: removed by retention before it was delivered. `unknown`: the record of its outcome is damaged, or older than
 * these records. `not_addressed`: the destination was added later.
 */
export type TraceOutcome = "pending" | "delivered" | "rejected" | "dropped" | "expired" | "unknown" | "not_addressed";

/** What became of one event at one destination. */
export interface TraceDestination {
  readonly destination: string;
  /** Whose API the destination spoke when the event had its turn, where that was another vendor's than now. */
  readonly formerVendor?: string;
  /** It is not configured any more; its files tell the outcome, and not the attempts. */
  readonly removed?: true;
  readonly outcome: TraceOutcome;
  /** Why it is pending, or was rejected or dropped. */
  readonly reason?: string;
  /** Of a pending event: the mode of its lane. */
  readonly lane?: LaneMode;
  /** It was rejected first, and delivered when its dead letter was sent again, epoch ms. */
  readonly deliveredByRetryAtMs?: number;
  readonly deadLetter?: { readonly letter: number; readonly state: DeadLetterState; readonly rejectedAtMs: number };
  /** Those whose request held the event, oldest first. */
  readonly attempts: readonly AttemptView[];
  /** Replays that sent it again, or left it out. */
  readonly replays: readonly TraceReplay[];
}

export interface TraceReplay {
  readonly replay: string;
  readonly outcome: TraceOutcome;
  /** Why it was dropped. */
  readonly reason?: string;
  readonly attempts: readonly AttemptView[];
}

/** An event that was stored, and what became of it. */
export interface TracedEvent {
  readonly environment: string;
  readonly position: number;
  /** Absent, as the next two, when the event itself is no longer in the log. */
  readonly source?: string;
  readonly receivedAtMs?: number;
  /** As stored. */
  readonly event?: unknown;
  readonly destinations: readonly TraceDestination[];
}

export interface Trace {
  readonly messageId: string;
  /** Oldest first; more than one only when the id was stored again after the window for repeats. */
  readonly events: readonly TracedEvent[];
  /** There are more than are told. */
  readonly isCut?: true;
}

/** `waiting` until it was sent again with success (`retried`) or given up (`discarded`). */
export type DeadLetterState = "waiting" | "retried" | "discarded";

export interface DeadLetterView {
  /** Its name. */
  readonly letter: number;
  readonly state: DeadLetterState;
  /** Of the event in the log. */
  readonly position: number;
  readonly source: string;
  readonly receivedAtMs: number;
  readonly rejectedAtMs: number;
  readonly reason: string;
  /** Only of letters that were asked for by name (`letter=`). */
  readonly attempts?: readonly AttemptView[];
  /** As stored. */
  readonly event: unknown;
}

export interface DeadLetterPage {
  readonly letters: readonly DeadLetterView[];
  /** Give it as `after` for the next page; absent on the last one. */
  readonly next?: number;
  /** Letters of this destination that were found to be unreadable; they are on no page. */
  readonly damaged: number;
}

/** Which events to send again. All that are given must hold. */
export interface ReplayRequest {
  readonly destination: string;
  /** Received at or after, and before: ISO 8601 or epoch ms. */
  readonly since?: string | number;
  readonly until?: string | number;
  readonly source?: string;
  /** The event's own type, name and user. */
  readonly type?: string;
  readonly event?: string;
  readonly userId?: string;
  /** No limit when absent. The destination's own limits hold in any case. */
  readonly eventsPerSecond?: number;
  /** Only counts. */
  readonly dryRun?: boolean;
}

/** A replay and its own ledger; the lane's ledger does not contain it. */
export interface ReplayView {
  readonly id: string;
  readonly environment: string;
  readonly destination: string;
  /** What it sends: a part of the log, or dead letters. */
  readonly of: "log" | "dead letters";
  readonly createdAtMs: number;
  readonly state: "running" | "waiting" | "halted" | "paused" | "failed" | "done" | "cancelled";
  readonly reason?: string;
  /** accepted = the events that were chosen. */
  readonly account: AccountView;
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
  readonly replays: readonly ReplayView[];
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

/** What anyone may know of {@link Readiness}: whether, not which. */
export interface PublicReadiness {
  readonly ready: boolean;
  readonly components: readonly { readonly name: "log"; readonly ready: boolean }[];
}

/** `failed` as long as a lane is stopped by a defect. */
export interface Health {
  readonly status: "ok" | "failed";
  /** The failed ones. */
  readonly lanes?: Readiness["lanes"];
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
  /** Where the file and a rotation differ, or did: which of the two wins. Absent when no rotation is kept. */
  readonly rotations?: readonly string[];
}

/** A rotation that is kept: it holds, over reloads and restarts, until the file has the new key. */
export interface RotationView {
  readonly environment: string;
  readonly source?: string;
  readonly destination?: string;
  readonly kind?: "mobile" | "js";
  readonly rotatedAtMs: number;
  /** The first eight hexadecimal characters of the new key's SHA-256. */
  readonly fingerprint: string;
  /** False while the configuration has no such source or destination. */
  readonly inUse: boolean;
}

/** A new key; those before it stay valid for the grace. Lasts until the configuration's file has the new key. */
export interface RotateRequest {
  readonly key: string;
  /** Default one hour. */
  readonly graceMs?: number;
  /** LaunchDarkly's kinds of keys. Default: the ordinary one. */
  readonly kind?: "mobile" | "js";
}

/** No keys: only how many are valid. */
export interface EnvironmentView {
  readonly environment: string;
  readonly sources: readonly { readonly source: string; readonly protocol: string; readonly keys: number }[];
  readonly destinations: readonly { readonly destination: string; readonly vendor: string }[];
}
