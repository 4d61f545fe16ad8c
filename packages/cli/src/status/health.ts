import type { Overview } from "@waybill/relay";
import { counted } from "../counted.ts";
import type { Painted, Terminal, Tone } from "../terminal/terminal.ts";

/**
 * How a relay is, in one word. `degraded`: something needs a person, and events are delivered all
 * the same. `failing`: events are lost or not delivered until somebody acts.
 */
export type Health = "well" | "degraded" | "failing" | "unreachable";

const HEALTH_TONES: Readonly<Record<Health, Tone>> = {
  well: "good",
  degraded: "warning",
  failing: "error",
  unreachable: "error",
};

/** Decided by the relay's own list of what is wrong. */
export function healthOf({ problems }: Pick<Overview, "problems">): Health {
  if (problems.length === 0) return "well";
  return problems.some(({ severity }) => severity === "error") ? "failing" : "degraded";
}

/** The first line: the word, and how much is wrong. */
export function headline(overview: Pick<Overview, "problems">, { paint }: Terminal): Painted {
  const health = healthOf(overview);
  const errors = overview.problems.filter(({ severity }) => severity === "error").length;
  const warnings = overview.problems.length - errors;
  const counts = [
    ...(errors > 0 ? [counted(errors, "error")] : []),
    ...(warnings > 0 ? [counted(warnings, "warning")] : []),
  ];
  const rest = health === "well" ? "nothing needs a person" : counts.join(", ");
  return `${paint(health, HEALTH_TONES[health])}${paint(`: ${rest}`)}` as Painted;
}
