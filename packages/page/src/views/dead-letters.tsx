/** The dead letters of one destination: by reason, filtered, inspected, retried or discarded. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { live } from "../api/live.ts";
import { urlOf } from "../api/routes.ts";
import { session } from "../api/session.ts";
import { useStore } from "../browser/store.ts";
import { counted, fullCount } from "../format/numbers.ts";
import { deadLetterQuery } from "../model/filters.ts";
import { destinationOf, placeOf, placeText } from "../model/lanes.ts";
import { Link, replaceUrl, setFilters } from "../router/navigation.tsx";
import { hrefOf, type Route } from "../router/route.ts";
import { Choice, FilterField, TimeField } from "../ui/fields.tsx";
import { Empty, Failure, Loading, Unanswered } from "../ui/notes.tsx";
import { VirtualList } from "../ui/virtual-list.tsx";
import { DeadLetterDialog, type Intent, type Result, ResultNote } from "./dead-letter-actions.tsx";
import { Inspection } from "./dead-letter-inspection.tsx";
import { DeadLetterRow } from "./dead-letter-row.tsx";
import { ReasonGroups } from "./reason-groups.tsx";
import { Title } from "./title.tsx";
import { type DeadLetterList, useDeadLetters } from "./use-dead-letters.ts";

const ROW_PX = 44;
/** As many ids as one request may name. */
const SELECTED_MAX = 1_000;

export function DeadLettersView({ route }: { readonly route: Route }): JSX.Element {
  const { environment = "", destination = "" } = route.params;
  const { overview } = useStore(live);
  const place = placeOf(environment);
  const found = overview && destinationOf(overview, { environment, destination });
  const waiting = found?.deadLetters;
  const list = useDeadLetters({ environment, destination }, deadLetterQuery(route.query), waiting);
  const [result, setResult] = useState<Result>();
  return (
    <>
      <Title text={`Dead letters of ${destination}`}>
        <span class="muted">in {placeText(environment)}</span>
        <Link href={hrefOf("destination", { params: { environment, destination } })}>the destination</Link>
        {place.partition === undefined ? null : (
          <Link href={hrefOf("deadLetters", { params: { environment: place.environment, destination } })}>
            all partitions
          </Link>
        )}
        <Link href={hrefOf("deadLetterOverview")}>all destinations</Link>
      </Title>
      <section class="panel" aria-labelledby="reasons">
        <h2 id="reasons">By reason</h2>
        <ReasonGroups environment={environment} destination={destination} waiting={waiting ?? 0} query={route.query} />
      </section>
      <Filters route={route} />
      {result === undefined ? null : <ResultNote result={result} />}
      <List
        route={route}
        list={list}
        isOfPartitions={found?.partitions !== undefined}
        onResult={(next) => {
          setResult(next);
          list.again();
        }}
      />
    </>
  );
}

function Filters({ route }: { readonly route: Route }): JSX.Element {
  const { query } = route;
  const set = (name: string) => (value: string) => setFilters({ [name]: value });
  const isFiltered = Object.keys(query).some((name) => name !== "inspect");
  return (
    <div class="filters" role="search" aria-label="Filter dead letters">
      <FilterField label="Reason contains" value={query["reason"] ?? ""} onChange={set("reason")} />
      <FilterField label="Event name" value={query["name"] ?? ""} onChange={set("name")} />
      <FilterField label="User" value={query["user"] ?? ""} onChange={set("user")} />
      <TimeField label="Refused since" value={query["since"] ?? ""} onChange={set("since")} />
      <TimeField label="Refused before" value={query["until"] ?? ""} onChange={set("until")} />
      <Choice
        label="State"
        value={query["state"] ?? "waiting"}
        options={[
          ["waiting", "waiting"],
          ["retried", "retried"],
          ["discarded", "discarded"],
          ["all", "all"],
        ]}
        onChange={set("state")}
      />
      {isFiltered ? (
        <button type="button" onClick={() => replaceUrl(hrefOf("deadLetters", { params: route.params }))}>
          Clear the filters
        </button>
      ) : null}
    </div>
  );
}

interface ListProps {
  readonly route: Route;
  readonly list: DeadLetterList;
  /** It has those of several partitions. */
  readonly isOfPartitions: boolean;
  readonly onResult: (result: Result) => void;
}

