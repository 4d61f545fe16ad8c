/** Events as they are stored. A watcher that is too slow skips, and says so. */
import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { call } from "../api/call.ts";
import { live } from "../api/live.ts";
import { urlOf } from "../api/routes.ts";
import { useAnswer } from "../api/use-answer.ts";
import { after, type Timer } from "../browser/clock.ts";
import { useStore } from "../browser/store.ts";
import { counted, fullCount } from "../format/numbers.ts";
import { curlOf } from "../model/curl.ts";
import { headOf } from "../model/event-head.ts";
import { tailQuery } from "../model/filters.ts";
import { intakeOf } from "../model/intake.ts";
import { logsAndParts, placeOf } from "../model/lanes.ts";
import { createTailBuffer, type TailRow } from "../model/tail-buffer.ts";
import { Link, setFilters } from "../router/navigation.tsx";
import { hrefOf, type Params, type Route } from "../router/route.ts";
import { Code, CopyButton } from "../ui/copy.tsx";
import { Choice, FilterField } from "../ui/fields.tsx";
import { Empty } from "../ui/notes.tsx";
import { Time } from "../ui/values.tsx";
import { Title } from "./title.tsx";

/** Rows in the document. */
const SHOWN = 100;
/** Often enough to look live; a burst is drawn as one. */
const DRAW_MS = 250;
const RETRY_MS = 2_000;
const INDENT = 2;

interface Watched {
  readonly rows: readonly TailRow[];
  readonly seen: number;
  readonly skipped: number;
  readonly isLost: boolean;
  /** Why something is not shown from some time on. */
  readonly interrupted: string | undefined;
}

export function TailView({ route }: { readonly route: Route }): JSX.Element {
  const { overview } = useStore(live);
  const environments = overview?.environments ?? [];
  const names = logsAndParts(environments);
  const { environment = names[0] ?? "" } = route.query;
  const sources = environments.find(({ name }) => name === placeOf(environment).environment)?.sources ?? [];
  const [isHeld, setIsHeld] = useState(false);
  const config = useAnswer("config", (signal) => call("showConfig", { signal }));
  const intake = intakeOf(config.value, location);
  const query = { ...tailQuery(route.query), environment };
  const watched = useTail(query, isHeld || environment === "");
  const set = (name: string) => (value: string) => setFilters({ [name]: value });
  return (
    <>
      <Title text="Live tail" />
      <div class="filters" role="search" aria-label="Filter the tail">
        <Choice
          label="Environment"
          value={environment}
          options={names.map((name) => [name, name] as const)}
          onChange={(next) => setFilters({ environment: next, source: "" })}
        />
        <Choice
          label="Source"
          value={route.query["source"] ?? ""}
          options={[["", "all"], ...sources.map(({ name }) => [name, name] as const)]}
          onChange={set("source")}
        />
        <FilterField label="Type" value={route.query["type"] ?? ""} onChange={set("type")} />
        <FilterField label="Event name" value={route.query["name"] ?? ""} onChange={set("name")} />
        <FilterField label="User" value={route.query["user"] ?? ""} onChange={set("user")} />
        <button type="button" class="primary" aria-pressed={isHeld} onClick={() => setIsHeld(!isHeld)}>
          {isHeld ? "Go on" : "Hold"}
        </button>
      </div>
      <State watched={watched} isHeld={isHeld} />
      {watched.rows.length === 0 ? (
        <Empty title={isHeld ? "The tail is held." : "Waiting for events that match."}>
          <p>Events are shown from now on, as they are stored. Older ones are found by a search.</p>
        </Empty>
      ) : (
        <ul class="tail panel" aria-label="Events, newest first">
          {watched.rows.map((row) => (
            <Row
              key={row.key}
              row={row}
              protocol={sources.find(({ name }) => name === row.event.source)?.protocol ?? ""}
              intake={intake}
            />
          ))}
        </ul>
      )}
    </>
  );
}

