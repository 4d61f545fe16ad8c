/** The last hours of all relays as one, in the steps of the first. */
import type { History } from "../views.ts";
import { grouped } from "./sums.ts";

type HistoryEnvironment = History["environments"][number];
type Columns = Omit<HistoryEnvironment, "name" | "accepted" | "destinations">;

/** Of one relay, and by how many steps it begins later than the whole. */
interface Shifted<T> {
  readonly shift: number;
  readonly of: T;
}

/** `here` tells the end: what others have after it comes with the next answer. */
export function wholeHistory(here: History, others: readonly History[], stepsMax: number): History {
  const { stepMs } = here;
  const all = [here, ...others.filter((one) => one.stepMs === stepMs && one.steps > 0)];
  const begins = all.map(({ from }) => Math.round((from - here.from) / stepMs));
  const first = Math.max(Math.min(...begins), here.steps - stepsMax);
  const steps = here.steps - first;
  const environments = all.flatMap((one, at) =>
    one.environments.map((of): Shifted<HistoryEnvironment> => ({ of, shift: (begins[at] ?? 0) - first })),
  );
  return {
    stepMs,
    from: Math.max(0, here.from + first * stepMs),
    steps,
    environments: [...grouped(environments, ({ of }) => of.name).values()].map((group) => {
      const destinations = group.flatMap(({ of, shift }) => of.destinations.map((one) => ({ of: one, shift })));
      return {
        name: group[0]?.of.name ?? "",
        accepted: summed(group, (one) => one.accepted, steps),
        ...wholeColumns(group, steps),
        destinations: [...grouped(destinations, ({ of }) => of.name)].map(([name, lanes]) => ({
          name,
          ...wholeColumns(lanes, steps),
        })),
      };
    }),
  };
}

function wholeColumns(parts: readonly Shifted<Columns>[], steps: number): Columns {
  return {
    delivered: summed(parts, ({ delivered }) => delivered, steps),
    failedAttempts: summed(parts, ({ failedAttempts }) => failedAttempts, steps),
    p50Ms: highest(parts, ({ p50Ms }) => p50Ms, steps),
    p99Ms: highest(parts, ({ p99Ms }) => p99Ms, steps),
  };
}

function summed<T>(
  parts: readonly Shifted<T>[],
  columnOf: (of: T) => readonly number[],
  steps: number,
): readonly number[] {
  const columns = parts.map(({ of, shift }) => ({ values: columnOf(of), shift }));
  return Array.from({ length: steps }, (_, step) =>
    columns.reduce((sum, { values, shift }) => sum + (values[step - shift] ?? 0), 0),
  );
}

function highest<T>(
  parts: readonly Shifted<T>[],
  columnOf: (of: T) => readonly (number | null)[],
  steps: number,
): readonly (number | null)[] {
  const columns = parts.map(({ of, shift }) => ({ values: columnOf(of), shift }));
  return Array.from({ length: steps }, (_, step) => {
    const known = columns.flatMap(({ values, shift }) => values[step - shift] ?? []);
    return known.length === 0 ? null : Math.max(...known);
  });
}
