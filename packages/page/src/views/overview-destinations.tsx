/** The destinations of an environment: what waits where and why, and what will be lost when. */
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { OverviewDestination } from "../api/types.ts";
import { useNow } from "../browser/ticks.ts";
import { counted, fullCount } from "../format/numbers.ts";
import { flowWidth, orderedDestinations, shownMode } from "../model/lanes.ts";
import { Link, setFilters, useRoute } from "../router/navigation.tsx";
import { hrefOf } from "../router/route.ts";
import { Badge } from "../ui/badges.tsx";
import { FilterField } from "../ui/fields.tsx";
import { LedgerBar } from "../ui/ledger-bar.tsx";
import { Empty } from "../ui/notes.tsx";
import { Stat } from "../ui/stat.tsx";
import { Age, Bytes, Count, Rate, Remaining } from "../ui/values.tsx";

/** So many are drawn at once, and so many more each time: a thousand would hold the page up. */
const PAGE = 20;
/** Fewer are found without a filter. */
const FILTER_FROM = 8;
/** A loss within this time is marked; the relay counts it as a problem then. */
const LOSS_ALARM_MS = 24 * 3_600_000;

interface DestinationsProps {
  readonly environment: string;
  readonly destinations: readonly OverviewDestination[];
}

export function Destinations({ environment, destinations }: DestinationsProps): JSX.Element {
  const route = useRoute();
  const { q = "", show = "" } = route.query;
  const limit = Math.max(PAGE, Number(show) || 0);
  const ordered = orderedDestinations(destinations, q);
  return (
    <div class="destinations">
      <div class="subhead">
        <h3>
          Destinations <span class="muted">{fullCount(destinations.length)}</span>
        </h3>
        {destinations.length < FILTER_FROM && q === "" ? null : (
          <FilterField
            label="Name or vendor"
            type="search"
            value={q}
            onChange={(next) => setFilters({ q: next, show: "" })}
          />
        )}
      </div>
      {destinations.length === 0 ? (
        <Empty title="No destination is configured here: events are stored, and go nowhere." />
      ) : null}
      {destinations.length > 0 && ordered.length === 0 ? <Empty title={`No name or vendor has “${q}”.`} /> : null}
      <ul class="cards">
        {ordered.slice(0, limit).map((destination) => (
          <Destination key={destination.name} environment={environment} destination={destination} />
        ))}
      </ul>
      {ordered.length <= limit ? null : (
        <button type="button" onClick={() => setFilters({ show: String(limit + PAGE) })}>
          Show {Math.min(PAGE, ordered.length - limit)} more of {fullCount(ordered.length - limit)}
        </button>
      )}
    </div>
  );
}

interface DestinationProps {
  readonly environment: string;
  readonly destination: OverviewDestination;
}

/** Drawn again only when something of it has changed: of a thousand lanes most have not. */
function Destination(props: DestinationProps): JSX.Element {
  const text = JSON.stringify(props);
  return useMemo(() => <Card {...props} />, [text]);
}

function Card({ environment, destination }: DestinationProps): JSX.Element {
  const { name, vendor, mode, reason, since } = destination;
  const place = { params: { environment, destination: name } };
  return (
    <li class={`card destination mode-${mode} flow-${flowWidth(destination.eventsPerSecondOut)}`}>
      <div class="card-head">
        <Link class="name" href={hrefOf("destination", place)}>
          {name}
        </Link>
        <span class="muted">{vendor}</span>
        <PartitionCount destination={destination} />
        <Badge name={shownMode(destination)} title={reason ?? ""} />
        {reason === null ? null : (
          <span class="reason">
            {reason}
            {since === null ? null : (
              <>
                {", "}
                <Age at={since} />
              </>
            )}
          </span>
        )}
      </div>
      <DestinationStats environment={environment} destination={destination} />
      <LedgerBar account={destination.account} label={name} />
    </li>
  );
}

/** On the disk there are none. */
function PartitionCount({ destination }: Pick<DestinationProps, "destination">): JSX.Element | null {
  const { partitions, missingPartitions = [] } = destination;
  if (partitions === undefined) return null;
  const relays = new Set(partitions.map(({ report }) => report.relay)).size;
  return (
    <span class="muted">
      {counted(partitions.length, "partition")} at {counted(relays, "relay")}
      {missingPartitions.length === 0 ? null : (
        <span class="tone-warn">, {fullCount(missingPartitions.length)} missing</span>
      )}
    </span>
  );
}

export function DestinationStats({ environment, destination }: DestinationProps): JSX.Element {
  const { name, waitingEvents, waitingBytes, oldestAt, inFlight, inFlightLimit, deadLetters, lossAt } = destination;
  const now = useNow();
  const isUnread = oldestAt === null && waitingEvents > 0;
  return (
    <dl class="stats">
      <Stat name="Out">
        <Rate value={destination.eventsPerSecondOut} />
      </Stat>
      <Stat name="Waiting" more={<Bytes value={waitingBytes} />}>
        <Count value={waitingEvents} />
      </Stat>
      <Stat
        name="Oldest"
        title={
          isUnread ? "The first of them has not been read yet: it has just come, or the lane was paused before." : ""
        }
      >
        {oldestAt === null ? isUnread ? "not read yet" : "–" : <Age at={oldestAt} />}
      </Stat>
      <Stat name="In flight" title={destination.limitReason}>
        <span
          class="number"
          title={`${counted(inFlight, "request")} of at most ${inFlightLimit}. ${destination.limitReason}`}
        >
          {inFlight} of {inFlightLimit}
        </span>
      </Stat>
      <Stat name="Dead letters" isAlarming={deadLetters > 0}>
        {deadLetters === 0 ? (
          <Count value={0} of="dead letter" />
        ) : (
          <Link href={hrefOf("deadLetters", { params: { environment, destination: name } })}>
            <Count value={deadLetters} of="dead letter" />
          </Link>
        )}
      </Stat>
      <Stat name="First loss" isAlarming={lossAt !== null && lossAt - now < LOSS_ALARM_MS}>
        {lossAt === null ? "never" : <Remaining at={lossAt} />}
      </Stat>
    </dl>
  );
}
