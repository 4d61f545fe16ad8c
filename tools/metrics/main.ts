/**
 * `npm run -s promtool`: what is shipped for Prometheus and Grafana, by Prometheus' own tools, with
 * a real relay. Exit 1 when a check fails; exit 0 and the reason where the tools cannot be had.
 */
import { parseArgs } from "node:util";
import { findPrometheusTools } from "./prometheus-tools.ts";
import { promtoolChecks } from "./promtool-checks.ts";

const { values } = parseArgs({ options: { "json-line": { type: "boolean", default: false } } });
const write = (text: string): boolean => process.stdout.write(`${text}\n`);

const tools = findPrometheusTools(write);
if ("missing" in tools) {
  write(`skipped: ${tools.missing}`);
  if (values["json-line"]) write(JSON.stringify({ skipped: tools.missing }));
} else {
  const checks = await promtoolChecks(tools);
  for (const { name, ok, output } of checks) {
    write(`${ok ? "ok    " : "FAILED"}  ${name}`);
    if (output !== "") write(output.replaceAll(/^/gm, "        "));
  }
  const failed = checks.filter(({ ok }) => !ok).length;
  if (values["json-line"]) write(JSON.stringify({ checks: checks.length, failed }));
  process.exitCode = failed === 0 ? 0 : 1;
}
