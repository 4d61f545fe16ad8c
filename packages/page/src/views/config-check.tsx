/** Checks the file on disk, or a text, and applies the file when the reader has seen what changes. */
import type { JSX } from "preact";
import { useId, useState } from "preact/hooks";
import { call, messageOf } from "../api/call.ts";
import { noteFailure } from "../api/session.ts";
import type { ConfigCheckView } from "../api/types.ts";
import { counted } from "../format/numbers.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Glyph } from "../ui/glyph.tsx";
import { Done, Empty, Failure } from "../ui/notes.tsx";

export interface ConfigCheckProps {
  readonly file: string;
  readonly mayAct: boolean;
  readonly onApplied: () => void;
}

interface Checked {
  readonly of: "file" | "text";
  readonly result: ConfigCheckView;
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
      <div class="actions">
        <button type="button" class="primary" disabled={isBusy} onClick={() => check("file")}>
          Check the file on disk
        </button>
        <code>{file}</code>
      </div>
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
          {result.faults.map(({ line, column, message }) => (
            <li key={`${line}:${column}:${message}`}>
              <code>{line === null ? "" : `${line}:${column}`}</code> {message}
            </li>
          ))}
        </ul>
      </div>
    );
  return (
    <div role="status">
      <p class="tone-ok">
        <Glyph name="ok" /> {name} is valid.
      </p>
      {result.changes.length === 0 ? (
        <Empty title="It changes nothing." />
      ) : (
        <ul class="facts">
          {result.changes.map((change) => (
            <li key={change}>{change}</li>
          ))}
        </ul>
      )}
      {of === "text" ? <p class="muted">To apply it, write it to the file and check the file.</p> : null}
      {of === "file" && mayAct && applied === undefined ? (
        <button type="button" class="primary" onClick={() => setIsAsked(true)}>
          Apply it
        </button>
      ) : null}
      {applied === undefined ? null : <Done>It is in force. {applied.join(" ")}</Done>}
      {isAsked ? (
        <Dialog
          title="Apply the changed configuration"
          action="Apply it"
          onClose={() => {
            setIsAsked(false);
            if (applied !== undefined) onApplied();
          }}
          onConfirm={async () => {
            const { changed } = await call("reload", {});
            setApplied(changed);
          }}
        >
          <p>The relay reads the file again and takes it over as a whole, or not at all. No event is lost by it.</p>
        </Dialog>
      ) : null}
    </div>
  );
}
