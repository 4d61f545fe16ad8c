/** One round of a scenario of any checkout, which must be built. Arguments: the checkout's folder, the scenario, `quick` for a short one. Its last line is the scenario's own. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";

interface Scenario {
  readonly FULL: Readonly<Record<string, unknown>>;
  readonly QUICK: Readonly<Record<string, unknown>>;
  readonly run: (options: Readonly<Record<string, unknown>>) => Promise<unknown>;
}

/** Half of what the scenario sends on its own: five pairs of it take ten minutes. */
const SMALLER: Readonly<Record<string, object>> = { relay: { requests: { 1: 30_000, 100: 7_500 } } };

const [root = "", name = "", size] = process.argv.slice(2);
const file = join(root, "benchmarks", "dist", `${name}.js`);
const { FULL, QUICK, run } = (await import(pathToFileURL(file).href)) as Scenario;
await run({ ...(size === "quick" ? QUICK : { ...FULL, ...SMALLER[name] }), rounds: 1, publish: false });
