/** What a search of the log has found; it goes on when the reader wants it to. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { call, messageOf } from "../api/call.ts";
import { noteFailure } from "../api/session.ts";
import type { FoundEvent } from "../api/types.ts";
import { fullCount, shortBytes } from "../format/numbers.ts";
import { searchQuery } from "../model/filters.ts";
import { Link } from "../router/navigation.tsx";
import { hrefOf, type Params } from "../router/route.ts";
import { Empty, Failure } from "../ui/notes.tsx";
import { Time } from "../ui/values.tsx";

interface State {
  readonly events: readonly FoundEvent[];
  readonly scannedBytes: number;
  /** Where to go on; `undefined` before the first answer, `null` at the end of the log. */
  readonly next: number | null | undefined;
  readonly error: string | undefined;
  readonly isLoading: boolean;
}

const NOTHING: State = { events: [], scannedBytes: 0, next: undefined, error: undefined, isLoading: true };

export function FoundEvents({ query }: { readonly query: Params }): JSX.Element {
  const [state, setState] = useState<State>(NOTHING);
  const controller = useRef(new AbortController());
  const search = (from: number | undefined): void => {
    const { signal } = controller.current;
    setState((before) => ({ ...before, isLoading: true, error: undefined }));
    call("searchEvents", { query: { ...searchQuery(query), ...(from === undefined ? {} : { from }) }, signal }).then(
      ({ events, scannedBytes, next }) =>
        setState((before) => ({
          events: [...before.events, ...events],
          scannedBytes: before.scannedBytes + scannedBytes,
          next,
          error: undefined,
          isLoading: false,
        })),
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
    search(undefined);
    return () => controller.current.abort();
  }, [JSON.stringify(searchQuery(query))]);
  return <Found state={state} environment={query["environment"] ?? ""} onGoOn={search} />;
}

interface FoundProps {
  readonly state: State;
  readonly environment: string;
  readonly onGoOn: (from: number | undefined) => void;
}

function Found({ state, environment, onGoOn }: FoundProps): JSX.Element {
  const { events, scannedBytes, next, error, isLoading } = state;
  const isOver = next === null;
  return (
    <section class="panel" aria-labelledby="found">
      <h2 id="found">
        Found <span class="muted">{fullCount(events.length)}, oldest first</span>
      </h2>
      <p role="status" class="muted">
        {isLoading ? "Reading the log from the oldest on… " : ""}
        {shortBytes(scannedBytes)} read{isOver ? ", to the end of the log or of the time range." : "."}
      </p>
      {error === undefined ? null : <Failure message={error} onRetry={() => onGoOn(next ?? undefined)} />}
      {events.length === 0 && !isLoading && error === undefined ? (
        <Empty title={isOver ? "No event matches." : "No event matches in what was read so far."} />
      ) : (
        <Table events={events} environment={environment} />
      )}
      {next === null || next === undefined || isLoading ? null : (
        <button type="button" onClick={() => onGoOn(next)}>
          Go on from event {fullCount(next)}
        </button>
      )}
    </section>
  );
}

interface TableProps {
  readonly events: readonly FoundEvent[];
  readonly environment: string;
}

function Table({ events, environment }: TableProps): JSX.Element {
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
          {events.map(({ position, receivedAt, source, type, name, messageId, userId, anonymousId }) => (
            <tr key={position}>
              <td>
                <Time at={receivedAt} />
              </td>
              <td>
                <Link href={hrefOf("event", { params: { environment, position: String(position) } })}>
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
