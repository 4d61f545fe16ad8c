/** Text to be copied, with the button that does it. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { after } from "../browser/clock.ts";
import { announce } from "./announcer.tsx";

const SHOWN_MS = 2_000;

export interface CopyProps {
  /** Or how to make it, where that takes time. */
  readonly text: string | (() => string);
  readonly label: string;
}

export function CopyButton({ text, label }: CopyProps): JSX.Element {
  const [state, setState] = useState<"" | "Copied" | "Not allowed">("");
  const copy = (): void => {
    const show = (next: "Copied" | "Not allowed"): void => {
      setState(next);
      announce(next);
      after(SHOWN_MS, () => setState(""));
    };
    navigator.clipboard.writeText(typeof text === "string" ? text : text()).then(
      () => show("Copied"),
      () => show("Not allowed"),
    );
  };
  return (
    <button type="button" class="small" onClick={copy}>
      {state === "" ? label : state}
    </button>
  );
}

export interface CodeProps {
  readonly text: string;
  /** What the text is, for those who do not see it. */
  readonly label: string;
}

/** Scrolls by keyboard too. */
export function Code({ text, label }: CodeProps): JSX.Element {
  return (
    <div class="code">
      <pre tabIndex={0} role="region" aria-label={label}>
        <code>{text}</code>
      </pre>
      <CopyButton text={text} label="Copy" />
    </div>
  );
}
