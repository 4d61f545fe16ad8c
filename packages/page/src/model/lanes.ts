/** Which destinations are shown first, and how wide their flow is drawn. */
import type { Overview, OverviewDestination, RelayProblem } from "../api/types.ts";

/** Modes in which somebody has to act. */
const NEEDS_SOMEBODY = new Set(["failed", "halted", "paused"]);
/** Widths of a flow: none, up to 1, 10, 100, 1,000 events a second, and more. */
const FLOW_STEPS = [0, 1, 10, 100, 1_000] as const;

/** Those that need somebody first, then by name; only those whose name or vendor has the text. */
export function orderedDestinations(
  destinations: readonly OverviewDestination[],
  text: string,
): readonly OverviewDestination[] {
  const wanted = text.toLowerCase();
  const chosen = destinations.filter(({ name, vendor }) => `${name} ${vendor}`.toLowerCase().includes(wanted));
  const rank = ({ mode }: OverviewDestination): number => (NEEDS_SOMEBODY.has(mode) ? 0 : 1);
  return chosen.sort((one, other) => rank(one) - rank(other) || compare(one.name, other.name));
}

function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

/**
 * A lane that delivers is idle for a moment between two requests: shown as it is, it would flicker.
 */
export function shownMode({ mode, eventsPerSecondOut }: OverviewDestination): OverviewDestination["mode"] {
  return mode === "idle" && eventsPerSecondOut > 0 ? "sending" : mode;
}

/** From 0, nothing flows, to 5. */
export function flowWidth(eventsPerSecond: number): number {
  return FLOW_STEPS.filter((step) => eventsPerSecond > step).length;
}

export function totalRefused(byReason: Readonly<Record<string, number>>): number {
  return Object.values(byReason).reduce((sum, value) => sum + value, 0);
}

/** No event has ever come, as far as this process and its log know. */
export function isFresh({ environments }: Overview): boolean {
  return environments.every(
    ({ sources, destinations }) =>
      sources.every(({ acceptedTotal, duplicatesTotal }) => acceptedTotal + duplicatesTotal === 0) &&
      destinations.every(({ account }) => account.accepted === 0),
  );
}

/** The same problem has the same key while it lasts. */
export function problemKey({ code, environment = "", source = "", destination = "" }: RelayProblem): string {
  return [code, environment, source, destination].join("\n");
}

/** What is read aloud when the list of problems changes; nothing while it does not. */
export function announcementOf(before: readonly RelayProblem[], after: readonly RelayProblem[]): string {
  const known = new Set(before.map(problemKey));
  const left = new Set(after.map(problemKey));
  const added = after.filter((one) => !known.has(problemKey(one)));
  const solved = before.filter((one) => !left.has(problemKey(one)));
  if (added.length > 0) return added.map(({ what, doThis }) => `${what} ${doThis}`).join(" ");
  if (solved.length === 0) return "";
  return after.length === 0 ? "Nothing is wrong any more." : `Solved: ${solved.map(({ what }) => what).join(" ")}`;
}
