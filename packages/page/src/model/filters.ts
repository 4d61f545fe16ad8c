/** Filters in the URL of the page, as the admin API has them. */
import type { Params } from "../router/route.ts";

const DEAD_LETTER_FILTERS = ["reason", "name", "user", "source", "since", "until"] as const;
const SEARCH_FILTERS = ["environment", "user", "name", "type", "source", "since", "until"] as const;
const TAIL_FILTERS = ["environment", "source", "type", "name", "user"] as const;

function only(query: Params, names: readonly string[]): Params {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = query[name];
      return value === undefined || value === "" ? [] : [[name, value] as const];
    }),
  );
}

/** Those that wait, unless the URL has another state; `all` for every state. */
export function deadLetterQuery(query: Params): Params {
  const { state = "waiting" } = query;
  return { ...only(query, DEAD_LETTER_FILTERS), ...(state === "all" ? {} : { state }) };
}

export function searchQuery(query: Params): Params {
  return only(query, SEARCH_FILTERS);
}

export function tailQuery(query: Params): Params {
  return only(query, TAIL_FILTERS);
}

export type EventId =
  | { readonly is: "position"; readonly position: string }
  | { readonly is: "receipt"; readonly positions: string; readonly environment: string | undefined }
  | { readonly is: "messageId"; readonly messageId: string };

/**
 * A position is digits, a receipt positions with their counts, after its environment or, of a
 * cluster, a partition such as `production/3`; all else is a message id.
 */
const POSITION = /^\d{1,15}$/;
const RANGE = String.raw`(?:\d{1,5}@\d{1,15}(?:\.\d{1,7})?|\d{1,15})(?:\+\d{1,15})?`;
const RECEIPT = new RegExp(String.raw`^(?:([^/]+(?:\/\d{1,5})?)\/)?(${RANGE}(?:,${RANGE})*(?:;more=\d*)?)$`);

export function eventIdOf(text: string): EventId | undefined {
  const given = text.trim();
  if (given === "") return undefined;
  if (POSITION.test(given)) return { is: "position", position: given };
  const [whole, environment, positions] = RECEIPT.exec(given) ?? [];
  if (whole === undefined || positions === undefined) return { is: "messageId", messageId: given };
  return { is: "receipt", positions, environment };
}
