/** Metrics whose values are read from what the admin API shows, at the time of a scrape. */
import { Counter, Gauge, type Registry } from "prom-client";

/** One metric of each view `V`. */
export interface Reading<V> {
  readonly name: string;
  /** A sentence. */
  readonly help: string;
  /** A counter only grows, and its name ends in `_total`. */
  readonly kind: "counter" | "gauge";
  /** `undefined`: the view has no such value now. */
  readonly value?: (view: V) => number | undefined;
  /**
   * In place of one value, one for each value of a label. Their sum has a meaning, or the metric is
   * a state set.
   */
  readonly byLabel?: { readonly label: string; readonly values: (view: V) => Readonly<Record<string, number>> };
}

type Labels = Readonly<Record<string, string>>;

export interface ReadingsOptions<V, L extends string> {
  readonly registry: Registry;
  readonly labelNames: readonly L[];
  readonly labelsOf: (view: V) => Readonly<Partial<Record<L, string>>>;
}

/**
 * Registers the readings; what is returned reads them from the views of now, and forgets those of
 * before: a metric at each step, since there may be a thousand views.
 */
export function register<V, L extends string>(
  readings: readonly Reading<V>[],
  { registry, labelNames, labelsOf }: ReadingsOptions<V, L>,
): (views: readonly V[]) => Generator<void> {
  const registered = readings.map((reading) => {
    const { name, help, kind, byLabel } = reading;
    const names: readonly string[] = byLabel === undefined ? labelNames : [...labelNames, byLabel.label];
    const options = { name, help, labelNames: names, registers: [registry] };
    const metric = kind === "counter" ? new Counter(options) : new Gauge(options);
    return { reading, metric };
  });
  return function* read(views) {
    for (const { reading, metric } of registered) {
      metric.reset();
      for (const view of views)
        for (const { labels, value } of samplesOf(reading, view)) metric.inc({ ...labelsOf(view), ...labels }, value);
      yield;
    }
  };
}

interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

function samplesOf<V>({ value, byLabel }: Reading<V>, view: V): readonly Sample[] {
  const samples: Sample[] = [];
  const single = value?.(view);
  if (single !== undefined) samples.push({ labels: {}, value: single });
  if (byLabel !== undefined)
    for (const [name, one] of Object.entries(byLabel.values(view)))
      samples.push({ labels: { [byLabel.label]: name }, value: one });
  return samples;
}
