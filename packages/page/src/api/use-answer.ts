/** The answer to a request, loaded when a component is shown and whenever its key changes. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { messageOf } from "./call.ts";
import { noteFailure } from "./session.ts";

export interface Answer<T> {
  /** The last one, also while the next is loaded. */
  readonly value: T | undefined;
  /** Of the last request, when it failed. */
  readonly error: string | undefined;
  readonly isLoading: boolean;
  /** Loads it again. */
  readonly again: () => void;
}

interface State<T> {
  readonly key: string;
  readonly value: T | undefined;
  readonly error: string | undefined;
  readonly isLoading: boolean;
}

/**
 * `load` is called for each new `key`; a value of another key is never shown. It is called again
 * for each new `revision`: the value before it is shown meanwhile.
 */
export function useAnswer<T>(key: string, load: (signal: AbortSignal) => Promise<T>, revision = ""): Answer<T> {
  const [state, setState] = useState<State<T>>({ key, value: undefined, error: undefined, isLoading: true });
  const [turn, setTurn] = useState(0);
  const loader = useRef(load);
  loader.current = load;
  useEffect(() => {
    const controller = new AbortController();
    setState((before) => ({
      key,
      value: before.key === key ? before.value : undefined,
      error: undefined,
      isLoading: true,
    }));
    loader.current(controller.signal).then(
      (value) => {
        if (!controller.signal.aborted) setState({ key, value, error: undefined, isLoading: false });
      },
      (error: unknown) => {
        if (controller.signal.aborted) return;
        noteFailure(error);
        setState((before) => ({ ...before, error: messageOf(error), isLoading: false }));
      },
    );
    return () => controller.abort();
  }, [key, turn, revision]);
  const again = useCallback(() => setTurn((before) => before + 1), []);
  return { value: state.key === key ? state.value : undefined, error: state.error, isLoading: state.isLoading, again };
}
