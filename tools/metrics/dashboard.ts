/** The Grafana dashboard as JSON: `npm run docs` writes `deploy/grafana/waybill.json`. */
import { type Panel, ROWS, type Row } from "./panels.ts";

/** Grafana's grid has 24 columns. */
const COLUMNS = 24;
const NUMBER_SIZE = { w: 3, h: 4 } as const;
const PANEL_SIZE = { w: 8, h: 8 } as const;
/** Of Grafana 10 and later; newer ones read it too. */
const SCHEMA_VERSION = 39;
const SOURCE = { type: "prometheus", uid: "${datasource}" };
/** What kind of query a variable has, by Prometheus' data source in Grafana. */
const LABEL_VALUES = 1;
const COLOURS = { fine: "green", warning: "orange", error: "red" } as const;

/** What is chosen at the top; each query sees what is chosen before it. */
export const VARIABLES: readonly { readonly name: string; readonly query: string }[] = [
  { name: "job", query: "label_values(waybill_build_info, job)" },
  { name: "instance", query: 'label_values(waybill_build_info{job=~"$job"}, instance)' },
  { name: "environment", query: 'label_values(waybill_log_ready{job=~"$job",instance=~"$instance"}, environment)' },
  {
    name: "destination",
    query: 'label_values(waybill_lane_balanced{job=~"$job",environment=~"$environment"}, destination)',
  },
  {
    name: "source",
    query: 'label_values(waybill_source_accepted_events_total{job=~"$job",environment=~"$environment"}, source)',
  },
];

export function dashboardText(): string {
  const dashboard = {
    uid: "waybill",
    title: "Waybill",
    description: "Relays: what comes in, what waits and why, what goes out. Alerts are in docs/operating/alerts.md.",
    tags: ["waybill"],
    schemaVersion: SCHEMA_VERSION,
    editable: true,
    graphTooltip: 1,
    time: { from: "now-3h", to: "now" },
    refresh: "30s",
    templating: { list: [datasourceVariable(), ...VARIABLES.map(variable)] },
    annotations: { list: [startsOfRelays()] },
    panels: panelsOf(ROWS),
  };
  return `${JSON.stringify(dashboard, undefined, 2)}\n`;
}

function datasourceVariable(): object {
  const current = { text: "default", value: "default" };
  return { name: "datasource", label: "data source", type: "datasource", query: "prometheus", current };
}

function variable({ name, query }: (typeof VARIABLES)[number]): object {
  return {
    name,
    type: "query",
    datasource: SOURCE,
    query: { query, qryType: LABEL_VALUES, refId: `${name}-values` },
    definition: query,
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    // Also what has no such label: requests whose source is not known.
    allValue: ".*",
    current: { text: "All", value: "$__all" },
  };
}

/** Lines at the times when a relay started. */
function startsOfRelays(): object {
  return {
    name: "starts",
    datasource: SOURCE,
    enable: true,
    iconColor: "blue",
    expr: 'changes(process_start_time_seconds{job=~"$job",instance=~"$instance"}[$__rate_interval]) > 0',
    titleFormat: "{{instance}} started",
  };
}

/** From left to right, a row below the other. */
function panelsOf(rows: readonly Row[]): readonly object[] {
  const panels: object[] = [];
  let y = 0;
  let id = 0;
  for (const { title, panels: wanted } of rows) {
    panels.push({ id: ++id, type: "row", title, collapsed: false, gridPos: { x: 0, y, w: COLUMNS, h: 1 }, panels: [] });
    y += 1;
    let x = 0;
    let height = 0;
    for (const panel of wanted) {
      const { w, h } = panel.kind === "number" ? NUMBER_SIZE : PANEL_SIZE;
      if (x + w > COLUMNS) {
        x = 0;
        y += height;
      }
      panels.push({ id: ++id, gridPos: { x, y, w, h }, ...panelOf(panel) });
      x += w;
      height = h;
    }
    y += height;
  }
  return panels;
}

const TYPES: Readonly<Record<Panel["kind"], string>> = {
  lines: "timeseries",
  stack: "timeseries",
  number: "stat",
  modes: "state-timeline",
};

function panelOf({ title, description, kind, unit, queries, limits, names = {} }: Panel): object {
  const isTime = kind === "lines" || kind === "stack";
  return {
    type: TYPES[kind],
    title,
    description,
    datasource: SOURCE,
    targets: queries.map(({ expr, legend }, at) => ({
      refId: String.fromCharCode("A".charCodeAt(0) + at),
      datasource: SOURCE,
      expr,
      legendFormat: legend,
      ...(kind === "number" ? { instant: true } : { range: true }),
    })),
    fieldConfig: {
      defaults: {
        unit,
        min: isTime ? 0 : undefined,
        mappings: mappingsOf(names),
        thresholds: { mode: "absolute", steps: stepsOf(limits) },
        color: { mode: kind === "number" || kind === "modes" ? "thresholds" : "palette-classic" },
        custom: isTime ? linesOf(kind === "stack") : undefined,
      },
      overrides: [],
    },
    options: OPTIONS[kind],
  };
}

const LINE_OPTIONS = {
  legend: { displayMode: "table", placement: "bottom", calcs: ["lastNotNull", "max"], showLegend: true },
  tooltip: { mode: "multi", sort: "desc" },
};
const OPTIONS: Readonly<Record<Panel["kind"], object>> = {
  lines: LINE_OPTIONS,
  stack: LINE_OPTIONS,
  number: { reduceOptions: { calcs: ["lastNotNull"] }, colorMode: "value", graphMode: "none", textMode: "value" },
  modes: { mergeValues: true, showValue: "auto", rowHeight: 0.8, legend: { showLegend: false } },
};

function linesOf(isStack: boolean): object {
  return {
    drawStyle: "line",
    lineWidth: 1,
    fillOpacity: isStack ? 30 : 0,
    showPoints: "never",
    spanNulls: false,
    stacking: { mode: isStack ? "normal" : "none" },
  };
}

/** Where little is bad, the error is below the warning. */
function stepsOf(limits: Panel["limits"]): readonly object[] {
  const { fine, warning, error } = COLOURS;
  if (limits === undefined) return [{ color: fine, value: null }];
  if (limits.error < limits.warning)
    return [
      { color: error, value: null },
      ...(limits.error === 0 ? [] : [{ color: warning, value: limits.error }]),
      { color: fine, value: limits.warning },
    ];
  return [
    { color: fine, value: null },
    ...(limits.error === limits.warning ? [] : [{ color: warning, value: limits.warning }]),
    { color: error, value: limits.error },
  ];
}

function mappingsOf(names: Readonly<Record<string, string>>): readonly object[] {
  const options = Object.fromEntries(
    Object.entries(names).map(([value, text], index) => [value, { text, color: colourOf(text), index }]),
  );
  return Object.keys(options).length === 0 ? [] : [{ type: "value", options }];
}

function colourOf(text: string): string {
  if (["halted", "failed", "no"].includes(text)) return COLOURS.error;
  return ["waiting", "paused"].includes(text) ? COLOURS.warning : COLOURS.fine;
}
