/** The relays of the cluster, and which of them has which lane. */
import type { JSX } from "preact";
import { live } from "../api/live.ts";
import type { Cluster, ClusterLane } from "../api/types.ts";
import { useStore } from "../browser/store.ts";
import { fullCount } from "../format/numbers.ts";
import { Link, setFilters, useRoute } from "../router/navigation.tsx";
import { hrefOf } from "../router/route.ts";
import { Badge } from "../ui/badges.tsx";
import { FilterField } from "../ui/fields.tsx";
import { Empty, Loading } from "../ui/notes.tsx";
import { Age, Count } from "../ui/values.tsx";
import { Problems } from "./problems.tsx";
import { Title } from "./title.tsx";

/** So many are drawn at once, and so many more each time. */
const PAGE = 50;
const OF_CLUSTER: ReadonlySet<string> = new Set([
  "cluster_not_read",
  "relay_missing",
  "lanes_without_relay",
  "configurations_differ",
  "relay_fault",
]);

type ClusterRelay = Cluster["relays"][number];

export function ClusterView(): JSX.Element {
  const { overview } = useStore(live);
  return (
    <>
      <Title text="Cluster" />
      {overview === undefined ? <Loading what="the cluster" /> : null}
      {overview !== undefined && overview.cluster === undefined ? (
        <Empty title="The log of this relay is on its disk: there is no cluster." />
      ) : null}
      {overview?.cluster === undefined ? null : (
        <>
          <Problems problems={overview.problems.filter(({ code }) => OF_CLUSTER.has(code))} />
          <Relays cluster={overview.cluster} />
          <Lanes cluster={overview.cluster} />
        </>
      )}
    </>
  );
}

function Relays({ cluster }: { readonly cluster: Cluster }): JSX.Element {
  return (
    <section class="panel" aria-labelledby="relays">
      <h2 id="relays">
        Relays <span class="muted">{fullCount(cluster.relays.length)}</span>
      </h2>
      <div class="table-room" tabIndex={0} role="region" aria-label="Table of relays">
        <table>
          <thead>
            <tr>
              <th scope="col">Relay</th>
              <th scope="col">State</th>
              <th scope="col">Heard of</th>
              <th scope="col" class="numeric">
                Lanes
              </th>
              <th scope="col">Configuration</th>
              <th scope="col">Version</th>
            </tr>
          </thead>
          <tbody>
            {cluster.relays.map((relay) => (
              <RelayRow key={relay.id} relay={relay} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function RelayRow({ relay }: { readonly relay: ClusterRelay }): JSX.Element {
  const { id, name, version, isSelf, seenAt, isMissing, hasSameConfig, lanes, adminUrl } = relay;
  return (
    <tr>
      <td class="relay-name" title={[id, adminUrl ?? "without kafka.advertise"].join(", ")}>
        {name} {isSelf ? <span class="muted">this one</span> : null}
      </td>
      <td>
        <Badge name={isMissing ? "missing" : "running"} />
      </td>
      <td>
        <Age at={seenAt} />
      </td>
      <td class="numeric">
        <Count value={lanes} of="lane" />
      </td>
      <td class={hasSameConfig ? "" : "tone-warn"}>{hasSameConfig ? "same" : "differs"}</td>
      <td>{version}</td>
    </tr>
  );
}

function Lanes({ cluster }: { readonly cluster: Cluster }): JSX.Element {
  const { q = "", show = "" } = useRoute().query;
  const relays = new Map(cluster.relays.map((relay) => [relay.id, relay]));
  const limit = Math.max(PAGE, Number(show) || 0);
  const found = cluster.lanes.filter((lane) => textOf(lane, relays).includes(q.toLowerCase()));
  return (
    <section class="panel" aria-labelledby="lanes">
      <div class="subhead">
        <h2 id="lanes">
          Lanes <span class="muted">{fullCount(found.length)}</span>
        </h2>
        <FilterField
          label="Lane, relay or mode"
          type="search"
          value={q}
          onChange={(next) => setFilters({ q: next, show: "" })}
        />
      </div>
      {found.length === 0 ? <Empty title="There is no such lane." /> : null}
      <div class="table-room" tabIndex={0} role="region" aria-label="Table of lanes">
        <table>
          <thead>
            <tr>
              <th scope="col">Lane</th>
              <th scope="col">Relay</th>
              <th scope="col">Mode</th>
              <th scope="col" class="numeric">
                Waiting
              </th>
              <th scope="col">Oldest</th>
            </tr>
          </thead>
          <tbody>
            {found.slice(0, limit).map((lane) => (
              <LaneRow key={laneName(lane)} lane={lane} relay={relays.get(lane.relay ?? "")} />
            ))}
          </tbody>
        </table>
      </div>
      {found.length <= limit ? null : (
        <button type="button" onClick={() => setFilters({ show: String(limit + PAGE) })}>
          Show {Math.min(PAGE, found.length - limit)} more of {fullCount(found.length - limit)}
        </button>
      )}
    </section>
  );
}

function LaneRow({
  lane,
  relay,
}: {
  readonly lane: ClusterLane;
  readonly relay: ClusterRelay | undefined;
}): JSX.Element {
  const { environment, destination, partition, mode, reason, pendingEvents, oldestAt } = lane;
  const params = { environment: `${environment}/${partition}`, destination };
  const href = hrefOf("destination", { params });
  return (
    <tr>
      <td>{relay === undefined ? laneName(lane) : <Link href={href}>{laneName(lane)}</Link>}</td>
      <td class="relay-name">{relay?.name ?? "none"}</td>
      <td>
        <Badge name={mode} title={reason ?? ""} />
      </td>
      <td class="numeric">{pendingEvents === null ? "" : <Count value={pendingEvents} />}</td>
      <td>{oldestAt === null ? "" : <Age at={oldestAt} />}</td>
    </tr>
  );
}

function laneName({ environment, partition, destination }: ClusterLane): string {
  return `${environment}/${partition}/${destination}`;
}

function textOf(lane: ClusterLane, relays: ReadonlyMap<string, ClusterRelay>): string {
  return `${laneName(lane)} ${relays.get(lane.relay ?? "")?.name ?? "none"} ${lane.mode}`.toLowerCase();
}
