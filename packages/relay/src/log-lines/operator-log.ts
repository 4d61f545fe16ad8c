/**
 * Writes the lines of {@link LOG_LINES}, those that may come in floods counted, one a minute.
 *
 * Nothing else in the relay writes to the logger, so that what is never in a log line (a key, an
 * event's content, a vendor's answer) is decided in this folder.
 */
import type { Attempt, Clock } from "@waybill/core";
import type { Logger } from "../logger.ts";
import type { LineCode, LineFields } from "./line-fields.ts";
import { LOG_LINES } from "./lines.ts";
import { framesOf, reasonClass, safeError, safeReason } from "./safe-text.ts";
import { Summaries, type Summary } from "./summaries.ts";

/** Writes one line. Must not throw. */
export type WriteLine = <Code extends LineCode>(code: Code, fields: LineFields[Code]) => void;

/** For those whose lines nobody reads. */
export const SILENT: WriteLine = () => undefined;

interface Lane {
  readonly environment: string;
  readonly destination: string;
}

export interface ModeChange extends Lane {
  readonly mode: string;
  readonly reason: string | undefined;
  /** True for a halt to which no answer of the destination led. */
  readonly unanswered?: true;
}

interface LaneNews {
  /** Why it does not deliver. */
  stopped: "paused" | "halted" | "failed" | undefined;
  /** Since when its destination does not take events, as {@link Clock.monotonic}. */
  waitsSinceMs: number | undefined;
}

/** Events of a batch become dead letters one after another: they are one line. */
const GATHER_MS = 1_000;
/** In the name of a replay's lane, after its destination's. */
const REPLAY = "/replay-";

export class OperatorLog {
  readonly #logger: Logger;
  readonly #clock: Pick<Clock, "monotonic" | "after">;
  readonly #summaries: Summaries;
  readonly #lanes = new Map<string, LaneNews>();

  constructor(logger: Logger, clock: Pick<Clock, "monotonic" | "after">) {
    this.#logger = logger;
    this.#clock = clock;
    this.#summaries = new Summaries(clock);
  }

  readonly write: WriteLine = (code, fields) => {
    const { level, text, act } = LOG_LINES[code];
    const { text: own, ...rest } = fields as { readonly text?: string };
    const hint = act !== "" && (level === "error" || level === "warn") ? { hint: act } : {};
    this.#logger[level]({ code, ...rest, ...hint }, own ?? text);
  };

