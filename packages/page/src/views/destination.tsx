/** One destination: what it does now, its requests as they happen, dead letters, settings. */
import type { JSX } from "preact";
import { call } from "../api/call.ts";
import { live } from "../api/live.ts";
import type { LaneDetail, Overview, OverviewDestination } from "../api/types.ts";
import { useAnswer } from "../api/use-answer.ts";
import { useStore } from "../browser/store.ts";
import { counted, fullCount } from "../format/numbers.ts";
import { concerns, destinationOf, placeOf, placeText, relayOf, shownMode } from "../model/lanes.ts";
import { settingRows } from "../model/settings.ts";
import { Link } from "../router/navigation.tsx";
import { hrefOf, type Route } from "../router/route.ts";
import { Badge } from "../ui/badges.tsx";
import { LedgerBar } from "../ui/ledger-bar.tsx";
import { Empty, Failure, Loading } from "../ui/notes.tsx";
import { Age } from "../ui/values.tsx";
import { Attempts } from "./attempts.tsx";
import { LaneActions } from "./lane-actions.tsx";
import { Charts } from "./last-hour.tsx";
import { DestinationStats } from "./overview-destinations.tsx";
import { PartitionsOf } from "./partitions-of.tsx";
import { Problems } from "./problems.tsx";
import { ReasonGroups } from "./reason-groups.tsx";
import { Title } from "./title.tsx";

export function DestinationView({ route }: { readonly route: Route }): JSX.Element {
  const { environment = "", destination = "" } = route.params;
  const { overview } = useStore(live);
  const found = overview && destinationOf(overview, { environment, destination });
  const relay = overview && relayOf(overview, { environment, destination });
  return (
    <>
      <Title text={destination}>
        <span class="muted">
          {found?.vendor} in {placeText(environment)}
          {relay === undefined ? "" : `, at ${relay}`}
        </span>
        {found === undefined ? null : <Badge name={shownMode(found)} />}
        {placeOf(environment).partition === undefined ? null : (
          <Link
            href={hrefOf("destination", { params: { environment: placeOf(environment).environment, destination } })}
          >
            all partitions
          </Link>
        )}
      </Title>
      {overview === undefined ? <Loading what="the destination" /> : null}
      {overview !== undefined && found === undefined ? <Gone {...{ overview, environment, destination }} /> : null}
      {overview === undefined || found === undefined ? null : (
        <Shown environment={environment} overview={overview} found={found} />
      )}
    </>
  );
}

interface ShownProps {
  readonly environment: string;
  readonly overview: Overview;
  readonly found: OverviewDestination;
}

function Shown({ environment, overview, found }: ShownProps): JSX.Element {
  const { name: destination, partitions } = found;
  const place = { environment, destination };
  const params = { environment: laneAt(environment, found), destination };
  const lane = useAnswer(
    `${params.environment}\n${destination}`,
    (signal) => call("showLane", { params, signal }),
    found.mode,
  );
  return (
    <>
      <Problems problems={overview.problems.filter((one) => concerns(one, place))} />
      <Now environment={environment} found={found} lane={lane.value} onChanged={lane.again} />
      <section class="panel" aria-labelledby="hour">
        <h2 id="hour">The last hour</h2>
        <Charts environment={environment} destination={destination} any={destination} />
      </section>
      {partitions === undefined ? (
        <Attempts environment={environment} destination={destination} />
      ) : (
        <PartitionsOf environment={environment} destination={found} relays={overview.cluster?.relays ?? []} />
      )}
      <section class="panel" aria-labelledby="dead">
        <h2 id="dead">Dead letters by reason</h2>
        <ReasonGroups environment={environment} destination={destination} waiting={found.deadLetters} />
      </section>
      {lane.error === undefined ? null : <Failure message={lane.error} onRetry={lane.again} />}
      {lane.value === undefined ? null : <Settings lane={lane.value} />}
    </>
  );
}

/** Where its settings are: each of its lanes has the same. */
function laneAt(environment: string, { partitions: [any] = [] }: OverviewDestination): string {
  return any === undefined ? environment : `${environment}/${any.partition}`;
}

interface GoneProps {
  readonly overview: Overview;
  readonly environment: string;
  readonly destination: string;
}

function Gone({ overview, environment: name, destination }: GoneProps): JSX.Element {
  const { environment, partition } = placeOf(name);
  const whole = destinationOf(overview, { environment, destination });
  if (partition !== undefined && whole?.missingPartitions?.includes(partition) === true)
    return (
      <Empty title={`No relay has reported partition ${partition}.`}>
        <p>
          It goes from one relay to another, or the relay that has it does not answer. Its events are kept, and it is
          shown here as soon as it is reported.
        </p>
      </Empty>
    );
  return (
    <Empty title="There is no such destination.">
      <p>
        It may have been removed from the configuration.{" "}
        <Link href={hrefOf("overview", { query: { environment } })}>See those that there are</Link>.
      </p>
    </Empty>
  );
}

interface NowProps {
  readonly environment: string;
  readonly found: OverviewDestination;
  readonly lane: LaneDetail | undefined;
  readonly onChanged: () => void;
}

function Now({ environment, found, lane, onChanged }: NowProps): JSX.Element {
  const { reason, since, limitReason, parkedEvents, lastError, lastErrorAt } = found;
  return (
    <section class="panel" aria-labelledby="now">
      <h2 id="now">Now</h2>
      {reason === null ? null : (
        <p class="reason">
          {reason}
          {since === null ? null : (
            <>
              {", "}
              <Age at={since} />
            </>
          )}
        </p>
      )}
      <DestinationStats environment={environment} destination={found} />
      <LedgerBar account={found.account} label={found.name} />
      <ul class="facts">
        <li>
          At most {counted(found.inFlightLimit, "request")} in flight: {limitReason}.
        </li>
        {lane === undefined ? null : (
          <li>
            Order: {lane.order}
            {found.partitions === undefined
              ? `. ${counted(lane.strands, "strand")} delivered side by side.`
              : ", within each partition."}
          </li>
        )}
        {parkedEvents === 0 ? null : (
          <li>
            {counted(parkedEvents, "event")} of {counted(lane?.parked.users ?? 1, "user")} parked: one event of theirs
            fails while others are delivered.
          </li>
        )}
        {lastError === null ? null : (
          <li>
            Last error: {lastError}
            {lastErrorAt === null ? null : (
              <>
                {", "}
                <Age at={lastErrorAt} />
              </>
            )}
          </li>
        )}
      </ul>
      <LaneActions environment={environment} found={found} onChanged={onChanged} />
    </section>
  );
}

function Settings({ lane }: { readonly lane: LaneDetail }): JSX.Element {
  const rows = settingRows(lane.settings);
  return (
    <section class="panel" aria-labelledby="settings">
      <h2 id="settings">
        Settings <span class="muted">{fullCount(rows.length)}, in force; secrets are not shown</span>
      </h2>
      <div class="table-room" tabIndex={0} role="region" aria-label="Table of settings">
        <table class="settings">
          <thead>
            <tr>
              <th scope="col">Option</th>
              <th scope="col">Value</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ name, shown, whole }) => (
              <tr key={name}>
                <th scope="row">
                  <code>{name}</code>
                </th>
                <td title={whole}>{shown}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
