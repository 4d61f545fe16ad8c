/** The last hour as the charts show it. */
import type { History } from "../api/types.ts";

export type Values = readonly (number | null)[];

export interface Hour {
  /** In epoch seconds, as the charts want it: when each step began. */
  readonly seconds: readonly number[];
  /** Events stored a second, of the whole environment. */
  readonly accepted: Values;
  readonly delivered: Values;
  /** Requests a second that did not deliver all of their events. */
  readonly failedAttempts: Values;
  readonly p50Ms: Values;
  readonly p99Ms: Values;
}

const SECOND_MS = 1_000;

/** Of one destination, or of all. `undefined` when the answer does not have it. */
export function hourOf(history: History, environment: string, destination: string): Hour | undefined {
  const { stepMs, from } = history;
  const found = history.environments.find(({ name }) => name === environment);
  const columns = destination === "" ? found : found?.destinations.find(({ name }) => name === destination);
  if (found === undefined || columns === undefined) return undefined;
  const perSecond = (values: readonly number[]): Values => values.map((value) => (value * SECOND_MS) / stepMs);
  return {
    seconds: found.accepted.map((_, index) => (from + index * stepMs) / SECOND_MS),
    accepted: perSecond(found.accepted),
    delivered: perSecond(columns.delivered),
    failedAttempts: perSecond(columns.failedAttempts),
    p50Ms: columns.p50Ms,
    p99Ms: columns.p99Ms,
  };
}

/** The last value that there is, and the highest. */
export function summaryOf(values: Values): { readonly last: number | undefined; readonly highest: number | undefined } {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return { last: undefined, highest: undefined };
  return { last: known.at(-1), highest: known.reduce((highest, value) => Math.max(highest, value), 0) };
}
