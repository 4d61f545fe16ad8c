/**
 * One round of a scenario of any checkout, which must be built. Arguments: the checkout's folder,
 * the scenario, `quick` for a short one. Its last line is the scenario's own.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

interface Scenario {
  readonly FULL: Readonly<Record<string, unknown>>;
  readonly QUICK: Readonly<Record<string, unknown>>;
  readonly run: (options: Readonly<Record<string, unknown>>) => Promise<unknown>;
}

/**
 * What differs from a run of the scenario on its own: five pairs take a few minutes. A client's
 * round is less than a second of work, so it has the median of several; the peer is not compared.
 */
const COMPARED: Readonly<Record<string, object>> = {
  client: { rounds: 7, peerEvents: 150 },
  relay: { requests: { 1: 20_000, 100: 5_000 }, oneCore: false },
  isolation: { requests: 2_500, pacedRequests: 2_000 },
};

const [root = "", name = "", size] = process.argv.slice(2);
/** Where scenarios are built; an older checkout has them beside the others. */
const FOLDERS = ["scenarios", ""];
const files = FOLDERS.map((folder) => join(root, "benchmarks", "dist", folder, `${name}.js`));
const file = files.find((path) => existsSync(path)) ?? (files[0] as string);
const { FULL, QUICK, run } = (await import(pathToFileURL(file).href)) as Scenario;
await run({ ...FULL, rounds: 1, ...COMPARED[name], ...(size === "quick" ? QUICK : {}), publish: false });
