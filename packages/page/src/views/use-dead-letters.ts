/** Dead letters, a page at a time as the reader scrolls. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { call, messageOf } from "../api/call.ts";
import { noteFailure } from "../api/session.ts";
import type { DeadLetterPage, DeadLetterView } from "../api/types.ts";
import { useAtMost } from "../browser/use-at-most.ts";
import { deadLetterName } from "../model/dead-letter-name.ts";
import { headOf } from "../model/event-head.ts";
import type { Params } from "../router/route.ts";

/** What a row shows: the event itself is loaded when it is inspected. */
export interface DeadLetterSummary {
  /** Among those of the list. */
  readonly id: string;
  readonly state: string;
  readonly position: number;
  readonly rejectedAtMs: number;
  readonly reason: string;
  readonly name: string;
  readonly messageId: string;
}

export interface DeadLetterList {
  readonly rows: readonly DeadLetterSummary[];
  readonly isAll: boolean;
  readonly isLoading: boolean;
  readonly error: string | undefined;
  /** Relays that did not answer: what they have is not in the list. */
  readonly unanswered: string | undefined;
  /** Loads the next page; nothing while one is loaded, or when all are there. */
  readonly more: () => void;
  /** Begins anew. */
  readonly again: () => void;
  /** Some came or went since, and the list is too long to be loaded again without being asked. */
  readonly isOld: boolean;
}

interface Place {
  readonly environment: string;
  readonly destination: string;
}

interface Loaded {
  readonly rows: readonly DeadLetterSummary[];
  readonly next: DeadLetterPage["next"];
  readonly isLoading: boolean;
  readonly error: string | undefined;
  readonly unanswered: string | undefined;
}

/** A lane may refuse a thousand events a second. */
const REFRESH_MS = 2_000;
/** Some hundred kilobytes of JSON at a time. */
const PAGE = 500;
const NOTHING: Loaded = { rows: [], next: undefined, isLoading: true, error: undefined, unanswered: undefined };

/** `waiting` is how many there are now, as the overview has it: the list follows it. */
export function useDeadLetters(
  { environment, destination }: Place,
  filter: Params,
  waiting: number | undefined,
): DeadLetterList {
  const [loaded, setLoaded] = useState<Loaded>(NOTHING);
  const [turn, setTurn] = useState(0);
  const [isOld, setIsOld] = useState(false);
  const key = JSON.stringify([environment, destination, filter, turn]);
  const controller = useRef(new AbortController());
  const isBusy = useRef(false);
  const load = useCallback(
    (after: DeadLetterPage["next"]) => {
      const { signal } = controller.current;
      isBusy.current = true;
      const query = { ...filter, limit: PAGE, ...(after === undefined ? {} : { after }) };
      let unanswered: string | undefined;
      const onUnanswered = (text: string): void => {
        unanswered = text;
      };
      call("listDeadLetters", { params: { environment, destination }, query, signal, onUnanswered })
        .then(
          ({ deadLetters, next }) => {
            const added = deadLetters.map((dead) => summaryOf(environment, dead));
            setLoaded(({ rows, unanswered: before }) => ({
              rows: after === undefined ? added : [...rows, ...added],
              next,
              isLoading: false,
              error: undefined,
              unanswered: unanswered ?? (after === undefined ? undefined : before),
            }));
          },
          (error: unknown) => {
            if (signal.aborted) return;
            noteFailure(error);
            setLoaded((before) => ({ ...before, isLoading: false, error: messageOf(error) }));
          },
        )
        .finally(() => {
          if (!signal.aborted) isBusy.current = false;
        });
    },
    [key],
  );
  useEffect(() => {
    controller.current = new AbortController();
    setLoaded(NOTHING);
    setIsOld(false);
    load(undefined);
    return () => controller.current.abort();
  }, [load]);
  const known = useRef<number | undefined>(undefined);
  const atMost = useAtMost(waiting, REFRESH_MS);
  useEffect(() => {
    const before = known.current;
    known.current = atMost;
    if (before === undefined || atMost === before) return;
    if (loaded.rows.length > PAGE || isBusy.current) setIsOld(true);
    else load(undefined);
  }, [atMost]);
  const more = useCallback(() => {
    if (loaded.next !== undefined && !isBusy.current && loaded.error === undefined) load(loaded.next);
  }, [load, loaded]);
  const again = useCallback(() => setTurn((before) => before + 1), []);
  const { next, ...shown } = loaded;
  return { ...shown, isAll: next === undefined, more, again, isOld };
}

function summaryOf(environment: string, dead: DeadLetterView): DeadLetterSummary {
  const { state, position, rejectedAtMs, reason, name, messageId, event } = dead;
  return {
    id: deadLetterName(environment, dead),
    state,
    position,
    rejectedAtMs,
    reason,
    name: name ?? headOf(event).type,
    messageId: messageId ?? "",
  };
}
