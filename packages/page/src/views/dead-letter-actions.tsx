/** Retrying and discarding, with the count beforehand and what came of it. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call, messageOf } from "../api/call.ts";
import type { ReplayView } from "../api/types.ts";
import { counted } from "../format/numbers.ts";
import { deadLetterQuery } from "../model/filters.ts";
import { placeText } from "../model/lanes.ts";
import { Link } from "../router/navigation.tsx";
import { hrefOf, type Params, type Route } from "../router/route.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Field } from "../ui/fields.tsx";
import { Done, Failure, Loading, Unanswered } from "../ui/notes.tsx";

/** What is wanted of which dead letters; without ids of all that match the filter. */
export interface Intent {
  readonly does: "retry" | "discard";
  readonly ids: readonly string[] | undefined;
}

export interface Result {
  readonly does: "retry" | "discard";
  readonly events: number;
  /** The replays that a retry has started: one for each partition. */
  readonly replays: readonly ReplayView[];
  readonly unanswered: string | undefined;
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
  onUnanswered: (text: string) => void,
): Promise<number> {
  const operation = does === "retry" ? "retryDeadLetters" : "discardDeadLetters";
  const answer = await call(operation, { params, query: { ...filter, dryRun: true }, onUnanswered });
  return "events" in answer ? answer.events : 0;
}

export function DeadLetterDialog({ route, intent, onClose, onResult }: DeadLetterDialogProps): JSX.Element {
  const { environment = "", destination = "" } = route.params;
  const { does, ids } = intent;
  const [events, setEvents] = useState<number>();
  const [fault, setFault] = useState<string>();
  const [unanswered, setUnanswered] = useState<string>();
  const [rate, setRate] = useState("");
  const filter = filterOf(route.query, ids);
  useEffect(() => {
    const params = { environment, destination };
    countOf(does, params, filter, setUnanswered).then(setEvents, (error: unknown) => setFault(messageOf(error)));
  }, []);
  const confirm = async (): Promise<void> => {
    const params = { environment, destination };
    let silent: string | undefined;
    const onUnanswered = (text: string): void => {
      silent = text;
    };
    if (does === "discard") {
      const { discarded } = await call("discardDeadLetters", { params, query: filter, onUnanswered });
      onResult({ does, events: discarded, replays: [], unanswered: silent });
      return;
    }
    const query = { ...filter, ...(rate === "" ? {} : { eventsPerSecond: rate }) };
    const answer = await call("retryDeadLetters", { params, query, onUnanswered });
    const replays = "id" in answer ? [answer] : "replays" in answer ? answer.replays : [];
    const sent = "replays" in answer ? answer.events : (events ?? 0);
    onResult({ does, events: sent, replays, unanswered: silent });
  };
  const verb = does === "retry" ? "Retry" : "Discard";
  return (
    <Dialog
      title={`${verb} dead letters of ${destination} in ${placeText(environment)}`}
      action={events === undefined ? verb : `${verb} ${counted(events, "dead letter")}`}
      isDangerous={does === "discard"}
      isReady={events !== undefined && events > 0}
      onClose={onClose}
      onConfirm={confirm}
    >
      {fault === undefined ? null : <Failure message={fault} />}
      {unanswered === undefined ? null : <Unanswered text={unanswered} />}
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
      {isAll && filters.length === 0 ? <p>No filter is set: these are all that wait here.</p> : null}
    </>
  );
}

export function ResultNote({ result }: { readonly result: Result }): JSX.Element {
  const { does, events, replays, unanswered } = result;
  const [replay, ...more] = replays;
  return (
    <>
      <Done>
        {counted(events, "dead letter")} {does === "retry" ? "on the way again." : "discarded."}{" "}
        {replay === undefined ? null : more.length > 0 ? (
          <Link href={hrefOf("replays")}>Watch the replays</Link>
        ) : (
          <Link href={hrefOf("replays", { query: { environment: replay.environment, replay: replay.id } })}>
            Watch the replay
          </Link>
        )}
      </Done>
      {unanswered === undefined ? null : <Unanswered text={unanswered} />}
    </>
  );
}

/** Only those that wait can be retried or discarded. */
function filterOf(query: Params, ids: readonly string[] | undefined): Params {
  if (ids !== undefined) return { state: "waiting", id: ids.join(",") };
  return { ...deadLetterQuery(query), state: "waiting" };
}
