/** How to send a first event, for each source that is configured. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../api/call.ts";
import { live } from "../api/live.ts";
import type { Overview } from "../api/types.ts";
import { useAnswer } from "../api/use-answer.ts";
import { useStore } from "../browser/store.ts";
import { intakeOf } from "../model/intake.ts";
import { PROTOCOLS, snippetsOf } from "../model/snippets.ts";
import { Link, setFilters, useRoute } from "../router/navigation.tsx";
import { hrefOf, type Route } from "../router/route.ts";
import { Code } from "../ui/copy.tsx";
import { Choice } from "../ui/fields.tsx";
import { Empty, Loading } from "../ui/notes.tsx";
import { Title } from "./title.tsx";

export function FirstRunView(_props: { readonly route: Route }): JSX.Element {
  const { overview } = useStore(live);
  return (
    <>
      <Title text="Send events" />
      {overview === undefined ? (
        <Loading what="the sources" />
      ) : (
        <section class="panel" aria-label="How to send an event">
          <HowTo overview={overview} />
        </section>
      )}
    </>
  );
}

/** In the overview, while no event has ever come. */
export function FirstRun({ overview }: { readonly overview: Overview }): JSX.Element {
  return (
    <section class="panel first-run" aria-labelledby="first">
      <h2 id="first">No event has come yet. Send one:</h2>
      <HowTo overview={overview} />
    </section>
  );
}

function HowTo({ overview }: { readonly overview: Overview }): JSX.Element {
  const config = useAnswer("config", (signal) => call("showConfig", { signal }));
  const { to: shown = "" } = useRoute().query;
  const sources = overview.environments.flatMap(({ name: environment, sources: all }) =>
    all.map(({ name, protocol }) => ({ id: `${environment}/${name}`, name, protocol, isThere: true })),
  );
  const spoken = new Set(sources.map(({ protocol }) => protocol));
  const others = PROTOCOLS.filter((protocol) => !spoken.has(protocol)).map((protocol) => ({
    id: protocol,
    name: protocol,
    protocol,
    isThere: false,
  }));
  const all = [...sources, ...others];
  const chosen = all.find(({ id }) => id === shown) ?? all[0];
  if (sources.length === 0 || chosen === undefined)
    return (
      <Empty title="No source is configured.">
        <p>
          Add one to the configuration. <Link href={hrefOf("config")}>See it</Link>.
        </p>
      </Empty>
    );
  if (config.isLoading && config.value === undefined) return <Loading what="the relay's address" />;
  const intake = intakeOf(config.value, location);
  return (
    <>
      <Choice
        label="Source"
        value={chosen.id}
        options={all.map(({ id, protocol, isThere }) => [id, isThere ? `${id}: ${protocol}` : `none yet: ${protocol}`])}
        onChange={(to) => setFilters({ to })}
      />
      <Snippets key={chosen.id} protocol={chosen.protocol} source={chosen.name} intake={intake} />
      {chosen.isThere ? (
        <p class="muted">
          The keys of a source are in the configuration, under <code>sources.{chosen.name}.writeKeys</code>; they are
          never shown here.
        </p>
      ) : (
        <p class="muted">
          No source speaks it yet: add one with <code>protocol: {chosen.protocol}</code> and its <code>writeKeys</code>{" "}
          to the configuration.
        </p>
      )}
    </>
  );
}

interface SnippetsProps {
  readonly protocol: string;
  readonly source: string;
  readonly intake: string;
}

function Snippets(props: SnippetsProps): JSX.Element {
  const snippets = snippetsOf(props);
  const [title, setTitle] = useState(snippets[0]?.title ?? "");
  const shown = snippets.find((one) => one.title === title);
  return (
    <>
      <div class="tabs" role="group" aria-label="Send with">
        {snippets.map((one) => (
          <button key={one.title} type="button" aria-pressed={one.title === title} onClick={() => setTitle(one.title)}>
            {one.title}
          </button>
        ))}
      </div>
      {shown === undefined ? null : <Code text={shown.text} label={`How to send an event with ${shown.title}`} />}
    </>
  );
}
