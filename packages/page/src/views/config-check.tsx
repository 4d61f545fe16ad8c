/** Checks the file on disk, or a text; applies the file when the reader has seen what changes. */
import type { JSX } from "preact";
import { useId, useState } from "preact/hooks";
import { call, messageOf } from "../api/call.ts";
import { noteFailure } from "../api/session.ts";
import type { ConfigCheck as Result } from "../api/types.ts";
import { counted } from "../format/numbers.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Glyph } from "../ui/glyph.tsx";
import { Done, Empty, Failure } from "../ui/notes.tsx";

export interface ConfigCheckProps {
  readonly file: string | null;
  readonly mayAct: boolean;
  readonly onApplied: () => void;
}

interface Checked {
  readonly of: "file" | "text";
  readonly result: Result;
}

export function ConfigCheck({ file, mayAct, onApplied }: ConfigCheckProps): JSX.Element {
  const [text, setText] = useState("");
  const [checked, setChecked] = useState<Checked>();
  const [fault, setFault] = useState<string>();
  const [isBusy, setIsBusy] = useState(false);
  const id = useId();
  const check = (of: "file" | "text"): void => {
    setIsBusy(true);
    setFault(undefined);
    call("checkConfig", { body: of === "text" ? { text } : {} })
      .then(
        (result) => setChecked({ of, result }),
        (error: unknown) => {
          noteFailure(error);
          setFault(messageOf(error));
        },
      )
      .finally(() => setIsBusy(false));
  };
  return (
    <section class="panel" aria-labelledby="check">
      <h2 id="check">Check a change before it is applied</h2>
      <p class="muted">Checking changes nothing.</p>
      {file === null ? (
        <p>The relay was started without a file: only a text can be checked.</p>
      ) : (
        <div class="actions">
          <button type="button" class="primary" disabled={isBusy} onClick={() => check("file")}>
            Check the file on disk
          </button>
          <code>{file}</code>
        </div>
      )}
      <details>
        <summary>Or check a text</summary>
        <div class="field">
          <label for={id}>The changed configuration, as YAML or JSON</label>
          <textarea
            id={id}
            rows={12}
            spellcheck={false}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </div>
        <button type="button" disabled={isBusy || text.trim() === ""} onClick={() => check("text")}>
          Check this text
        </button>
      </details>
      {fault === undefined ? null : <Failure message={fault} />}
      {checked === undefined ? null : <Outcome checked={checked} mayAct={mayAct} onApplied={onApplied} />}
    </section>
  );
}

interface OutcomeProps {
  readonly checked: Checked;
  readonly mayAct: boolean;
  readonly onApplied: () => void;
}

function Outcome({ checked, mayAct, onApplied }: OutcomeProps): JSX.Element {
  const { of, result } = checked;
  const [isAsked, setIsAsked] = useState(false);
  const [applied, setApplied] = useState<readonly string[]>();
  const name = of === "file" ? "The file" : "The text";
  if (!result.ok)
    return (
      <div role="alert">
        <p class="tone-error">
          <Glyph name="error" /> {name} has {counted(result.faults.length, "fault")}.
        </p>
        <ul class="faults">
          {result.faults.map(({ line, column, path, message, hint }) => (
            <li key={`${line}:${column}:${path}:${message}`}>
              <code>{line === 0 ? "" : `${line}:${column}`}</code> {path === "" ? null : <b>{path} </b>}
              {message} {hint === null ? null : <span class="muted">{hint}</span>}
            </li>
          ))}
        </ul>
      </div>
    );
  return (
    <div role="status" class="outcome">
      <p class="tone-ok">
        <Glyph name="ok" /> {name} is valid.
      </p>
      {result.changes.length === 0 ? (
        <Empty title="It changes nothing." />
      ) : (
        <ul class="facts">
          {result.changes.map(({ kind, what, name, takesRestart }) => (
            <li key={`${what} ${name}`}>
              {what} <b>{name}</b> is {kind}
              {takesRestart ? <b class="tone-warn">; this takes a restart, a reload refuses the whole</b> : ""}.
            </li>
          ))}
        </ul>
      )}
      <Warnings warnings={result.warnings} />
      {of === "text" ? <p class="muted">To apply it, write it to the file and check the file.</p> : null}
      {of === "file" && mayAct && applied === undefined && result.changes.length > 0 ? (
        <button type="button" class="primary" onClick={() => setIsAsked(true)}>
          Apply it
        </button>
      ) : null}
      {applied === undefined ? null : <Done>It is in force: {applied.join(" ")}</Done>}
      {isAsked ? (
        <Dialog
          title="Apply the changed configuration"
          action="Apply it"
          onClose={() => setIsAsked(false)}
          onConfirm={async () => {
            const { changed } = await call("reload", {});
            setApplied(changed);
            onApplied();
          }}
        >
          <p>The relay reads the file again and takes it over as a whole, or not at all. No event is lost by it.</p>
        </Dialog>
      ) : null}
    </div>
  );
}

export function Warnings({ warnings }: { readonly warnings: readonly string[] }): JSX.Element | null {
  if (warnings.length === 0) return null;
  return (
    <ul class="facts">
      {warnings.map((warning) => (
        <li key={warning} class="tone-warn">
          <Glyph name="warning" /> {warning}
        </li>
      ))}
    </ul>
  );
}
