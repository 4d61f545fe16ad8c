/** Finding events: by message id, receipt or position, or by what they are in a time range. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call } from "../api/call.ts";
import { live } from "../api/live.ts";
import type { TracedEvent } from "../api/types.ts";
import { useAnswer } from "../api/use-answer.ts";
import { useStore } from "../browser/store.ts";
import { headOf } from "../model/event-head.ts";
import { type EventId, eventIdOf } from "../model/filters.ts";
import { logsAndParts, logsOf, placeText } from "../model/lanes.ts";
import { go, Link } from "../router/navigation.tsx";
import { hrefOf, type Params, type Route } from "../router/route.ts";
import { Badge } from "../ui/badges.tsx";
import { Choice, Field, TimeField } from "../ui/fields.tsx";
import { Empty, Loading, Unanswered } from "../ui/notes.tsx";
import { Time } from "../ui/values.tsx";
import { FoundEvents } from "./found-events.tsx";
import { Title } from "./title.tsx";

const SEARCHED = ["user", "name", "type", "source", "since", "until"] as const;

export function EventsView({ route }: { readonly route: Route }): JSX.Element {
  const { query } = route;
  const { id = "", environment = "" } = query;
  const { overview } = useStore(live);
  const environments = overview?.environments ?? [];
  const names = logsAndParts(environments);
  const logs = names.length === 0 ? [] : logsOf(environments, environment === "" ? (names[0] ?? "") : environment);
  const isSearch = SEARCHED.some((name) => query[name] !== undefined) || (query["go"] === "1" && id === "");
  return (
    <>
      <Title text="Events" />
      <ById id={id} environment={environment} isCluster={overview?.cluster !== undefined} />
      <ByFilter query={query} names={names} />
      {id === "" || names.length === 0 ? null : (
        <FoundById id={id} environment={environment === "" ? (names[0] ?? "") : environment} />
      )}
      {id === "" && isSearch && logs.length > 0 ? <FoundEvents query={query} logs={logs} /> : null}
      {id === "" && !isSearch ? (
        <Empty title="Look for one event, or for those of a user.">
          <p>
            A message id, a receipt or a position finds its event at once. There is no index for anything else: the log
            is read from the oldest on, 1 GiB at a time, and goes on when you want it to. A time range makes it short.
          </p>
        </Empty>
      ) : null}
    </>
  );
}

interface ByIdProps {
  readonly id: string;
  readonly environment: string;
}

function ById({ id, environment, isCluster }: ByIdProps & { readonly isCluster: boolean }): JSX.Element {
  const [given, setGiven] = useState(id);
  useEffect(() => setGiven(id), [id]);
  const submit = (event: Event): void => {
    event.preventDefault();
    go(hrefOf("events", { query: { id: given.trim(), environment } }));
  };
  return (
    <form class="filters one" role="search" aria-label="Find one event" onSubmit={submit}>
      <Field
        label="Message id, receipt or position"
        type="search"
        value={given}
        onChange={setGiven}
        placeholder={`0192f3c8-… or ${isCluster ? "production/3@1841+2" : "1841"}`}
      />
      <button type="submit" class="primary" disabled={given.trim() === ""}>
        Find
      </button>
    </form>
  );
}

interface ByFilterProps {
  readonly query: Params;
  /** Of environments, and of their partitions. */
  readonly names: readonly string[];
}

function ByFilter({ query, names }: ByFilterProps): JSX.Element {
  const [filter, setFilter] = useState<Params>(query);
  useEffect(() => setFilter(query), [query]);
  const set = (name: string) => (value: string) => setFilter({ ...filter, [name]: value });
  const submit = (event: Event): void => {
    event.preventDefault();
    const { id: _id, from: _from, ...rest } = filter;
    go(hrefOf("events", { query: { environment: names[0], ...rest, go: "1" } }));
  };
  return (
    <form class="filters" role="search" aria-label="Search events" onSubmit={submit}>
      <Choice
        label="Environment"
        value={filter["environment"] ?? names[0] ?? ""}
        options={names.map((name) => [name, name] as const)}
        onChange={set("environment")}
      />
      <Field label="User" value={filter["user"] ?? ""} onChange={set("user")} />
      <Field label="Event name" value={filter["name"] ?? ""} onChange={set("name")} />
      <Field label="Type" value={filter["type"] ?? ""} onChange={set("type")} />
      <Field label="Source" value={filter["source"] ?? ""} onChange={set("source")} />
      <TimeField label="Received since" value={filter["since"] ?? ""} onChange={set("since")} />
      <TimeField label="Received before" value={filter["until"] ?? ""} onChange={set("until")} />
      <button type="submit" class="primary">
        Search the log
      </button>
    </form>
  );
}

function FoundById({ id, environment }: ByIdProps): JSX.Element {
  const [unanswered, setUnanswered] = useState<string>();
  const answer = useAnswer(`${id}\n${environment}`, (signal) => {
    setUnanswered(undefined);
    return found(eventIdOf(id), { environment, signal, onUnanswered: setUnanswered });
  });
  const { value, error, isLoading, again } = answer;
  if (isLoading) return <Loading what="the event" />;
  if (error !== undefined)
    return (
      <Empty title="No event was found.">
        <p>{error}</p>
        <button type="button" onClick={again}>
          Try again
        </button>
      </Empty>
    );
  return (
    <>
      {unanswered === undefined ? null : <Unanswered text={unanswered} />}
      <Traced events={value ?? []} />
    </>
  );
}

interface Where {
  readonly environment: string;
  readonly signal: AbortSignal;
  readonly onUnanswered: (text: string) => void;
}

async function found(id: EventId | undefined, { environment, ...options }: Where): Promise<readonly TracedEvent[]> {
  if (id === undefined) return [];
  if (id.is === "messageId") return (await call("trace", { params: { messageId: id.messageId }, ...options })).events;
  const { positions, place } =
    id.is === "position"
      ? { positions: id.position, place: environment }
      : { positions: id.positions, place: id.environment ?? environment };
  return (await call("traceReceipt", { params: { environment: place, positions }, ...options })).events;
}

function Traced({ events }: { readonly events: readonly TracedEvent[] }): JSX.Element {
  const [only] = events;
  useEffect(() => {
    if (events.length !== 1 || only === undefined) return;
    const params = { environment: only.environment, position: String(only.position) };
    go(hrefOf("event", { params }));
  }, [events]);
  return (
    <ul class="cards">
      {events.map(({ environment, position, event, source, receivedAtMs, destinations }) => (
        <li class="card" key={`${environment}/${position}`}>
          <div class="card-head">
            <Link class="name" href={hrefOf("event", { params: { environment, position: String(position) } })}>
              {headOf(event).name || `event ${position}`}
            </Link>
            <span class="muted">
              {placeText(environment)}, from {source ?? "a source that is not known"}
            </span>
            {receivedAtMs === undefined ? null : <Time at={receivedAtMs} />}
          </div>
          <p class="badges">
            {destinations.map(({ destination, outcome }) => (
              <span key={destination}>
                {destination} <Badge name={outcome} />
              </span>
            ))}
          </p>
        </li>
      ))}
    </ul>
  );
}
