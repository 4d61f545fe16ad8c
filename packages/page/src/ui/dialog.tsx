/** A dialog for what is to be confirmed. The browser keeps the focus in it; Escape closes it. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { messageOf } from "../api/call.ts";
import { noteFailure } from "../api/session.ts";
import { Failure } from "./notes.tsx";

export interface DialogProps {
  readonly title: string;
  /** What the button that does it is called. */
  readonly action: string;
  readonly isDangerous?: boolean;
  readonly isReady?: boolean;
  readonly children: ComponentChildren;
  /** Its failure is shown in the dialog, which stays open. */
  readonly onConfirm: () => Promise<void>;
  readonly onClose: () => void;
}

export function Dialog(props: DialogProps): JSX.Element {
  const { title, action, isDangerous = false, isReady = true, children, onConfirm, onClose } = props;
  const element = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  const [isBusy, setIsBusy] = useState(false);
  const [fault, setFault] = useState<string>();
  useEffect(() => element.current?.showModal(), []);
  const confirm = (event: Event): void => {
    event.preventDefault();
    setIsBusy(true);
    onConfirm().then(onClose, (error: unknown) => {
      noteFailure(error);
      setFault(messageOf(error));
      setIsBusy(false);
    });
  };
  return (
    <dialog ref={element} aria-labelledby={titleId} onClose={onClose}>
      <form onSubmit={confirm}>
        <h2 id={titleId}>{title}</h2>
        {children}
        {fault === undefined ? null : <Failure message={fault} />}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class={isDangerous ? "danger" : "primary"} disabled={isBusy || !isReady}>
            {isBusy ? "Working…" : action}
          </button>
        </div>
      </form>
    </dialog>
  );
}
