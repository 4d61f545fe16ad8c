/** The lanes of a destination, one for each partition, with the relay that has it. */
import type { JSX } from "preact";
import type { Cluster, OverviewDestination, OverviewPartition } from "../api/types.ts";
import { counted, fullCount } from "../format/numbers.ts";
import { Link } from "../router/navigation.tsx";
import { hrefOf } from "../router/route.ts";
import { Badge } from "../ui/badges.tsx";
import { Age, Count, Rate } from "../ui/values.tsx";

type ClusterRelay = Cluster["relays"][number];

interface PartitionsOfProps {
  readonly environment: string;
  readonly destination: OverviewDestination;
  readonly relays: readonly ClusterRelay[];
}

export function PartitionsOf({ environment, destination, relays }: PartitionsOfProps): JSX.Element {
  const { name, partitions = [], missingPartitions = [] } = destination;
  const names = new Map(relays.map((relay) => [relay.id, relay.name]));
  return (
    <section class="panel" aria-labelledby="partitions">
      <h2 id="partitions">
        Partitions <span class="muted">{fullCount(partitions.length)}</span>
      </h2>
      {missingPartitions.length === 0 ? null : (
        <p class="tone-warn">
          No relay has reported {counted(missingPartitions.length, "partition")}: {missingPartitions.join(", ")}. What
          they have is in no number here.
        </p>
      )}
      <div class="table-room" tabIndex={0} role="region" aria-label="Table of partitions">
        <table>
          <thead>
            <tr>
              <th scope="col">Partition</th>
              <th scope="col">Relay</th>
              <th scope="col">Mode</th>
              <th scope="col" class="numeric">
                Out
              </th>
              <th scope="col" class="numeric">
                Waiting
              </th>
              <th scope="col">Oldest</th>
              <th scope="col" class="numeric">
                Dead letters
              </th>
            </tr>
          </thead>
          <tbody>
            {partitions.map((lane) => (
              <Row
                key={lane.partition}
                lane={lane}
                relay={names.get(lane.report.relay) ?? lane.report.relay}
                params={{ environment: `${environment}/${lane.partition}`, destination: name }}
              />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

interface RowProps {
  readonly lane: OverviewPartition;
  readonly relay: string;
  readonly params: { readonly environment: string; readonly destination: string };
}

function Row({ lane, relay, params }: RowProps): JSX.Element {
  const { mode, reason, eventsPerSecondOut, waitingEvents, oldestAt, deadLetters } = lane;
  return (
    <tr>
      <td>
        <Link href={hrefOf("destination", { params })}>{params.environment}</Link>
      </td>
      <td class="relay-name">{relay}</td>
      <td>
        <Badge name={mode} title={reason ?? ""} />
      </td>
      <td class="numeric">
        <Rate value={eventsPerSecondOut} />
      </td>
      <td class="numeric">
        <Count value={waitingEvents} />
      </td>
      <td>{oldestAt === null ? "" : <Age at={oldestAt} />}</td>
      <td class="numeric">
        {deadLetters === 0 ? (
          <Count value={0} of="dead letter" />
        ) : (
          <Link href={hrefOf("deadLetters", { params })}>
            <Count value={deadLetters} of="dead letter" />
          </Link>
        )}
      </td>
    </tr>
  );
}
