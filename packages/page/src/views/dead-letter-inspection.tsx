/** One dead letter: why the vendor refused it, the requests that carried it, the event. */
import type { JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { call } from "../api/call.ts";
import { mayAct } from "../api/session.ts";
import type { DeadLetterView } from "../api/types.ts";
import { useAnswer } from "../api/use-answer.ts";
import { counted, fullCount } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { logOf } from "../model/dead-letter-name.ts";
import { Link } from "../router/navigation.tsx";
import { hrefOf, type Route } from "../router/route.ts";
import { Badge } from "../ui/badges.tsx";
import { Code } from "../ui/copy.tsx";
import { Empty, Failure, Loading } from "../ui/notes.tsx";
import { Time } from "../ui/values.tsx";
import type { Intent } from "./dead-letter-actions.tsx";

export interface InspectionProps {
  readonly route: Route;
  readonly id: string;
  readonly onClose: () => void;
  readonly onIntent: (intent: Intent) => void;
}

const INDENT = 2;

export function Inspection({ route, id, onClose, onIntent }: InspectionProps): JSX.Element {
  const { environment = "", destination = "" } = route.params;
  const titleId = useId();
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => element.current?.showModal(), []);
  const answer = useAnswer(`${environment}\n${destination}\n${id}`, (signal) =>
    call("listDeadLetters", { params: { environment, destination }, query: { id }, signal }),
  );
  const [dead] = answer.value?.deadLetters ?? [];
  return (
    <dialog ref={element} class="wide" aria-labelledby={titleId} onClose={onClose}>
      <h2 id={titleId}>Dead letter {id}</h2>
      {answer.error === undefined ? null : <Failure message={answer.error} onRetry={answer.again} />}
      {answer.isLoading ? <Loading what="the dead letter" /> : null}
      {answer.value !== undefined && dead === undefined ? (
        <Empty title="There is no such dead letter any more." />
      ) : null}
      {dead === undefined ? null : <Inspected dead={dead} environment={environment} />}
      <div class="actions">
        {dead?.state === "waiting" && mayAct() ? (
          <>
            <button type="button" class="primary" onClick={() => onIntent({ does: "retry", ids: [id] })}>
              Retry this one
            </button>
            <button type="button" onClick={() => onIntent({ does: "discard", ids: [id] })}>
              Discard this one
            </button>
          </>
        ) : null}
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </dialog>
  );
}

interface InspectedProps {
  readonly dead: DeadLetterView;
  readonly environment: string;
}

function Inspected({ dead, environment }: InspectedProps): JSX.Element {
  const { reason, state, rejectedAtMs, position, partition, source, attempts = [], event } = dead;
  return (
    <>
      <p class="problem-what">{reason}</p>
      <p class="muted">
        <Badge name={state} /> refused <Time at={rejectedAtMs} />, from source {source},{" "}
        {partition === undefined ? "" : `partition ${partition}, `}
        <Link href={hrefOf("event", { params: { environment: logOf(environment, dead), position: String(position) } })}>
          event {fullCount(position)}: its story
        </Link>
      </p>
      {attempts.length === 0 ? null : (
        <ul class="facts">
          {attempts.map(({ atMs, status, durationMs, count, reason: why }, index) => (
            <li key={index}>
              <Time at={atMs} isPrecise />: {status ?? "no answer"} after {duration(durationMs)}, with{" "}
              {counted(count, "event")}
              {why === undefined ? "" : `: ${why}`}
            </li>
          ))}
        </ul>
      )}
      <Code text={JSON.stringify(event, undefined, INDENT)} label="The event as JSON" />
    </>
  );
}
