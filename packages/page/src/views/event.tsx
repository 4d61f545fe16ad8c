/** The story of one event: received, each attempt it was in, its fate, and its JSON. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../api/call.ts";
import type { StoredEvent, TraceDestination, TracedEvent } from "../api/types.ts";
import { useAnswer } from "../api/use-answer.ts";
import { fullCount } from "../format/numbers.ts";
import { headOf, pretty } from "../model/event-head.ts";
import { placeText } from "../model/lanes.ts";
import { type StoryEntry, storyOf } from "../model/story.ts";
import { Link, setFilters, useRoute } from "../router/navigation.tsx";
import { hrefOf, type Route } from "../router/route.ts";
import { Badge } from "../ui/badges.tsx";
import { Code } from "../ui/copy.tsx";
import { Glyph, type GlyphName } from "../ui/glyph.tsx";
import { Empty, Failure, Loading, Unanswered } from "../ui/notes.tsx";
import { Time } from "../ui/values.tsx";
import { Title } from "./title.tsx";

export function EventView({ route }: { readonly route: Route }): JSX.Element {
  const { environment = "", position = "" } = route.params;
  const key = `${environment}\n${position}`;
  const [unanswered, setUnanswered] = useState<string>();
  const story = useAnswer(key, (signal) => {
    setUnanswered(undefined);
    return call("traceReceipt", { params: { environment, positions: position }, signal, onUnanswered: setUnanswered });
  });
  const detail = useAnswer(key, (signal) => call("showEvent", { params: { environment, position }, signal }));
  const [event] = story.value?.events ?? [];
  const head = headOf(event?.event);
  return (
    <>
      <Title text={head.name === "" ? `Event ${position}` : head.name}>
        <span class="muted">
          position {fullCount(Number(position))} in {placeText(environment)}
        </span>
        <button type="button" class="small" onClick={story.again}>
          Load again
        </button>
      </Title>
      {story.isLoading && event === undefined ? <Loading what="the story" /> : null}
      {story.error === undefined ? null : <Failure message={story.error} onRetry={story.again} />}
      {unanswered === undefined ? null : <Unanswered text={unanswered} />}
      {event === undefined ? null : <Story event={event} detail={detail.value} />}
      {detail.error === undefined || story.error !== undefined ? null : (
        <Failure message={detail.error} onRetry={detail.again} />
      )}
      {detail.value === undefined ? null : <Texts detail={detail.value} />}
    </>
  );
}

interface StoryProps {
  readonly event: TracedEvent;
  readonly detail: StoredEvent | undefined;
}

function Story({ event, detail }: StoryProps): JSX.Element {
  const { environment, source, receivedAtMs, destinations } = event;
  const { type, messageId, user } = headOf(event.event);
  return (
    <section class="panel" aria-labelledby="story">
      <h2 id="story">Its story</h2>
      <ol class="timeline">
        <li class="moment tone-info">
          <span class="moment-at">{receivedAtMs === undefined ? "" : <Time at={receivedAtMs} isPrecise />}</span>
          <span class="moment-sign">
            <Glyph name="send" />
          </span>
          <div>
            <p class="moment-title">Received {source === undefined ? "" : <>from {source}</>}</p>
            <p class="muted">
              {type === "" ? "" : `type ${type}, `}
              {user === "" ? "" : `user ${user}, `}
              message id <code>{messageId === "" ? "none" : messageId}</code>
              {detail === undefined ? null : (
                <>
                  , receipt <code>{detail.receipt}</code>
                </>
              )}
            </p>
          </div>
        </li>
      </ol>
      {destinations.length === 0 ? <Empty title="It was for no destination." /> : null}
      <div class="stories">
        {destinations.map((destination) => (
          <Fate key={destination.destination} environment={environment} destination={destination} />
        ))}
      </div>
    </section>
  );
}

interface FateProps {
  readonly environment: string;
  readonly destination: TraceDestination;
}

const SIGNS: Readonly<Record<StoryEntry["tone"], GlyphName>> = {
  ok: "ok",
  error: "error",
  warn: "warning",
  info: "wait",
  quiet: "idle",
};

function Fate({ environment, destination }: FateProps): JSX.Element {
  const { destination: name, outcome, deadLetter, removed, formerVendor } = destination;
  const params = { environment, destination: name };
  return (
    <section class="fate" aria-label={`At ${name}`}>
      <h3>
        {removed === true ? name : <Link href={hrefOf("destination", { params })}>{name}</Link>}{" "}
        <Badge name={outcome} />
      </h3>
      {removed === true ? <p class="muted">It is not configured any more.</p> : null}
      {formerVendor === undefined ? null : <p class="muted">It spoke {formerVendor} then.</p>}
      <ol class="timeline">
        {storyOf(destination).map(({ at, title, detail, tone }, index) => (
          <li key={index} class={`moment tone-${tone}`}>
            <span class="moment-at">{at === undefined ? "" : <Time at={at} isPrecise />}</span>
            <span class="moment-sign">
              <Glyph name={SIGNS[tone]} />
            </span>
            <div>
              <p class="moment-title">{title}</p>
              {detail === "" ? null : <p class="muted">{detail}</p>}
            </div>
          </li>
        ))}
      </ol>
      {deadLetter === undefined ? null : (
        <Link
          href={hrefOf("deadLetters", { params, query: { inspect: String(deadLetter.deadLetterId), state: "all" } })}
        >
          Inspect the dead letter
        </Link>
      )}
    </section>
  );
}

function Texts({ detail }: { readonly detail: StoredEvent }): JSX.Element {
  const { as: shown = "" } = useRoute().query;
  const sent = detail.destinations.find(({ name }) => name === shown);
  return (
    <section class="panel" aria-labelledby="json">
      <h2 id="json">Its JSON</h2>
      <div class="tabs" role="group" aria-label="Which JSON">
        <button type="button" aria-pressed={sent === undefined} onClick={() => setFilters({ as: "" })}>
          As stored
        </button>
        {detail.destinations.map(({ name, vendor }) => (
          <button key={name} type="button" aria-pressed={shown === name} onClick={() => setFilters({ as: name })}>
            As {name} gets it <span class="muted">{vendor}</span>
          </button>
        ))}
      </div>
      {sent === undefined ? <Code text={pretty(detail.event)} label="The event as stored" /> : <Sent sent={sent} />}
    </section>
  );
}

function Sent({ sent }: { readonly sent: StoredEvent["destinations"][number] }): JSX.Element {
  const { name, vendor, why } = sent;
  if (sent.sent === null) return <Empty title={`${name} gets nothing of it${why === null ? "." : `: ${why}.`}`} />;
  return (
    <>
      <p class="muted">The body of a request to {vendor} with this event alone; the key is left out.</p>
      <Code text={pretty(sent.sent)} label={`The event as ${name} gets it`} />
    </>
  );
}
