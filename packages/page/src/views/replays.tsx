/** Replays: what runs, how far it is, and starting one. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../api/call.ts";
import { live } from "../api/live.ts";
import { session } from "../api/session.ts";
import type { OverviewReplay } from "../api/types.ts";
import { useStore } from "../browser/store.ts";
import { counted, fullCount, percent } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { placeText } from "../model/lanes.ts";
import { isOver, orderedReplays, progressOf } from "../model/replay.ts";
import { Link } from "../router/navigation.tsx";
import { hrefOf, type Route } from "../router/route.ts";
import { announce } from "../ui/announcer.tsx";
import { Badge } from "../ui/badges.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { LedgerBar } from "../ui/ledger-bar.tsx";
import { Empty, Loading } from "../ui/notes.tsx";
import { Age, Count, Rate } from "../ui/values.tsx";
import { NewReplay } from "./new-replay.tsx";
import { Title } from "./title.tsx";

const SHOWN_MAX = 100;

export function ReplaysView({ route }: { readonly route: Route }): JSX.Element {
  const { overview } = useStore(live);
  const state = useStore(session);
  const mayStart = state.is === "known" && state.session.role === "full";
  const replays = orderedReplays(overview?.replays ?? []);
  const named = route.query["replay"];
  return (
    <>
      <Title text="Replays" />
      <p class="lead">
        A replay sends a part of the log, or dead letters, to a destination again. Ids stay the same, so a vendor that
        knows them counts nothing twice.
      </p>
      {mayStart ? <NewReplay route={route} /> : null}
      <section class="panel" aria-labelledby="replays">
        <h2 id="replays">
          Replays <span class="muted">those that run first</span>
        </h2>
        {overview === undefined ? <Loading what="replays" /> : null}
        {overview !== undefined && replays.length === 0 ? <Empty title="No replay was started yet." /> : null}
        <ul class="cards">
          {replays.slice(0, SHOWN_MAX).map((replay) => (
            <Replay key={replay.id} replay={replay} isNamed={replay.id === named} mayCancel={mayStart} />
          ))}
        </ul>
      </section>
    </>
  );
}

interface ReplayProps {
  readonly replay: OverviewReplay;
  readonly isNamed: boolean;
  readonly mayCancel: boolean;
}

function Replay({ replay, isNamed, mayCancel }: ReplayProps): JSX.Element {
  const {
    id,
    environment,
    destination,
    of,
    createdAtMs,
    state,
    reason,
    account,
    partitions = [],
    eventsPerSecond,
  } = replay;
  const only = partitions.length === 1 ? partitions[0] : undefined;
  const [isCancelling, setIsCancelling] = useState(false);
  const label = `Replay of ${of} to ${destination}`;
  return (
    <li class={isNamed ? "card named" : "card"}>
      <div class="card-head">
        <Link class="name" href={hrefOf("destination", { params: { environment, destination } })}>
          {destination}
        </Link>
        <span class="muted">
          {of}, in {placeText(only === undefined ? environment : `${environment}/${only.partition}`)}, started{" "}
          <Age at={createdAtMs} />
        </span>
        <Badge name={state} title={reason ?? ""} />
        {reason === undefined ? null : <span class="reason">{reason}</span>}
        {mayCancel && !isOver(replay) ? (
          <button type="button" class="small" onClick={() => setIsCancelling(true)} aria-label={`Cancel: ${label}`}>
            Cancel
          </button>
        ) : null}
      </div>
      <Progress replay={replay} label={label} eventsPerSecond={eventsPerSecond} />
      <LedgerBar account={account} label={label} />
      {partitions.length > 1 ? <Parts partitions={partitions} label={label} /> : null}
      {isCancelling ? (
        <Dialog
          title={`Cancel the ${label.toLowerCase()}`}
          action="Cancel the replay"
          isDangerous
          onClose={() => setIsCancelling(false)}
          onConfirm={async () => {
            await call("cancelReplay", { params: { environment, id } });
            announce("The replay is cancelled.");
          }}
        >
          <p>
            {counted(account.delivered, "event")} were delivered by it; {counted(account.pending, "event")} will not be
            sent. The log keeps all of them.
          </p>
        </Dialog>
      ) : null}
    </li>
  );
}

interface PartsProps {
  readonly partitions: NonNullable<OverviewReplay["partitions"]>;
  readonly label: string;
}

/** With a thousand partitions a reader who is not looking for one has no use for them. */
function Parts({ partitions, label }: PartsProps): JSX.Element {
  const over = partitions.filter(isOver).length;
  return (
    <details class="parts">
      <summary>
        {counted(partitions.length, "partition")}, {fullCount(over)} over
      </summary>
      <ul aria-label={`Partitions of the ${label.toLowerCase()}`}>
        {partitions.map(({ partition, state, reason, account: { accepted, pending } }) => (
          <li key={partition}>
            Partition {partition} <Badge name={state} />{" "}
            <span class="number">
              {fullCount(accepted - pending)} of {counted(accepted, "event")}
            </span>
            {reason === undefined ? null : <span class="reason"> {reason}</span>}
          </li>
        ))}
      </ul>
    </details>
  );
}

interface ProgressProps {
  readonly replay: OverviewReplay;
  readonly label: string;
  readonly eventsPerSecond: number;
}

function Progress({ replay, label, eventsPerSecond }: ProgressProps): JSX.Element {
  const { settled, total, share, remainingMs } = progressOf(replay, eventsPerSecond);
  const text = `${percent(settled, total)} of ${counted(total, "event")}`;
  return (
    <div class="progress-row">
      <progress max={1} value={share} aria-label={`${label}: ${text}`} />
      <span>
        {percent(settled, total)} of <Count value={total} />
      </span>
      {isOver(replay) ? null : (
        <span class="muted">
          <Rate value={eventsPerSecond} />
          {remainingMs === undefined ? "" : `, ${duration(remainingMs)} left`}
        </span>
      )}
    </div>
  );
}
