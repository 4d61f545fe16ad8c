/** What is wrong, the worst first: each in a sentence, with what to do. */
import type { JSX } from "preact";
import type { RelayProblem } from "../api/types.ts";
import { problemKey } from "../model/lanes.ts";
import { Link } from "../router/navigation.tsx";
import { hrefOf } from "../router/route.ts";
import { Glyph } from "../ui/glyph.tsx";
import { Age } from "../ui/values.tsx";

/** More are not read; what is worst is first. */
const SHOWN_MAX = 20;

export function Problems({ problems }: { readonly problems: readonly RelayProblem[] }): JSX.Element {
  const errors = problems.filter(({ severity }) => severity === "error").length;
  return (
    <section class="problems" aria-labelledby="problems">
      <h2 id="problems" class={problems.length === 0 ? "visually-hidden" : ""}>
        What is wrong{" "}
        <span class="muted">
          {errors} {errors === 1 ? "error" : "errors"}, {problems.length - errors}{" "}
          {problems.length - errors === 1 ? "warning" : "warnings"}
        </span>
      </h2>
      {problems.length === 0 ? (
        <p class="all-well">
          <Glyph name="ok" /> Nothing is wrong.
        </p>
      ) : (
        <ul class="problem-list">
          {problems.slice(0, SHOWN_MAX).map((problem) => (
            <Problem key={problemKey(problem)} problem={problem} />
          ))}
        </ul>
      )}
      {problems.length > SHOWN_MAX ? <p class="muted">and {problems.length - SHOWN_MAX} more.</p> : null}
    </section>
  );
}

function Problem({ problem }: { readonly problem: RelayProblem }): JSX.Element {
  const { severity, environment, destination, relay, since, what, doThis } = problem;
  return (
    <li class={`problem tone-${severity === "error" ? "error" : "warn"}`}>
      <span class="problem-severity">
        <Glyph name={severity} /> {severity === "error" ? "Error" : "Warning"}
      </span>
      <div class="problem-text">
        <p class="problem-what">
          <Marked text={what} />
        </p>
        <p class="problem-do">
          <Marked text={doThis} />
        </p>
      </div>
      <span class="problem-more">
        {since === null ? null : <Age at={since} />}
        {relay === undefined ? null : <span class="muted">{relay}</span>}
        {environment === undefined || destination === undefined ? null : (
          <Link href={hrefOf("destination", { params: { environment, destination } })}>
            {environment}/{destination}
          </Link>
        )}
      </span>
    </li>
  );
}

/** Commands are between backticks. */
function Marked({ text }: { readonly text: string }): JSX.Element {
  const parts = text.split("`");
  return <>{parts.map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}</>;
}
