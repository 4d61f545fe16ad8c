import { collectDefaultMetrics, Gauge, type Registry } from "prom-client";
import { LIBRARY } from "../../version.ts";

/** Gauges with the ending of a counter; what they count is in metrics of other names too. */
const MISNAMED = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"];

/** CPU, memory, files and event loop of the process, by Prometheus' names, and what runs in it. */
export function registerProcess(registry: Registry): void {
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  const { version: node, platform, arch } = process;
  const info = new Gauge({
    name: "waybill_build_info",
    help: "Always 1; its labels have the version of Waybill and of Node.js, and the platform.",
    labelNames: ["version", "node", "platform", "arch"],
    registers: [registry],
  });
  info.set({ version: LIBRARY.version, node, platform, arch }, 1);
}