  /** A lane goes to another mode. A replay's lane is `<destination>/replay-<id>`. */
  mode({ environment, destination, mode, reason, unanswered }: ModeChange): void {
    const lane = { environment, destination };
    const own = safeReason(reason);
    const why = own === undefined ? {} : { reason: own };
    const news = this.#newsOf(lane);
    const name = nameOf(lane);
    const replay = destination.split(REPLAY)[1];
    if (mode === "failed" && replay !== undefined) return this.write("replay_failed", { environment, replay, ...why });
    if (mode === "failed" || mode === "halted" || mode === "paused") {
      this.#summaries.forget(`waiting ${name}`);
      const before = news.stopped;
      news.stopped = mode;
      if (mode === "failed") return this.write("lane_failed", { ...lane, ...why });
      if (mode === "paused") return this.write("lane_paused", { ...lane, by: "admin" });
      // It is tried now and then, and halts again: not another halt.
      if (before !== "halted") this.#summaries.forget(`halted ${name}`);
      const line = unanswered === true ? "lane_unreachable" : "lane_halted";
      return this.#summaries.note(`halted ${name}`, (summary) =>
        this.write(line, { ...lane, ...why, ...counted(summary) }),
      );
    }
    if (mode === "waiting") {
      news.waitsSinceMs ??= this.#clock.monotonic();
      return this.#summaries.note(`waiting ${name}`, (summary) =>
        this.write("lane_waiting", { ...lane, ...why, ...counted(summary) }),
      );
    }
    if (mode === "idle" && news.stopped === "paused") this.#resumed(lane, news, news.stopped);
    this.write("lane_mode", { ...lane, mode });
  }

  /** A request was made. */
  attempted({ environment, destination, attempt }: Lane & { readonly attempt: Attempt }): void {
    if (attempt.delivered === 0) return;
    const news = this.#lanes.get(nameOf({ environment, destination }));
    if (news === undefined) return;
    const lane = { environment, destination };
    if (news.stopped !== undefined && news.stopped !== "paused") this.#resumed(lane, news, news.stopped);
    const { waitsSinceMs } = news;
    if (waitsSinceMs === undefined) return;
    news.waitsSinceMs = undefined;
    this.#summaries.forget(`waiting ${nameOf(lane)}`);
    this.write("lane_answers", { ...lane, waitedMs: Math.round(this.#clock.monotonic() - waitsSinceMs) });
  }

  /** An event became a dead letter. */
  deadLetter({ environment, destination, reason }: Lane & { readonly reason: string }): void {
    const lane = { environment, destination };
    this.#summaries.note(
      `dead_letters ${nameOf(lane)}`,
      (summary) => this.write("dead_letters", { ...lane, ...counted(summary), reasons: summary.kinds }),
      { kind: reasonClass(reason), gatherMs: GATHER_MS },
    );
  }

  /** Retention took events of a lane. */
  expired({ environment, destination, events }: Lane & { readonly events: number }): void {
    const lane = { environment, destination };
    this.#summaries.note(
      `expired ${nameOf(lane)}`,
      (summary) => this.write("events_expired", { ...lane, ...counted(summary) }),
      { count: events, gatherMs: GATHER_MS },
    );
  }

  cursorNotWritten({ environment, destination, error }: Lane & { readonly error: unknown }): void {
    const lane = { environment, destination };
    this.#summaries.note(`cursor ${nameOf(lane)}`, (summary) =>
      this.write("cursor_not_written", { ...lane, error: safeError(error), ...counted(summary) }),
    );
  }

  /** A request was refused. Those with faults of the client's own are in metrics alone. */
  refused({ environment, source, code, vendor }: Refusal): void {
    const of = { environment, source };
    if (code === "unauthorized")
      return this.#summaries.note(`keys ${environment}/${source} ${vendor}`, (summary) =>
        this.write("keys_refused", { ...of, vendor, ...counted(summary) }),
      );
    if (code === "overloaded")
      return this.#summaries.note(code, (summary) => this.write("intake_overloaded", counted(summary)));
    const line = LIMITS.has(code) ? "clients_limited" : STORAGE.has(code) ? "storage_refused" : undefined;
    if (line === undefined) return;
    this.#summaries.note(
      `${line} ${environment}/${source}`,
      (summary) => this.write(line, { ...of, ...counted(summary), refusals: summary.kinds }),
      { kind: code },
    );
  }

  /** A defect in the work on a request. */
  requestFailed(error: unknown): void {
    const [at = ""] = framesOf(error);
    this.#summaries.note(`failed ${at}`, (summary) =>
      this.write("request_failed", { error: safeError(error), at: framesOf(error), ...counted(summary) }),
    );
  }

  /** Writes what was counted. */
  close(): void {
    this.#summaries.close();
  }

  #resumed(lane: Lane, news: LaneNews, after: NonNullable<LaneNews["stopped"]>): void {
    news.stopped = undefined;
    this.#summaries.forget(`halted ${nameOf(lane)}`);
    this.write("lane_resumed", { ...lane, after });
  }

  #newsOf(lane: Lane): LaneNews {
    const name = nameOf(lane);
    const known = this.#lanes.get(name);
    if (known !== undefined) return known;
    const news: LaneNews = { stopped: undefined, waitsSinceMs: undefined };
    this.#lanes.set(name, news);
    return news;
  }
}

export interface Refusal {
  /** Both are empty when no source is known. */
  readonly environment: string;
  readonly source: string;
  readonly code: string;
  /** Whose path it is. */
  readonly vendor: string;
}

const LIMITS: ReadonlySet<string> = new Set(["rate_limited", "share_exceeded"]);
const STORAGE: ReadonlySet<string> = new Set(["disk", "log_full", "log_busy"]);

function nameOf({ environment, destination }: Lane): string {
  return `${environment}/${destination}`;
}

function counted({ count, seconds }: Summary): { readonly count: number; readonly seconds?: number } {
  return { count, ...(seconds === undefined ? {} : { seconds }) };
}
