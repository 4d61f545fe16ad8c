/** Which metrics and labels a PromQL query reads, by the parser of Prometheus' own editor. */
import type { SyntaxNode } from "@lezer/common";
import { parser } from "@prometheus-io/lezer-promql";

/** What a query wants of one metric. */
export interface Selector {
  readonly metric: string;
  readonly matchers: readonly Matcher[];
  /** Labels that something around it groups or matches by. */
  readonly grouped: readonly string[];
}

export interface Matcher {
  readonly label: string;
  readonly operator: string;
  readonly value: string;
}

/** What Grafana puts into a query; the parser sees a query as Prometheus gets it. */
const VARIABLES: readonly (readonly [RegExp, string])[] = [
  [/\$__rate_interval|\$__interval|\$__range/g, "5m"],
  [/\$\w+/g, ".*"],
];
const REGEX_OPERATORS: readonly string[] = ["=~", "!~"];

/** **Errors**: a query that does not parse. */
export function selectorsOf(query: string): readonly Selector[] {
  const text = VARIABLES.reduce((before, [name, value]) => before.replaceAll(name, value), query);
  const selectors: Selector[] = [];
  parser.parse(text).iterate({
    enter: (node) => {
      if (node.type.isError) throw new Error(`not PromQL at ${node.from}: ${text}`);
      if (node.name === "VectorSelector") selectors.push(selectorOf(node.node, text));
    },
  });
  return selectors;
}

function selectorOf(node: SyntaxNode, text: string): Selector {
  const name = node.getChild("Identifier");
  if (name === null) throw new Error(`a selector without a metric: ${text}`);
  const matchers = node.getChild("LabelMatchers")?.getChildren("UnquotedLabelMatcher") ?? [];
  return {
    metric: textOf(name, text),
    matchers: matchers.map((matcher) => matcherOf(matcher, text)),
    grouped: [...labelsAround(node, text)],
  };
}

function matcherOf(node: SyntaxNode, text: string): Matcher {
  const part = (name: string): string => {
    const child = node.getChild(name);
    return child === null ? "" : textOf(child, text);
  };
  return { label: part("LabelName"), operator: part("MatchOp"), value: JSON.parse(part("StringLiteral")) as string };
}

/** Of aggregations and of matches between two sides, up to the whole query. */
function labelsAround(node: SyntaxNode, text: string): ReadonlySet<string> {
  const labels = new Set<string>();
  for (let at = node.parent; at !== null; at = at.parent) {
    const modifier = at.getChild("AggregateModifier") ?? at.getChild("MatchingModifierClause");
    for (const grouping of modifier?.getChildren("GroupingLabels") ?? [])
      for (const label of grouping.getChildren("LabelName")) labels.add(textOf(label, text));
  }
  return labels;
}

function textOf({ from, to }: SyntaxNode, text: string): string {
  return text.slice(from, to);
}

/** Whether a value would match; what a person chooses at the dashboard matches all. */
export function matches({ operator, value }: Matcher, actual: string): boolean {
  if (REGEX_OPERATORS.includes(operator)) return new RegExp(`^(?:${value})$`).test(actual) === (operator === "=~");
  return (value === actual) === (operator === "=");
}
