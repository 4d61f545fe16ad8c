import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { TextFile } from "./source-file.ts";
import { parseSource, type SourceFile } from "./source-file.ts";

const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

/** The folders that are looked at. */
export const ROOMS: readonly string[] = [
  "packages",
  "tools",
  "benchmarks",
  "simulation",
  "attack",
  "browser",
  "fuzz",
  "deploy",
  "examples",
  "real-clients",
  "runtimes",
  "docs",
  ".changeset",
  ".github",
];
/** Written by a program: their texts are checked where they come from. */
export const GENERATED: readonly string[] = [
  "deploy/grafana/waybill.json",
  "docs/adr/README.md",
  "docs/conformance.md",
  "docs/errors.md",
  "docs/guide/vendors.md",
  "docs/operating/admin-api.md",
  "docs/operating/config.md",
  "docs/operating/logs.md",
  "docs/operating/sizing.md",
  "packages/*/etc/*.api.md",
  "packages/relay/config.schema.json",
  "packages/relay/src/intake/segment/batch-scan.wasm.ts",
];
const GENERATED_PATHS = GENERATED.map(
  (pattern) => new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll("*", "[^/]+")}$`),
);
const SKIPPED_FOLDERS = new Set(["node_modules", "dist", "coverage", "out"]);
/** Inputs and counter-examples, not text of ours. */
const SKIPPED = /^fuzz\/corpus\/|package-lock\.json$/;

export interface Tree {
  /** Paths of all files in the rooms and beside them. */
  readonly paths: readonly string[];
  /** TypeScript, and the few scripts that must run without a build. */
  readonly sources: readonly SourceFile[];
  readonly markdown: readonly TextFile[];
  readonly json: readonly TextFile[];
}

export function isGenerated(path: string): boolean {
  return GENERATED_PATHS.some((pattern) => pattern.test(path));
}

/** Reads the rooms, and the files that lie beside them. */
export function readTree(root: string = ROOT): Tree {
  const beside = readdirSync(root, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [entry.name] : []));
  const paths = [...beside, ...ROOMS.flatMap((room) => pathsUnder(root, room))].filter((path) => !SKIPPED.test(path));
  const read = (pattern: RegExp): readonly TextFile[] =>
    paths.filter((path) => pattern.test(path)).map((path) => ({ path, text: readFileSync(`${root}/${path}`, "utf8") }));
  return {
    paths,
    sources: read(/\.(?:ts|tsx|mjs)$/).map(parseSource),
    markdown: read(/\.md$/),
    json: read(/\.json$/),
  };
}

export function pathsUnder(root: string, folder: string): readonly string[] {
  return readdirSync(`${root}/${folder}`, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return SKIPPED_FOLDERS.has(entry.name) ? [] : pathsUnder(root, path);
    return [path];
  });
}
