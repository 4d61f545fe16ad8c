/** The relay at a glance: what is wrong first, then sources, destinations and the last hour. */
import type { JSX } from "preact";
import { live } from "../api/live.ts";
import type { Overview, OverviewEnvironment } from "../api/types.ts";
import { useStore } from "../browser/store.ts";
import { isFresh } from "../model/lanes.ts";
import { setFilters, useRoute } from "../router/navigation.tsx";
import { Choice } from "../ui/fields.tsx";
import { Loading } from "../ui/notes.tsx";
import { Age } from "../ui/values.tsx";
import { FirstRun } from "./first-run.tsx";
import { LastHour } from "./last-hour.tsx";
import { Destinations } from "./overview-destinations.tsx";
import { Sources } from "./overview-sources.tsx";
import { Problems } from "./problems.tsx";
import { Title } from "./title.tsx";

/** Environments whose last hour is drawn without a click. */
const OPEN_MAX = 2;

export function OverviewView(): JSX.Element {
  const { overview } = useStore(live);
  return (
    <>
      <Title text="Overview" />
      {overview === undefined ? <Loading what="the overview" /> : <Shown overview={overview} />}
    </>
  );
}

function Shown({ overview }: { readonly overview: Overview }): JSX.Element {
  const route = useRoute();
  const { environment = "" } = route.query;
  const { environments, problems } = overview;
  const shown = environment === "" ? environments : environments.filter(({ name }) => name === environment);
  return (
    <>
      <Problems problems={problems} />
      {environments.length < 2 ? null : (
        <Choice
          label="Environment"
          value={environment}
          options={[["", "All"], ...environments.map(({ name }) => [name, name] as const)]}
          onChange={(next) => setFilters({ environment: next, show: "" })}
        />
      )}
      {isFresh(overview) ? <FirstRun overview={overview} /> : null}
      {shown.map((one, index) => (
        <Environment key={one.name} environment={one} isOpen={index < OPEN_MAX} />
      ))}
      <p class="footnote">
        Relay {overview.version}, started <Age at={overview.startedAt} />. Counters of sources begin{" "}
        {overview.cluster === undefined ? "then" : "when each relay starts"}; ledgers go back to the first event.
      </p>
    </>
  );
}

interface EnvironmentProps {
  readonly environment: OverviewEnvironment;
  readonly isOpen: boolean;
}

function Environment({ environment, isOpen }: EnvironmentProps): JSX.Element {
  const { name, sources, destinations } = environment;
  const id = `environment-${name}`;
  return (
    <section class="environment" aria-labelledby={id}>
      <h2 id={id}>
        {name} <span class="muted">environment</span>
      </h2>
      <div class="flow">
        <Sources environment={name} sources={sources} />
        <Destinations environment={name} destinations={destinations} />
      </div>
      <LastHour environment={name} destinations={destinations.map((one) => one.name)} isOpen={isOpen} />
    </section>
  );
}
