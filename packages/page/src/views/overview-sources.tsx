/** The sources of an environment: what comes in, and what is refused. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../api/call.ts";
import { session } from "../api/session.ts";
import type { OverviewSource } from "../api/types.ts";
import { useStore } from "../browser/store.ts";
import { fullCount } from "../format/numbers.ts";
import { flowWidth, totalRefused } from "../model/lanes.ts";
import { Link } from "../router/navigation.tsx";
import { hrefOf } from "../router/route.ts";
import { Glyph } from "../ui/glyph.tsx";
import { Empty } from "../ui/notes.tsx";
import { Age, Count, Rate } from "../ui/values.tsx";
import { Rotate } from "./rotate.tsx";

const SHOWN_MAX = 100;

interface SourcesProps {
  readonly environment: string;
  readonly sources: readonly OverviewSource[];
}

export function Sources({ environment, sources }: SourcesProps): JSX.Element {
  return (
    <div class="sources">
      <h3>Sources</h3>
      {sources.length === 0 ? <Empty title="No source is configured here." /> : null}
      <ul class="cards">
        {sources.slice(0, SHOWN_MAX).map((source) => (
          <Source key={source.name} environment={environment} source={source} />
        ))}
      </ul>
      {sources.length > SHOWN_MAX ? <p class="muted">and {fullCount(sources.length - SHOWN_MAX)} more.</p> : null}
    </div>
  );
}

interface SourceProps {
  readonly environment: string;
  readonly source: OverviewSource;
}

function Source({ environment, source }: SourceProps): JSX.Element {
  const { name, protocol, eventsPerSecond, acceptedTotal, duplicatesTotal, lastSeenAt } = source;
  return (
    <li class={`card source flow-${flowWidth(eventsPerSecond)}`}>
      <div class="card-head">
        <Link
          class="name"
          href={hrefOf("tail", { query: { environment, source: name } })}
          title={`Live tail of ${name}`}
        >
          {name}
        </Link>
        <span class="muted">{protocol}</span>
        <span class="headline">
          <Rate value={eventsPerSecond} />
        </span>
      </div>
      <p class="muted">
        <Count value={acceptedTotal} /> stored
        {duplicatesTotal === 0 ? null : (
          <>
            {", "}
            <Count value={duplicatesTotal} of="duplicate" /> not stored again
          </>
        )}
        {", "}
        {lastSeenAt === null ? (
          "nothing seen yet"
        ) : (
          <>
            last seen <Age at={lastSeenAt} />
          </>
        )}
      </p>
      <Refused name="events" byReason={source.refusedByReason} />
      <Refused name="requests" byReason={source.refusedRequestsByReason} />
      <RotateSource environment={environment} source={source} />
    </li>
  );
}

function RotateSource({ environment, source: { name, protocol } }: SourceProps): JSX.Element | null {
  const [isOpen, setIsOpen] = useState(false);
  const state = useStore(session);
  if (state.is !== "known" || state.session.role !== "full") return null;
  return (
    <>
      <button type="button" class="small" aria-label={`Rotate the key of ${name}`} onClick={() => setIsOpen(true)}>
        Rotate the key
      </button>
      {isOpen ? (
        <Rotate
          name={name}
          text="Events with the new key are taken at once. It holds, over restarts too, until the configuration has it: put it there as well."
          grace="The keys before it stay valid for"
          hasKinds={protocol === "launchdarkly"}
          done={`${name} takes the new key.`}
          rotate={(body) => call("rotateSourceKey", { params: { environment, source: name }, body })}
          onClose={() => setIsOpen(false)}
        />
      ) : null}
    </>
  );
}

interface RefusedProps {
  readonly name: string;
  readonly byReason: Readonly<Record<string, number>>;
}

function Refused({ name, byReason }: RefusedProps): JSX.Element | null {
  const total = totalRefused(byReason);
  if (total === 0) return null;
  const reasons = Object.entries(byReason).sort(([, one], [, other]) => other - one);
  return (
    <p class="refused tone-warn">
      <Glyph name="warning" /> <Count value={total} of={name.slice(0, -1)} /> {name} refused:{" "}
      {reasons.map(([reason, count]) => `${fullCount(count)} ${reason.replaceAll("_", " ")}`).join(", ")}
    </p>
  );
}
