/** The dead letters of a destination by reason. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call } from "../api/call.ts";
import { useAnswer } from "../api/use-answer.ts";
import { useAtMost } from "../browser/use-at-most.ts";
import { counted, percent } from "../format/numbers.ts";
import { Link } from "../router/navigation.tsx";
import { hrefOf, type Params } from "../router/route.ts";
import { Empty, Failure, Loading, Unanswered } from "../ui/notes.tsx";
import { Age, Count } from "../ui/values.tsx";

export interface ReasonGroupsProps {
  readonly environment: string;
  readonly destination: string;
  /** As the overview has it: the groups are loaded again when it changes. */
  readonly waiting: number;
  readonly query?: Params;
}

/** They are counted by reading all of them. */
const RELOAD_MS = 5_000;
const NO_FILTER: Params = {};

export function ReasonGroups({ environment, destination, waiting, query = NO_FILTER }: ReasonGroupsProps): JSX.Element {
  const params = { environment, destination };
  const [unanswered, setUnanswered] = useState<string>();
  const answer = useAnswer(`${environment}\n${destination}`, (signal) => {
    setUnanswered(undefined);
    return call("listReasons", { params, signal, onUnanswered: setUnanswered });
  });
  const { again } = answer;
  const atMost = useAtMost(waiting, RELOAD_MS);
  useEffect(again, [atMost]);
  if (answer.error !== undefined) return <Failure message={answer.error} onRetry={answer.again} />;
  if (answer.value === undefined) return <Loading what="the reasons" />;
  const { groups, others } = answer.value;
  const silent = unanswered === undefined ? null : <Unanswered text={unanswered} />;
  if (groups.length === 0) return silent ?? <Empty title="No dead letter waits here." />;
  const total = groups.reduce((sum, one) => sum + one.waiting, others);
  return (
    <>
      {silent}
      <ul class="reasons">
        {groups.map(({ reason, waiting: events, first, last }) => (
          <li key={reason}>
            <Link
              class="reason-link"
              href={hrefOf("deadLetters", { params, query: { ...query, reason } })}
              isCurrent={query["reason"] === reason}
            >
              <span class="reason-bar" style={{ width: `${(events / total) * 100}%` }} />
              <span class="reason-text">{reason}</span>
              <span class="reason-count" title={percent(events, total)}>
                <Count value={events} of="dead letter" />
              </span>
            </Link>
            <span class="muted">
              first <Age at={first} />, last <Age at={last} />
            </span>
          </li>
        ))}
      </ul>
      {others === 0 ? null : (
        <p class="muted">
          {counted(others, "dead letter has", "dead letters have")} other reasons: a filter finds them.
        </p>
      )}
    </>
  );
}
