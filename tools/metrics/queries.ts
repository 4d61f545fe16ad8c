/** Every query that is shipped: of the alerts, of the dashboard's panels and of its variables. */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { dashboardText, VARIABLES } from "./dashboard.ts";

export interface ShippedQuery {
  readonly where: string;
  readonly expr: string;
}

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const PROMETHEUS_FOLDER: URL = new URL("../../deploy/prometheus/", import.meta.url);

export function alerts(): readonly Alert[] {
  const text = readFileSync(new URL("waybill.rules.yml", PROMETHEUS_FOLDER), "utf8");
  const { groups } = parse(text) as { readonly groups: readonly { readonly rules: readonly Alert[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

interface DashboardPanel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

function panelQueries(): readonly ShippedQuery[] {
  const { panels, annotations } = JSON.parse(dashboardText()) as {
    readonly panels: readonly DashboardPanel[];
    readonly annotations: { readonly list: readonly { readonly name: string; readonly expr: string }[] };
  };
  return [
    ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ where: `panel "${title}"`, expr }))),
    ...annotations.list.map(({ name, expr }) => ({ where: `annotation ${name}`, expr })),
  ];
}

export function shippedQueries(): readonly ShippedQuery[] {
  return [
    ...alerts().map(({ alert, expr }) => ({ where: alert, expr })),
    ...panelQueries(),
    // A variable's values are those of a label: a grouping by it, as far as a query goes.
    ...VARIABLES.map(({ name, query }) => {
      const [, series, label] = /^label_values\((.*), (\w+)\)$/.exec(query) ?? [];
      if (series === undefined) throw new Error(`the variable ${name} is not a label_values(series, label)`);
      return { where: `variable ${name}`, expr: `count by (${label}) (${series})` };
    }),
  ];
}
