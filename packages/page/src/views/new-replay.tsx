/** Which events to send again: counted first, then sent. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call, messageOf } from "../api/call.ts";
import { live } from "../api/live.ts";
import { useStore } from "../browser/store.ts";
import { counted } from "../format/numbers.ts";
import { logsAndParts, placeOf, placeText } from "../model/lanes.ts";
import { replayBody } from "../model/replay.ts";
import { setFilters } from "../router/navigation.tsx";
import { type Params, type Route } from "../router/route.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Choice, FilterField, TimeField } from "../ui/fields.tsx";
import { Done, Failure } from "../ui/notes.tsx";

export function NewReplay({ route }: { readonly route: Route }): JSX.Element {
  const environments = useStore(live).overview?.environments ?? [];
  const { query } = route;
  const names = logsAndParts(environments);
  const environment = query["environment"] ?? names[0] ?? "";
  const { destinations = [], sources = [] } =
    environments.find(({ name }) => name === placeOf(environment).environment) ?? {};
  const destination = query["destination"] ?? destinations[0]?.name ?? "";
  const set = (name: string) => (value: string) => setFilters({ [name]: value });
  const given: Params = { ...query, destination };
  return (
    <section class="panel" aria-labelledby="new">
      <h2 id="new">Send a part of the log again</h2>
      <div class="filters">
        <Choice
          label="Environment"
          value={environment}
          options={names.map((name) => [name, name] as const)}
          onChange={(next) => setFilters({ environment: next, destination: "", source: "" })}
        />
        <Choice
          label="To destination"
          value={destination}
          options={destinations.map(({ name }) => [name, name] as const)}
          onChange={set("destination")}
        />
        <TimeField label="Received since" value={query["since"] ?? ""} onChange={set("since")} />
        <TimeField label="Received before" value={query["until"] ?? ""} onChange={set("until")} />
        <Choice
          label="From source"
          value={query["source"] ?? ""}
          options={[["", "all"], ...sources.map(({ name }) => [name, name] as const)]}
          onChange={set("source")}
        />
        <FilterField label="Type" value={query["type"] ?? ""} onChange={set("type")} />
        <FilterField label="Event name" value={query["event"] ?? ""} onChange={set("event")} />
        <FilterField label="User id" value={query["userId"] ?? ""} onChange={set("userId")} />
        <FilterField
          label="Events per second, at most"
          type="number"
          value={query["eventsPerSecond"] ?? ""}
          onChange={set("eventsPerSecond")}
        />
      </div>
      <Start environment={environment} given={given} key={JSON.stringify(given)} />
    </section>
  );
}

interface StartProps {
  readonly environment: string;
  readonly given: Params;
}

/** Made anew when the choice changes: a count of another choice is never shown. */
function Start({ environment, given }: StartProps): JSX.Element {
  const [events, setEvents] = useState<number>();
  const [fault, setFault] = useState<string>();
  const [isCounting, setIsCounting] = useState(false);
  const [isAsked, setIsAsked] = useState(false);
  const [isStarted, setIsStarted] = useState(false);
  const body = replayBody(given);
  const count = (): void => {
    setIsCounting(true);
    setFault(undefined);
    call("startReplay", { params: { environment }, body: { ...body, dryRun: true } })
      .then(
        (answer) => setEvents("events" in answer ? answer.events : 0),
        (error: unknown) => setFault(messageOf(error)),
      )
      .finally(() => setIsCounting(false));
  };
  return (
    <>
      {fault === undefined ? null : <Failure message={fault} />}
      {isStarted ? <Done>The replay is started; it is below.</Done> : null}
      <div class="actions">
        <button type="button" onClick={count} disabled={isCounting || body.destination === ""}>
          {isCounting ? "Counting…" : "Count them first"}
        </button>
        <button
          type="button"
          class="primary"
          disabled={events === undefined || events === 0}
          onClick={() => setIsAsked(true)}
        >
          {events === undefined ? "Send again" : `Send ${counted(events, "event")} again`}
        </button>
        <span class="muted" role="status">
          {events === undefined
            ? "Counting is a dry run: nothing is sent."
            : `${counted(events, "event")} would be sent.`}
        </span>
      </div>
      {isAsked && events !== undefined ? (
        <Dialog
          title={`Send ${counted(events, "event")} again`}
          action="Start the replay"
          onClose={() => setIsAsked(false)}
          onConfirm={async () => {
            await call("startReplay", { params: { environment }, body });
            setIsStarted(true);
            setEvents(undefined);
          }}
        >
          <p>
            They go to {body.destination} in {placeText(environment)}, beside what its lane delivers. Events that it got
            before it gets again, with the same ids.
          </p>
        </Dialog>
      ) : null}
    </>
  );
}
