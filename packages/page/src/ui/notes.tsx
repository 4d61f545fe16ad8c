/** What is shown when there is nothing to show, or when something went wrong. */
import type { ComponentChildren, JSX } from "preact";
import { Glyph } from "./glyph.tsx";

export function Empty({
  title,
  children,
}: {
  readonly title: string;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

export interface FailureProps {
  readonly message: string;
  readonly onRetry?: (() => void) | undefined;
}

export function Failure({ message, onRetry }: FailureProps): JSX.Element {
  return (
    <div class="note tone-error" role="alert">
      <Glyph name="error" />
      <p>{message}</p>
      {onRetry === undefined ? null : (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Relays of a cluster that did not answer: what is shown is without what they have. */
export function Unanswered({ text }: { readonly text: string }): JSX.Element {
  return (
    <div class="note tone-warn" role="status">
      <Glyph name="warning" />
      <p>Not all relays answered, and what they have is not shown: {text}.</p>
    </div>
  );
}

export function Loading({ what }: { readonly what: string }): JSX.Element {
  return (
    <p class="loading" role="status">
      Loading {what}…
    </p>
  );
}

/** For what has just been done; read aloud. */
export function Done({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return (
    <div class="note tone-ok" role="status">
      <Glyph name="ok" />
      <div>{children}</div>
    </div>
  );
}
