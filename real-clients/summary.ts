/** Outcomes of scenarios, summed up and as a table. */
import type { Outcome } from "./scenario.ts";

/** Why an SDK, or one of its scenarios, was not run. */
export interface Skipped {
  readonly client: string;
  readonly how: string;
  readonly reason: string;
}

/** The figures of `--json-line`. */
export interface Figures {
  /** SDKs of which every scenario that was run came to its end. */
  readonly clients: number;
  readonly events: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly relayKills: number;
}

export function figuresOf(outcomes: readonly Outcome[]): Figures {
  const failed = new Set(outcomes.filter(isFailed).map(({ client }) => client));
  const clients = new Set(outcomes.map(({ client }) => client).filter((client) => !failed.has(client)));
  return { clients: clients.size, ...sumsOf(outcomes) };
}

/** Whether something ran, and nothing was lost, was there twice or failed. */
export function isGood(outcomes: readonly Outcome[]): boolean {
  const { events, lost, duplicates } = figuresOf(outcomes);
  return events > 0 && lost === 0 && duplicates === 0 && !outcomes.some(isFailed);
}

/** A line for each SDK and one for all; `versionOf` finds which version was run. */
export function tableOf(outcomes: readonly Outcome[], versionOf: (client: string) => string | undefined): string {
  const clients = [...new Set(outcomes.map(({ client }) => client))];
  const rows = clients.map((client): readonly string[] => {
    const own = outcomes.filter((outcome) => outcome.client === client);
    const ways = own.map((outcome) => (isFailed(outcome) ? `${outcome.how} (failed)` : outcome.how));
    return [`${client} ${versionOf(client) ?? ""}`, ...cellsOf(own), ways.join("; ")];
  });
  const total = ["all", ...cellsOf(outcomes), `${figuresOf(outcomes).clients} SDKs`];
  return aligned([["SDK", "events", "lost", "duplicates", "relay kills", "by"], ...rows, total]);
}

function isFailed({ failure }: Outcome): boolean {
  return failure !== undefined;
}

function cellsOf(outcomes: readonly Outcome[]): readonly string[] {
  const { events, lost, duplicates, relayKills } = sumsOf(outcomes);
  return [events, lost, duplicates, relayKills].map(String);
}

function sumsOf(outcomes: readonly Outcome[]): Omit<Figures, "clients"> {
  const sum = (of: (outcome: Outcome) => number): number =>
    outcomes.reduce((before, outcome) => before + of(outcome), 0);
  return {
    events: sum(({ events }) => events),
    lost: sum(({ lost }) => lost),
    duplicates: sum(({ duplicates }) => duplicates),
    relayKills: sum(({ relayKills }) => relayKills),
  };
}

/** Columns of text, numbers to the right. */
function aligned(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 || column === row.length - 1 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join("  ")
      .trimEnd(),
  );
  return lines.map((line) => `${line}\n`).join("");
}
