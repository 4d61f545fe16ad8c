/** What the relay logs, and what of it may be in a line; its spans. */
import type { Mutant } from "./mutant.ts";

const LINES = "packages/relay/src/log-lines";
const LINE_TESTS = "packages/relay/test/log-lines";
const TRACING = "packages/relay/src/tracing";
const TRACING_TESTS = "packages/relay/test/tracing";

const LOG_LINES: readonly Mutant[] = [
  {
    name: "log line: levels are words",
    file: "packages/relay/src/logger.ts",
    find: "    formatters: { level: (label: string) => ({ level: label }) },\n",
    replace: "",
    tests: [`${LINE_TESTS}/operator-log.test.ts`],
  },
  {
    name: "log line: of a vendor's answer it has the status alone",
    file: `${LINES}/safe-text.ts`,
    find: "STATUS.exec(reason)?.[0];\n}\n\n/** By what",
    replace: "reason;\n}\n\n/** By what",
    tests: [`${LINE_TESTS}/secrets.heavy.test.ts`],
  },
  {
    name: "log line: dead letters are counted by kind, not by what a vendor answered",
    file: `${LINES}/safe-text.ts`,
    find: 'STATUS.exec(reason)?.[0] ?? "refused"',
    replace: "reason",
    tests: [`${LINE_TESTS}/secrets.heavy.test.ts`],
  },
  {
    name: "log line: of a defect it has the kind",
    file: `${LINES}/safe-text.ts`,
    find: "return error instanceof Error ? nameOf(error)",
    replace: "return error instanceof Error ? nameOf(error) + error.message",
    tests: [`${LINE_TESTS}/secrets.heavy.test.ts`],
  },
  {
    name: "log line: what comes in floods is a line a minute",
    file: `${LINES}/summaries.ts`,
    find: "      add(known, count, kind);\n      return;",
    replace: "      write({ count, kinds: {}, seconds: undefined });\n      return;",
    tests: [`${LINE_TESTS}/operator-log.test.ts`],
  },
  {
    name: "log line: what was counted is written at the stop",
    file: `${LINES}/summaries.ts`,
    find: "      this.forget(thing);\n      this.#write(known);",
    replace: "      this.forget(thing);\n      void known;",
    tests: [`${LINE_TESTS}/operator-log.test.ts`],
  },
  {
    name: "log line: events that become dead letters are reported",
    file: "packages/log/src/lanes/settlements.ts",
    find: 'if (outcome.status === "rejected") this.#options.onRejected?.(outcome.reason);',
    replace: "",
    tests: [`${LINE_TESTS}/secrets.heavy.test.ts`],
  },
  {
    name: "log line: a lane that was halted and delivers is reported",
    file: `${LINES}/operator-log.ts`,
    find: 'if (news.stopped !== undefined && news.stopped !== "paused")',
    replace: 'if (news.stopped === "paused")',
    tests: [`${LINE_TESTS}/operator-log.test.ts`],
  },
  {
    name: "log line: a key that was rotated is reported",
    file: "packages/relay/src/plan.ts",
    find: '    this.#options.log.write("key_rotated", { ...ownerOf(keySet), graceMs });\n',
    replace: "    void ownerOf;\n",
    tests: [`${LINE_TESTS}/secrets.heavy.test.ts`],
  },
  {
    name: "log line: a reload that fails is reported, whoever asked for it",
    file: "packages/relay/src/plan.ts",
    find: '      else this.#options.log.write("reload_failed", { errors });\n',
    replace: "",
    tests: [`${LINE_TESTS}/secrets.heavy.test.ts`],
  },
  {
    name: "log line: refusals of the intake are reported",
    file: "packages/relay/src/lifecycle/relay.ts",
    find: "          this.#log.refused(of);\n",
    replace: "",
    tests: [`${LINE_TESTS}/secrets.heavy.test.ts`],
  },
];

const SPANS: readonly Mutant[] = [
  {
    name: "span: the traceparent of a request is its parent",
    file: `${TRACING}/tracing.ts`,
    find: "isInstrumented ? active : api.propagation.extract(active, request.headers)",
    replace: "active",
    tests: [`${TRACING_TESTS}/tracing.test.ts`],
  },
  {
    name: "span: a delivery of one request is in its trace",
    file: `${TRACING}/tracing.ts`,
    find: "only !== undefined && isWhole && spans.length === 1",
    replace: "only !== undefined && isWhole && spans.length < 1",
    tests: [`${TRACING_TESTS}/tracing.test.ts`],
  },
  {
    name: "span: a delivery of several requests is a trace of its own",
    file: `${TRACING}/tracing.ts`,
    find: "only !== undefined && isWhole && spans.length === 1",
    replace: "only !== undefined && (isWhole || spans.length > 0)",
    tests: [`${TRACING_TESTS}/tracing.test.ts`],
  },
  {
    name: "span: the links of a delivery are bounded",
    file: `${TRACING}/tracing.ts`,
    find: "const LINKS_MAX = 32;",
    replace: "const LINKS_MAX = 64;",
    tests: [`${TRACING_TESTS}/tracing.test.ts`],
  },
  {
    name: "span: the requests that are remembered are bounded",
    file: `${TRACING}/span-index.ts`,
    find: "    if (this.#stored.length > REQUESTS_MAX) this.#stored = this.#stored.slice(REQUESTS_MAX / 2);\n",
    replace: "    void REQUESTS_MAX;\n",
    tests: [`${TRACING_TESTS}/span-index.test.ts`],
  },
  {
    name: "span: the vendor's request carries the trace of the delivery",
    file: `${TRACING}/delivery-spans.ts`,
    find: "headers: { ...request.headers, ...added }",
    replace: 'headers: { ...request.headers, ...(added["x"] === undefined ? {} : added) }',
    tests: [`${TRACING_TESTS}/tracing.test.ts`],
  },
  {
    name: "span: a trace that an operator has set is the only one",
    file: `${TRACING}/delivery-spans.ts`,
    find: "TRACE_HEADERS.has(name.toLowerCase())",
    replace: "TRACE_HEADERS.has(`${name} `)",
    tests: [`${TRACING_TESTS}/tracing.test.ts`],
  },
  {
    name: "span: an append that fails is an error",
    file: "packages/relay/src/intake/ingest.ts",
    find: "  traced?.();\n",
    replace: "  void traced;\n",
    tests: [`${TRACING_TESTS}/tracing.test.ts`],
  },
  {
    name: "span: without a provider nothing is imported",
    file: `${TRACING}/load-tracing.ts`,
    find: "  if (trace === undefined) return undefined;\n",
    replace: "",
    tests: [`${TRACING_TESTS}/untraced.test.ts`],
  },
  {
    name: "span: within an instrumentation of HTTP a request is a part of its span",
    file: `${TRACING}/tracing.ts`,
    find: "const isInstrumented = api.trace.getSpan(active) !== undefined;",
    replace: "const isInstrumented = api.trace.getSpan(active) === null;",
    tests: [`${TRACING_TESTS}/tracing.test.ts`],
  },
];

export const TELEMETRY: readonly Mutant[] = [...LOG_LINES, ...SPANS];
