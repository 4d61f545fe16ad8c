/** Reads changes aloud to those who do not see them. */
import type { JSX } from "preact";
import { createStore, type Store, useStore } from "../browser/store.ts";

const spoken: Store<string> = createStore("");

export function announce(text: string): void {
  spoken.set(text);
}

export function Announcer(): JSX.Element {
  return (
    <div class="visually-hidden" aria-live="polite" data-role="announcer">
      {useStore(spoken)}
    </div>
  );
}
