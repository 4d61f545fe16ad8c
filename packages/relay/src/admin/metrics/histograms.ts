/**
 * Histograms in the Prometheus text format. They are written here, and not by prom-client, because
 * they are counted without it ({@link Histogram}), and in pieces: with a thousand sources there are
 * so many samples that others must have their turn between them.
 */
import type { Histogram } from "../../histogram.ts";

/** One of the histograms of a metric. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly histogram: Histogram;
}

export interface HistogramFamily {
  readonly name: string;
  /** A sentence. */
  readonly help: string;
  readonly series: Iterable<Series>;
}

/** Series in one piece: a few hundred samples, well below a millisecond. */
const SERIES_A_PIECE = 32;

/** Text in pieces, each of whole lines and with a line feed at its end. */
export function* histogramText({ name, help, series }: HistogramFamily): Generator<string> {
  let text = `# HELP ${name} ${help}\n# TYPE ${name} histogram\n`;
  let count = 0;
  for (const one of series) {
    text += samplesOf(name, one);
    count += 1;
    if (count % SERIES_A_PIECE !== 0) continue;
    yield text;
    text = "";
  }
  yield text;
}

/** Buckets hold what is below too: their counts add up to the whole. */
function samplesOf(name: string, { labels, histogram: { limits, counts, sum } }: Series): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escaped(value)}"`);
  const before = pairs.map((pair) => `${pair},`).join("");
  let total = 0;
  let text = "";
  for (const [bucket, count] of counts.entries()) {
    total += count;
    text += `${name}_bucket{${before}le="${limits[bucket] ?? "+Inf"}"} ${total}\n`;
  }
  const alone = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
  return `${text}${name}_sum${alone} ${sum}\n${name}_count${alone} ${total}\n`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