interface StateProps {
  readonly watched: Watched;
  readonly isHeld: boolean;
}

function State({ watched, isHeld }: StateProps): JSX.Element {
  const { seen, skipped, rows, isLost, interrupted } = watched;
  return (
    <p class="muted">
      {fullCount(seen)} seen, the newest {fullCount(rows.length)} shown{isHeld ? "; held" : ""}.{" "}
      {skipped === 0 ? null : (
        <b role="status">
          {counted(skipped, "event")} skipped: they came faster than this page takes them. Ingest was not slowed; a
          filter shows fewer.
        </b>
      )}
      {interrupted === undefined ? null : <b role="status"> {interrupted}</b>}
      {isLost ? <b role="status"> The connection is lost; it is opened again.</b> : null}
    </p>
  );
}

interface RowProps {
  readonly row: TailRow;
  readonly protocol: string;
  /** Where the relay takes events. */
  readonly intake: string;
}

function Row({ row, protocol, intake }: RowProps): JSX.Element {
  const [isOpen, setIsOpen] = useState(false);
  const { environment, source, position, receivedAtMs, event } = row.event;
  const { type, name, user } = headOf(event);
  return (
    <li>
      <div class="tail-row">
        <button
          type="button"
          class="plain tail-open"
          aria-expanded={isOpen}
          onClick={() => setIsOpen(!isOpen)}
          title="Show its JSON"
        >
          <Time at={receivedAtMs} />
          <b class="tail-name">{name === "" ? type : name}</b>
          <span class="muted">{type}</span>
          <span class="muted">{user}</span>
          <span class="muted">{source}</span>
        </button>
        <Link href={hrefOf("event", { params: { environment, position: String(position) } })}>story</Link>
        <CopyButton text={() => curlOf({ event, protocol, intake })} label="Copy as curl" />
      </div>
      {isOpen ? <Code text={JSON.stringify(event, undefined, INDENT)} label="The event as JSON" /> : null}
    </li>
  );
}

const NOTHING: Watched = { rows: [], seen: 0, skipped: 0, isLost: false, interrupted: undefined };

function useTail(query: Params, isHeld: boolean): Watched {
  const [watched, setWatched] = useState<Watched>(NOTHING);
  const buffer = useRef(createTailBuffer(SHOWN));
  const url = urlOf("tail", { query });
  // Not later than it is drawn: a tail that is shown as held does not change.
  useLayoutEffect(() => {
    buffer.current = createTailBuffer(SHOWN);
    setWatched(NOTHING);
  }, [url]);
  useLayoutEffect(() => {
    if (isHeld) return undefined;
    let drawing: Timer | undefined;
    let retry: Timer | undefined;
    let source: EventSource;
    const draw = (): void => {
      drawing = undefined;
      setWatched(({ interrupted }) => ({ ...buffer.current.view(), isLost: false, interrupted }));
    };
    const open = (): void => {
      source = new EventSource(url);
      source.addEventListener("message", (event: MessageEvent<string>) => {
        buffer.current.add(event.data);
        drawing ??= after(DRAW_MS, draw);
      });
      source.addEventListener("skipped", (event) => {
        const { events } = JSON.parse((event as MessageEvent<string>).data) as { readonly events: number };
        buffer.current.skip(events);
        drawing ??= after(DRAW_MS, draw);
      });
      source.addEventListener("interrupted", (event) => {
        const { reason } = JSON.parse((event as MessageEvent<string>).data) as { readonly reason: string };
        setWatched((before) => ({ ...before, interrupted: reason }));
      });
      source.addEventListener("error", () => {
        source.close();
        setWatched((before) => ({ ...before, isLost: true }));
        retry = after(RETRY_MS, open);
      });
    };
    open();
    return () => {
      source.close();
      drawing?.cancel();
      retry?.cancel();
    };
  }, [url, isHeld]);
  return watched;
}
