/** By Prometheus' own tools; without them the test is skipped, and the reason is printed. */
import { expect, test } from "vitest";
import { findPrometheusTools } from "./prometheus-tools.ts";
import { promtoolChecks } from "./promtool-checks.ts";

const MAX_MS = 300_000;

test(
  "promtool and a Prometheus that reads a relay find nothing wrong with metrics, alerts and dashboard",
  async ({ skip }) => {
    const write = (line: string): boolean => process.stdout.write(`${line}\n`);
    const tools = findPrometheusTools(write);
    if ("missing" in tools) {
      write(`skipped: ${tools.missing}`);
      return skip(tools.missing);
    }
    const checks = await promtoolChecks(tools);
    expect(checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(checks).toHaveLength(6);
  },
  MAX_MS,
);