function List({ route, list, isOfPartitions, onResult }: ListProps): JSX.Element {
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [intent, setIntent] = useState<Intent>();
  const { rows, error, isLoading } = list;
  const inspected = route.query["inspect"];
  const inspect = (id: string | undefined): void => setFilters({ inspect: id ?? "" });
  const toggle = (id: string): void => {
    const next = new Set(selected);
    if (!next.delete(id) && next.size < SELECTED_MAX) next.add(id);
    setSelected(next);
  };
  return (
    <section class="panel" aria-labelledby="list">
      <div class="subhead">
        <Heading list={list} isOfPartitions={isOfPartitions} />
        <Toolbar route={route} selected={selected} onIntent={setIntent} onClear={() => setSelected(new Set())} />
      </div>
      {error === undefined ? null : <Failure message={error} onRetry={list.again} />}
      {list.unanswered === undefined ? null : <Unanswered text={list.unanswered} />}
      {list.isOld ? <Old onLoad={list.again} /> : null}
      {rows.length === 0 && isLoading ? <Loading what="dead letters" /> : null}
      {rows.length === 0 && !isLoading && error === undefined ? (
        <Empty title="No dead letter matches." />
      ) : (
        <VirtualList
          label="Dead letters"
          count={rows.length}
          rowHeightPx={ROW_PX}
          onEnd={list.more}
          row={(index) => {
            const row = rows[index];
            return row === undefined ? null : (
              <DeadLetterRow
                row={row}
                isSelected={selected.has(row.id)}
                onToggle={() => toggle(row.id)}
                onInspect={() => inspect(row.id)}
              />
            );
          }}
        />
      )}
      {inspected === undefined ? null : (
        <Inspection
          route={route}
          id={inspected}
          onClose={() => inspect(undefined)}
          onIntent={(next) => {
            inspect(undefined);
            setIntent(next);
          }}
        />
      )}
      {intent === undefined ? null : (
        <DeadLetterDialog
          route={route}
          intent={intent}
          onClose={() => setIntent(undefined)}
          onResult={(result) => {
            setSelected(new Set());
            onResult(result);
          }}
        />
      )}
    </section>
  );
}

function Heading({ list, isOfPartitions }: Pick<ListProps, "list" | "isOfPartitions">): JSX.Element {
  const { rows, isAll } = list;
  return (
    <h2 id="list">
      Dead letters{" "}
      <span class="muted">
        {fullCount(rows.length)}
        {isAll ? "" : " so far, more as you scroll"}
        {isOfPartitions && rows.length > 0 ? "; one partition after another, the oldest of each first" : ""}
      </span>
    </h2>
  );
}

function Old({ onLoad }: { readonly onLoad: () => void }): JSX.Element {
  return (
    <div class="note" role="status">
      <p>Dead letters came or went since this list was loaded.</p>
      <button type="button" onClick={onLoad}>
        Load again
      </button>
    </div>
  );
}

interface ToolbarProps {
  readonly route: Route;
  readonly selected: ReadonlySet<string>;
  readonly onIntent: (intent: Intent) => void;
  readonly onClear: () => void;
}

function Toolbar({ route, selected, onIntent, onClear }: ToolbarProps): JSX.Element {
  const state = useStore(session);
  const mayAct = state.is === "known" && state.session.role === "full";
  const ids = [...selected];
  const url = urlOf("exportDeadLetters", { params: route.params, query: deadLetterQuery(route.query) });
  return (
    <div class="actions">
      {mayAct && ids.length > 0 ? (
        <>
          <button type="button" class="primary" onClick={() => onIntent({ does: "retry", ids })}>
            Retry {counted(ids.length, "selected", "selected")}
          </button>
          <button type="button" onClick={() => onIntent({ does: "discard", ids })}>
            Discard {counted(ids.length, "selected", "selected")}
          </button>
          <button type="button" onClick={onClear}>
            Select none
          </button>
        </>
      ) : null}
      {mayAct && ids.length === 0 ? (
        <>
          <button type="button" onClick={() => onIntent({ does: "retry", ids: undefined })}>
            Retry all that match
          </button>
          <button type="button" onClick={() => onIntent({ does: "discard", ids: undefined })}>
            Discard all that match
          </button>
        </>
      ) : null}
      <a class="button" href={url} download={`dead-letters-${route.params["destination"]}.ndjson`}>
        Export
      </a>
    </div>
  );
}
