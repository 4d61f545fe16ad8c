/** The text that Prometheus reads: what is in it, and what is wrong with it. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string | undefined;
  readonly type: string | undefined;
  readonly samples: readonly Sample[];
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)/y;
const HISTOGRAM_ENDING = /_(?:bucket|sum|count)$/;
/** Units that are not base units, and abbreviations of those that are. */
const NO_BASE_UNIT =
  /_(?:ms|milliseconds|microseconds|us|ns|nanoseconds|s|sec|secs|minutes|hours|days|kb|kib|mb|mib|gb|gib|b|kilobytes|megabytes|percent)(?:_|$)/;
const TYPES: readonly string[] = ["counter", "gauge", "histogram", "summary"];
/** More values of a label than this, after a few seconds of traffic, follow the traffic. */
const VALUES_MAX = 40;

/** **Errors**: a line that is neither a comment nor a sample. */
export function familiesOf(text: string): readonly Family[] {
  const families = new Map<string, { name: string; help?: string; type?: string; samples: Sample[] }>();
  const family = (name: string): { name: string; help?: string; type?: string; samples: Sample[] } => {
    const known = families.get(name) ?? { name, samples: [] };
    families.set(name, known);
    return known;
  };
  for (const line of text.split("\n")) {
    const [, kind, about = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (kind === "HELP") family(about).help = rest;
    else if (kind === "TYPE") family(about).type = rest;
    else if (line !== "") {
      const sample = sampleOf(line);
      const whole = sample.name.replace(HISTOGRAM_ENDING, "");
      family(families.get(whole)?.type === "histogram" ? whole : sample.name).samples.push(sample);
    }
  }
  return [...families.values()].map(({ name, help, type, samples }) => ({ name, help, type, samples }));
}

function sampleOf(line: string): Sample {
  const [, name, labelText = "", value = ""] = SAMPLE.exec(line) ?? [];
  if (name === undefined) throw new Error(`not a line of the text format: ${line}`);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  for (let match = LABEL.exec(labelText); match !== null; match = LABEL.exec(labelText))
    labels[match[1] as string] = match[2] as string;
  return { name, labels, value: value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value) };
}

/** What is against Prometheus' conventions, as sentences. */
export function faultsOf(families: readonly Family[]): readonly string[] {
  return families.flatMap((family) => [
    ...nameFaults(family),
    ...labelFaults(family),
    ...(family.type === "histogram" ? histogramFaults(family) : []),
  ]);
}

function nameFaults({ name, help, type = "" }: Family): readonly string[] {
  const faults: string[] = [];
  if (help === undefined || help === "") faults.push(`${name} has no HELP`);
  if (!TYPES.includes(type)) faults.push(`${name} has no TYPE`);
  if (name.endsWith("_total") !== (type === "counter")) faults.push(`${name} is a ${type}: _total is for counters`);
  if (type !== "histogram" && HISTOGRAM_ENDING.test(name)) faults.push(`${name} ends like a part of a histogram`);
  if (NO_BASE_UNIT.test(name)) faults.push(`${name} is not in base units (seconds, bytes, ratios)`);
  if (!/^[a-z][a-z0-9_]*$/.test(name)) faults.push(`${name} is not in snake_case`);
  if (name.startsWith("waybill_") && help !== undefined && !/^[A-Z].*[.]$/.test(help))
    faults.push(`the HELP of ${name} is not a sentence`);
  return faults;
}

function labelFaults({ name, samples }: Family): readonly string[] {
  const values = new Map<string, Set<string>>();
  const seen = new Set<string>();
  const faults: string[] = [];
  for (const { name: sample, labels } of samples) {
    const series = `${sample} ${JSON.stringify(labels, Object.keys(labels).toSorted())}`;
    if (seen.has(series)) faults.push(`${series} is there twice`);
    seen.add(series);
    for (const [label, value] of Object.entries(labels)) {
      if (!/^[a-z][a-z0-9_]*$/.test(label)) faults.push(`the label ${label} of ${name} is not in snake_case`);
      values.set(label, (values.get(label) ?? new Set()).add(value));
    }
  }
  for (const [label, { size }] of values)
    if (size > VALUES_MAX) faults.push(`the label ${label} of ${name} has ${size} values`);
  return faults;
}

/** Buckets ascend, hold what is below, and end with all. */
function histogramFaults({ name, samples }: Family): readonly string[] {
  const series = new Map<string, { readonly le: number; readonly value: number }[]>();
  const counts = new Map<string, number>();
  for (const { name: sample, labels, value } of samples) {
    const { le, ...rest } = labels;
    const key = JSON.stringify(rest);
    if (sample === `${name}_count`) counts.set(key, value);
    if (sample !== `${name}_bucket`) continue;
    const buckets = series.get(key) ?? [];
    buckets.push({ le: le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le), value });
    series.set(key, buckets);
  }
  return [...series].flatMap(([key, buckets]) => {
    const isAscending = buckets.every(({ le, value }, at) => {
      const before = buckets[at - 1];
      return before === undefined || (le > before.le && value >= before.value);
    });
    const last = buckets.at(-1);
    return [
      ...(isAscending ? [] : [`the buckets of ${name}${key} do not ascend`]),
      ...(last?.le === Number.POSITIVE_INFINITY ? [] : [`${name}${key} has no bucket +Inf`]),
      ...(last?.value === counts.get(key) ? [] : [`${name}${key}: +Inf is not the count`]),
    ];
  });
}
