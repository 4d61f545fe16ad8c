import type { LanesOf } from "./desired-state.ts";

/** What operators asked for, as lanes have to know it. */
export interface Holds {
  /**
   * Resolves once the other relays can know of this one, and everything is read that any relay had
   * read before the call, whatever the broker knows that is asked. **Errors**: those of
   * `KeyedTopic.write`.
   */
  caughtUpWithAll(): Promise<void>;
  /** Why the lanes of a destination must not send; `undefined`: they may. */
  holdOf(lanes: LanesOf): string | undefined;
  /** Lanes of this relay came or went. */
  lanesChanged(): void;
}

/** Nobody can ask for anything. */
export const NO_HOLDS: Holds = {
  caughtUpWithAll: () => Promise.resolve(),
  holdOf: () => undefined,
  lanesChanged: () => undefined,
};
