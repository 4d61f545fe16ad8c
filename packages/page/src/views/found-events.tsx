/** What a search of the log has found; it goes on when the reader wants it to. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { call, messageOf } from "../api/call.ts";
import { noteFailure } from "../api/session.ts";
import type { FoundEvent } from "../api/types.ts";
import { fullCount, shortBytes } from "../format/numbers.ts";
import { searchQuery } from "../model/filters.ts";
import { placeText } from "../model/lanes.ts";
import { Link } from "../router/navigation.tsx";
import { hrefOf, type Params } from "../router/route.ts";
import { Empty, Failure } from "../ui/notes.tsx";
import { Time } from "../ui/values.tsx";

interface Found extends FoundEvent {
  readonly log: string;
}

interface State {
  readonly events: readonly Found[];
  readonly scannedBytes: number;
  /** The log that is read, of those that are asked for: one after another. */
  readonly at: number;
  /** Where to go on in it; `undefined` before its first answer, `null` at the end of the last. */
  readonly next: number | null | undefined;
  readonly error: string | undefined;
  readonly isLoading: boolean;
}

const NOTHING: State = { events: [], scannedBytes: 0, at: 0, next: undefined, error: undefined, isLoading: true };

interface FoundEventsProps {
  readonly query: Params;
  /** Where to look. */
  readonly logs: readonly string[];
}

export function FoundEvents({ query, logs }: FoundEventsProps): JSX.Element {
  const [state, setState] = useState<State>(NOTHING);
  const controller = useRef(new AbortController());
  const search = (at: number, from: number | undefined): void => {
    const { signal } = controller.current;
    const log = logs[at] ?? "";
    const asked = { ...searchQuery(query), environment: log, ...(from === undefined ? {} : { from }) };
    setState((before) => ({ ...before, at, isLoading: true, error: undefined }));
    call("searchEvents", { query: asked, signal }).then(
      ({ events, scannedBytes, next }) => {
        const isNext = next === null && at + 1 < logs.length;
        setState((before) => ({
          ...before,
          events: [...before.events, ...events.map((event) => ({ ...event, log }))],
          scannedBytes: before.scannedBytes + scannedBytes,
          next: isNext ? undefined : next,
          error: undefined,
          isLoading: isNext,
        }));
        if (isNext) search(at + 1, undefined);
      },
      (error: unknown) => {
        if (signal.aborted) return;
        noteFailure(error);
        setState((before) => ({ ...before, isLoading: false, error: messageOf(error) }));
      },
    );
  };
  useEffect(() => {
    controller.current = new AbortController();
    setState(NOTHING);
    search(0, undefined);
    return () => controller.current.abort();
  }, [JSON.stringify([searchQuery(query), logs])]);
  return <Shown state={state} logs={logs} onGoOn={search} />;
}

interface ShownProps {
  readonly state: State;
  readonly logs: readonly string[];
  readonly onGoOn: (at: number, from: number | undefined) => void;
}

function Shown({ state, logs, onGoOn }: ShownProps): JSX.Element {
  const { events, scannedBytes, at, next, error, isLoading } = state;
  const isOver = next === null;
  const isOne = logs.length === 1;
  return (
    <section class="panel" aria-labelledby="found">
      <h2 id="found">
        Found{" "}
        <span class="muted">
          {fullCount(events.length)}, {isOne ? "oldest first" : "one partition after another, the oldest of each first"}
        </span>
      </h2>
      <p role="status" class="muted">
        {isLoading ? "Reading the log from the oldest on… " : ""}
        {shortBytes(scannedBytes)} read
        {isOver
          ? ", to the end of the log or of the time range."
          : isOne
            ? "."
            : `, now in ${placeText(logs[at] ?? "")}.`}
      </p>
      {error === undefined ? null : <Failure message={error} onRetry={() => onGoOn(at, next ?? undefined)} />}
      {events.length === 0 && !isLoading && error === undefined ? (
        <Empty title={isOver ? "No event matches." : "No event matches in what was read so far."} />
      ) : null}
      {events.length === 0 ? null : <Table events={events} />}
      {next === null || next === undefined || isLoading ? null : (
        <button type="button" onClick={() => onGoOn(at, next)}>
          Go on from event {fullCount(next)}
        </button>
      )}
    </section>
  );
}

function Table({ events }: Pick<State, "events">): JSX.Element {
  return (
    <div class="table-room" tabIndex={0} role="region" aria-label="Table of events">
      <table>
        <thead>
          <tr>
            <th scope="col">Received</th>
            <th scope="col">Event</th>
            <th scope="col">User</th>
            <th scope="col">Source</th>
            <th scope="col">Message id</th>
          </tr>
        </thead>
        <tbody>
          {events.map(({ log, position, receivedAt, source, type, name, messageId, userId, anonymousId }) => (
            <tr key={`${log}/${position}`}>
              <td>
                <Time at={receivedAt} />
              </td>
              <td>
                <Link href={hrefOf("event", { params: { environment: log, position: String(position) } })}>
                  {name ?? type ?? `event ${position}`}
                </Link>
              </td>
              <td>{userId ?? anonymousId ?? ""}</td>
              <td>{source}</td>
              <td>
                <code>{messageId ?? ""}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
