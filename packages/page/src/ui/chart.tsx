/** A time series. The chart library is loaded when the first is shown. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type UPlot from "uplot";
import { ownTask } from "../browser/clock.ts";
import { useStore } from "../browser/store.ts";
import { themeVersion } from "../browser/theme.ts";
import { exactUtc } from "../format/times.ts";
import { summaryOf, type Values } from "../model/history.ts";

export interface Series {
  readonly name: string;
  readonly values: Values;
  /** Chooses colour and dash. */
  readonly tone: "ingest" | "delivered" | "failed" | "half" | "slowest";
}

export interface ChartProps {
  readonly title: string;
  readonly seconds: readonly number[];
  readonly series: readonly Series[];
  readonly format: (value: number) => string;
}

const HEIGHT_PX = 120;
const SECOND_MS = 1_000;
const MINUTE_S = 60;
/** What a relay that has just started shows. */
const NARROWEST_S = 300;
/** Room above the highest value. */
const HEADROOM = 1.1;
const Y_AXIS_PX = 52;
const X_AXIS_PX = 24;
const DASHED = [5, 4];
const FONT = "11px system-ui, sans-serif";

export function Chart(props: ChartProps): JSX.Element {
  const { title, seconds, series, format } = props;
  const figure = useRef<HTMLElement>(null);
  const plot = useRef<UPlot | undefined>(undefined);
  const [at, setAt] = useState<number | null>(null);
  const version = useStore(themeVersion);
  const data = [seconds, ...series.map(({ values }) => values)] as unknown as UPlot.AlignedData;
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    const element = figure.current?.querySelector<HTMLElement>(".chart-canvas");
    if (figure.current === null || element === null || element === undefined) return undefined;
    return drawn(figure.current, element, { props, latest, plot, setAt });
    // The data alone is set below; names and colours need a new drawing.
  }, [version, series.map(({ name }) => name).join("\n")]);
  useEffect(() => plot.current?.setData(data), [seconds, ...series.map(({ values }) => values)]);
  const shownAt = at === null ? undefined : seconds[at];
  return (
    <figure class="chart" ref={figure} aria-label={spoken(props)}>
      <figcaption>
        <span class="chart-title">{title}</span>
        {series.map(({ name, values, tone }) => (
          <span class="chart-value" key={name}>
            <span class={`swatch series-${tone}`} />
            {name} <b>{shownValue(at === null ? summaryOf(values).last : values[at], format)}</b>
          </span>
        ))}
        <span class="chart-at">{shownAt === undefined ? "now" : clockTime(shownAt)}</span>
      </figcaption>
      <div class="chart-canvas" title={shownAt === undefined ? "" : exactUtc(shownAt * SECOND_MS)} />
    </figure>
  );
}

interface Drawing {
  readonly props: ChartProps;
  readonly latest: { readonly current: UPlot.AlignedData };
  readonly plot: { current: UPlot | undefined };
  readonly setAt: (index: number | null) => void;
}

/** Answers how to remove it. */
function drawn(figure: HTMLElement, element: HTMLElement, { props, latest, plot, setAt }: Drawing): () => void {
  let isGone = false;
  let made: UPlot | undefined;
  const resized = new ResizeObserver(() => made?.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
  void import("./plot.ts").then(async ({ Plot }) => {
    await ownTask();
    if (isGone) return;
    made = new Plot(optionsOf(figure, element, { props, setAt }), latest.current, element);
    plot.current = made;
    resized.observe(element);
  });
  return () => {
    isGone = true;
    resized.disconnect();
    made?.destroy();
    plot.current = undefined;
  };
}

function optionsOf(
  figure: HTMLElement,
  element: HTMLElement,
  { props, setAt }: Pick<Drawing, "props" | "setAt">,
): UPlot.Options {
  const { color } = getComputedStyle(figure);
  const line = getComputedStyle(element).borderBottomColor;
  const axis = { stroke: color, font: FONT, grid: { stroke: line, width: 1 }, ticks: { show: false } };
  const swatches = [...figure.querySelectorAll(".swatch")].map((swatch) => getComputedStyle(swatch).backgroundColor);
  return {
    width: element.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, sync: { key: "hour" } },
    scales: {
      x: { range: ({ data }: UPlot) => rangeOf(data[0]) },
      y: { range: (_plot, _lowest, highest) => [0, (highest ?? 0) === 0 ? 1 : (highest ?? 0) * HEADROOM] },
    },
    axes: [
      { ...axis, size: X_AXIS_PX, values: (_plot, splits) => splits.map(clockOf(splits)) },
      { ...axis, size: Y_AXIS_PX, values: (_plot, splits) => splits.map((value) => props.format(value)) },
    ],
    series: [
      {},
      ...props.series.map(({ name }, index) => ({
        label: name,
        stroke: swatches[index] ?? color,
        width: 1.5,
        // One sample makes no line.
        points: { show: ({ data }: UPlot) => data[0].length === 1 },
        ...(index === 0 ? {} : { dash: DASHED }),
      })),
    ],
    hooks: { setCursor: [(plot) => setAt(plot.cursor.idx ?? null)] },
  };
}

/** The scale is not given the values of a single sample. */
function rangeOf(seconds: ArrayLike<number>): [number, number] {
  const last = seconds[seconds.length - 1] ?? 0;
  return [Math.min(seconds[0] ?? 0, last - NARROWEST_S), last];
}

function shownValue(value: number | null | undefined, format: (value: number) => string): string {
  return value === null || value === undefined ? "–" : format(value);
}

function spoken({ title, series, format }: ChartProps): string {
  const parts = series.map(({ name, values }) => {
    const { last, highest } = summaryOf(values);
    if (last === undefined || highest === undefined) return `${name}: nothing`;
    return `${name}: now ${format(last)}, highest ${format(highest)}`;
  });
  return `${title} in the last hour. ${parts.join("; ")}`;
}

const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const MINUTES = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

function clockTime(seconds: number): string {
  return TIME.format(new Date(seconds * SECOND_MS));
}

/** With seconds where two labels would be the same without. */
function clockOf(splits: readonly number[]): (seconds: number) => string {
  const [first = 0, second = first + MINUTE_S] = splits;
  return second - first < MINUTE_S ? clockTime : (seconds) => MINUTES.format(new Date(seconds * SECOND_MS));
}
