/** The plan in force, the last reload, and a changed file checked before it is applied. */
import type { JSX } from "preact";
import { call } from "../api/call.ts";
import { session } from "../api/session.ts";
import type { ConfigView as Config } from "../api/types.ts";
import { useAnswer } from "../api/use-answer.ts";
import { useStore } from "../browser/store.ts";
import type { Route } from "../router/route.ts";
import { Code } from "../ui/copy.tsx";
import { Glyph } from "../ui/glyph.tsx";
import { Failure, Loading } from "../ui/notes.tsx";
import { Age, Time } from "../ui/values.tsx";
import { ConfigCheck, Warnings } from "./config-check.tsx";
import { Title } from "./title.tsx";

const INDENT = 2;

export function ConfigView(_props: { readonly route: Route }): JSX.Element {
  const answer = useAnswer("config", (signal) => call("showConfig", { signal }));
  const state = useStore(session);
  const mayAct = state.is === "known" && state.session.role === "full";
  const { value } = answer;
  return (
    <>
      <Title text="Configuration" />
      {answer.error === undefined ? null : <Failure message={answer.error} onRetry={answer.again} />}
      {value === undefined && answer.error === undefined ? <Loading what="the configuration" /> : null}
      {value === undefined ? null : (
        <>
          <Loaded config={value} />
          <ConfigCheck file={value.file} mayAct={mayAct} onApplied={answer.again} />
          <section class="panel" aria-labelledby="plan">
            <h2 id="plan">
              The plan in force <span class="muted">without secrets</span>
            </h2>
            <Code text={JSON.stringify(value.config, undefined, INDENT)} label="The plan in force" />
          </section>
        </>
      )}
    </>
  );
}

function Loaded({ config }: { readonly config: Config }): JSX.Element {
  const { file, loadedAt, lastReload, warnings } = config;
  return (
    <section class="panel" aria-labelledby="loaded">
      <h2 id="loaded">In force</h2>
      <p>
        {file === null ? "No file" : <code>{file}</code>}, loaded <Age at={loadedAt} /> (<Time at={loadedAt} />)
      </p>
      <Warnings warnings={warnings} />
      {lastReload === null ? (
        <p class="muted">It was not reloaded since the relay started.</p>
      ) : (
        <div class={lastReload.ok ? "tone-ok" : "tone-error"}>
          <p>
            <Glyph name={lastReload.ok ? "ok" : "error"} /> The last reload, <Age at={lastReload.at} />,{" "}
            {lastReload.ok ? "was taken over." : "failed: the relay goes on with the configuration it has."}
          </p>
          <ul class="facts">
            {lastReload.messages.map((message) => (
              <li key={message}>{message}</li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}
