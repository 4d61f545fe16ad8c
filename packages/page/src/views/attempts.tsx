/** The requests of a lane as they happen. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { urlOf } from "../api/routes.ts";
import type { RecentAttempt } from "../api/types.ts";
import { after, type Timer } from "../browser/clock.ts";
import { fullCount } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { Glyph, type GlyphName } from "../ui/glyph.tsx";
import { Empty } from "../ui/notes.tsx";
import { Bytes, Count, Time } from "../ui/values.tsx";

interface AttemptsProps {
  readonly environment: string;
  readonly destination: string;
}

/** As many as the relay keeps. */
const KEPT = 100;
/** A lane may make a thousand requests a second; they are drawn this often. */
const DRAW_MS = 250;

export function Attempts({ environment, destination }: AttemptsProps): JSX.Element {
  const [attempts, setAttempts] = useState<readonly RecentAttempt[]>([]);
  const [isPaused, setIsPaused] = useState(false);
  const [isLost, setIsLost] = useState(false);
  useEffect(() => {
    if (isPaused) return undefined;
    return watched(urlOf("watchAttempts", { params: { environment, destination } }), setAttempts, setIsLost);
  }, [environment, destination, isPaused]);
  return (
    <section class="panel" aria-labelledby="attempts">
      <div class="subhead">
        <h2 id="attempts">
          Attempts <span class="muted">the last {KEPT}, as they happen</span>
        </h2>
        <button type="button" class="small" aria-pressed={isPaused} onClick={() => setIsPaused(!isPaused)}>
          {isPaused ? "Go on" : "Hold"}
        </button>
      </div>
      {isLost ? <p class="tone-warn">The connection is lost; it is opened again.</p> : null}
      {attempts.length === 0 ? (
        <Empty title="No request was made since the relay started." />
      ) : (
        <div class="table-room tall" tabIndex={0} role="region" aria-label="Table of attempts">
          <table class="attempts">
            <thead>
              <tr>
                <th scope="col">Time</th>
                <th scope="col">Result</th>
                <th scope="col" class="numeric">
                  Took
                </th>
                <th scope="col" class="numeric">
                  Events
                </th>
                <th scope="col" class="numeric">
                  Body
                </th>
                <th scope="col">Outcome</th>
              </tr>
            </thead>
            <tbody>
              {attempts.map((attempt) => (
                <Row key={attempt.sequence} attempt={attempt} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Row({ attempt }: { readonly attempt: RecentAttempt }): JSX.Element {
  const { at, status, durationMs, events, bytes, reason } = attempt;
  const [glyph, tone] = lookOf(attempt);
  return (
    <tr>
      <td>
        <Time at={at} isPrecise />
      </td>
      <td class={`tone-${tone}`}>
        <Glyph name={glyph} /> {status ?? "no answer"}
      </td>
      <td class="numeric" title={`${fullCount(durationMs)} ms`}>
        {duration(durationMs)}
      </td>
      <td class="numeric">
        <Count value={events} />
      </td>
      <td class="numeric">
        <Bytes value={bytes} />
      </td>
      <td>
        {outcomesOf(attempt)}
        {reason === null ? null : <span class="reason"> {reason}</span>}
      </td>
    </tr>
  );
}

function lookOf({ retryable, rejected, halted }: RecentAttempt): readonly [GlyphName, string] {
  if (halted > 0) return ["stop", "error"];
  if (rejected > 0) return ["error", "error"];
  return retryable > 0 ? ["wait", "warn"] : ["ok", "ok"];
}

function outcomesOf({ events, delivered, retryable, rejected, halted }: RecentAttempt): string {
  if (delivered === events) return "all delivered.";
  const parts = [
    [delivered, "delivered"],
    [retryable, "retried later"],
    [rejected, "rejected"],
    [halted, "held"],
  ] as const;
  return `${parts.flatMap(([count, name]) => (count === 0 ? [] : [`${fullCount(count)} ${name}`])).join(", ")}.`;
}

const RETRY_MS = 2_000;

/** Newest first, each once. Answers how to stop. */
function watched(
  url: string,
  show: (change: (before: readonly RecentAttempt[]) => readonly RecentAttempt[]) => void,
  setIsLost: (isLost: boolean) => void,
): () => void {
  let source: EventSource;
  let drawing: Timer | undefined;
  let retry: Timer | undefined;
  let come: RecentAttempt[] = [];
  const draw = (): void => {
    drawing = undefined;
    const added = come;
    come = [];
    show((before) => merged(before, added));
  };
  const open = (): void => {
    source = new EventSource(url);
    source.addEventListener("open", () => setIsLost(false));
    source.addEventListener("attempt", (event) => {
      come.push(JSON.parse((event as MessageEvent<string>).data) as RecentAttempt);
      drawing ??= after(DRAW_MS, draw);
    });
    source.addEventListener("error", () => {
      source.close();
      setIsLost(true);
      retry = after(RETRY_MS, open);
    });
  };
  open();
  return () => {
    source.close();
    drawing?.cancel();
    retry?.cancel();
  };
}

/** A relay that restarted counts from 1 again. */
function merged(before: readonly RecentAttempt[], added: readonly RecentAttempt[]): readonly RecentAttempt[] {
  const bySequence = new Map([...before, ...added].map((attempt) => [attempt.sequence, attempt]));
  return [...bySequence.values()]
    .sort((one, other) => other.at - one.at || other.sequence - one.sequence)
    .slice(0, KEPT);
}
