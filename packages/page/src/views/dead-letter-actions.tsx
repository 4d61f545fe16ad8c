/** Retrying and discarding, with the count beforehand and what came of it. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call, messageOf } from "../api/call.ts";
import { counted } from "../format/numbers.ts";
import { deadLetterQuery } from "../model/filters.ts";
import { Link } from "../router/navigation.tsx";
import { hrefOf, type Params, type Route } from "../router/route.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Field } from "../ui/fields.tsx";
import { Done, Failure, Loading } from "../ui/notes.tsx";

/** What is wanted of which dead letters; without ids of all that match the filter. */
export interface Intent {
  readonly does: "retry" | "discard";
  readonly ids: readonly number[] | undefined;
}

export interface Result {
  readonly does: "retry" | "discard";
  readonly events: number;
  readonly environment: string;
  /** The replay that a retry has started. */
  readonly replay: string | undefined;
}

export interface DeadLetterDialogProps {
  readonly route: Route;
  readonly intent: Intent;
  readonly onClose: () => void;
  readonly onResult: (result: Result) => void;
}

/** Changes nothing. */
async function countOf(
  does: Intent["does"],
  params: { readonly environment: string; readonly destination: string },
  filter: Params,
): Promise<number> {
  const operation = does === "retry" ? "retryDeadLetters" : "discardDeadLetters";
  const answer = await call(operation, { params, query: { ...filter, dryRun: true } });
  return "events" in answer ? answer.events : 0;
}

export function DeadLetterDialog({ route, intent, onClose, onResult }: DeadLetterDialogProps): JSX.Element {
  const { environment = "", destination = "" } = route.params;
  const { does, ids } = intent;
  const [events, setEvents] = useState<number>();
  const [fault, setFault] = useState<string>();
  const [rate, setRate] = useState("");
  const filter = filterOf(route.query, ids);
  useEffect(() => {
    const params = { environment, destination };
    countOf(does, params, filter).then(setEvents, (error: unknown) => setFault(messageOf(error)));
  }, []);
  const confirm = async (): Promise<void> => {
    const params = { environment, destination };
    if (does === "discard") {
      const { discarded } = await call("discardDeadLetters", { params, query: filter });
      onResult({ does, events: discarded, environment, replay: undefined });
      return;
    }
    const query = { ...filter, ...(rate === "" ? {} : { eventsPerSecond: rate }) };
    const answer = await call("retryDeadLetters", { params, query });
    const replay = "id" in answer ? answer.id : undefined;
    onResult({ does, events: events ?? 0, environment, replay });
  };
  const verb = does === "retry" ? "Retry" : "Discard";
  return (
    <Dialog
      title={`${verb} dead letters of ${destination}`}
      action={events === undefined ? verb : `${verb} ${counted(events, "dead letter")}`}
      isDangerous={does === "discard"}
      isReady={events !== undefined && events > 0}
      onClose={onClose}
      onConfirm={confirm}
    >
      {fault === undefined ? null : <Failure message={fault} />}
      {events === undefined && fault === undefined ? <Loading what="the count" /> : null}
      {events === undefined ? null : (
        <Concerned does={does} events={events} isAll={ids === undefined} filter={filter} />
      )}
      {does === "retry" ? (
        <Field
          label="Events per second, at most"
          type="number"
          value={rate}
          onChange={setRate}
          hint="Empty: as fast as the destination takes them."
        />
      ) : null}
    </Dialog>
  );
}

interface ConcernedProps extends Pick<Intent, "does"> {
  readonly events: number;
  readonly isAll: boolean;
  readonly filter: Params;
}

function Concerned({ does, events, isAll, filter }: ConcernedProps): JSX.Element {
  const filters = Object.entries(filter).filter(([name]) => name !== "state" && name !== "id");
  return (
    <>
      <p>
        {events === 0 ? "No dead letter that waits matches." : `This concerns ${counted(events, "dead letter")}.`}{" "}
        {does === "retry"
          ? "They are sent again as a replay, which you can watch and cancel."
          : "They are given up for good: nothing sends them again. They stay readable until retention removes them."}
      </p>
      {isAll && filters.length > 0 ? (
        <ul class="facts">
          {filters.map(([name, value]) => (
            <li key={name}>
              {name}: <b>{value}</b>
            </li>
          ))}
        </ul>
      ) : null}
      {isAll && filters.length === 0 ? <p>No filter is set: these are all that wait at this destination.</p> : null}
    </>
  );
}

export function ResultNote({ result }: { readonly result: Result }): JSX.Element {
  const { does, events, environment, replay } = result;
  return (
    <Done>
      {counted(events, "dead letter")} {does === "retry" ? "on the way again." : "discarded."}{" "}
      {replay === undefined ? null : (
        <Link href={hrefOf("replays", { query: { environment, replay } })}>Watch the replay</Link>
      )}
    </Done>
  );
}

/** Only those that wait can be retried or discarded. */
function filterOf(query: Params, ids: readonly number[] | undefined): Params {
  if (ids !== undefined) return { state: "waiting", id: ids.join(",") };
  return { ...deadLetterQuery(query), state: "waiting" };
}
