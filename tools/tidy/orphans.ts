import { posix } from "node:path";
import type { Finding } from "./finding.ts";
import { type ImportGraph, leavesOf, type Manifest, sourcePathOf } from "./import-graph.ts";

const TEST = /\.test\.ts$/;
/** Run by hand, by another runtime than Node or a browser, or found under its name. */
const RUN_BY_HAND =
  /^(?:examples|real-clients\/clients)\/[^/]+\.ts$|^runtimes\/[^/]+\.mjs$|^deploy\/(?:docker|compose)\/[^/]+\.mjs$|^tools\/site\/browser\/(?:site|theme)\.ts$|^vitest\.config\.ts$|\.setup\.ts$/;
const SOURCE = /^packages\/[^/]+\/src\//;

/** Files that no entry point reaches; a source of a package must be reached without the tests. */
export function orphans({ edges }: ImportGraph, manifests: readonly Manifest[]): readonly Finding[] {
  const files = [...edges.keys()];
  const started = new Set(manifests.flatMap(entriesOf));
  const isEntry = (file: string): boolean => started.has(file) || RUN_BY_HAND.test(file);
  const used = reached(edges, files.filter(isEntry));
  const tested = reached(
    edges,
    files.filter((file) => TEST.test(file)),
  );
  const remedy = "remove it, or use it; entry points are exports, bins, scripts of a package.json, tests and examples";
  return files.flatMap((file) => {
    if (used.has(file) || (tested.has(file) && !SOURCE.test(file))) return [];
    const what = tested.has(file) ? "a source that only tests import" : "a file that nothing imports";
    return [{ check: "orphans", file, line: 1, what, remedy } as const];
  });
}

/** What a manifest exports or starts. */
function entriesOf({ folder, exports, bin, scripts }: Manifest): readonly string[] {
  const named = Object.values(scripts).flatMap((script) => script.match(/[\w./-]+\.(?:ts|js|mjs)\b/g) ?? []);
  return [...leavesOf(exports), ...leavesOf(bin), ...named].map((path) => sourcePathOf(posix.join(folder, path)));
}

function reached(edges: ImportGraph["edges"], from: readonly string[]): ReadonlySet<string> {
  const found = new Set(from);
  // A set grows while it is walked.
  for (const file of found) for (const { to } of edges.get(file) ?? []) found.add(to);
  return found;
}
