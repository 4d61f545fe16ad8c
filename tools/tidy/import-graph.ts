import { posix } from "node:path";
import { lineOf, type SourceFile, type TextFile } from "./source-file.ts";

/** Who imports whom, by path from the root. */
export interface ImportGraph {
  readonly edges: ReadonlyMap<string, readonly Edge[]>;
}

export interface Edge {
  readonly to: string;
  readonly line: number;
  /** Started as a program or a worker: in use, but not a part of an import cycle. */
  readonly isStarted?: true;
}

export interface Manifest {
  readonly folder: string;
  readonly name: string;
  readonly exports: unknown;
  readonly imports: unknown;
  readonly bin: unknown;
  readonly scripts: Readonly<Record<string, string>>;
}

/**
 * Static imports (of types too), dynamic ones, re-exports, and files named by
 * `new URL(…, import.meta.url)`.
 */
export function importGraph(sources: readonly SourceFile[], manifests: readonly Manifest[]): ImportGraph {
  const paths = sources.map(({ path }) => path);
  const known = new Set(paths);
  const packages = packageFiles(manifests);
  const edges = sources.map((source) => {
    const imported = specifiersOf(source).flatMap(({ specifier, offset }) => {
      const targets = specifier.startsWith(".")
        ? [posix.join(posix.dirname(source.path), specifier)]
        : (packages.get(specifier.startsWith("#") ? `${packageOf(source.path)}${specifier}` : specifier) ?? []);
      return targets.flatMap((to) => (known.has(to) ? [{ to, line: lineOf(source.text, offset) }] : []));
    });
    return [source.path, [...imported, ...filesByUrl(source, paths)]] as const;
  });
  return { edges: new Map(edges) };
}

export function manifestOf({ path, text }: TextFile): Manifest {
  const { name = "", exports, imports, bin, scripts = {} } = JSON.parse(text) as Partial<Manifest>;
  return { folder: posix.dirname(path), name, exports, imports, bin, scripts };
}

/** All texts in the conditions of an `exports`, `imports` or `bin`. */
export function leavesOf(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(leavesOf) : [];
}

/**
 * The source of a file that the build writes: `x/dist/y.js` is `x/y.ts`, or `x/src/y.ts` of a
 * package.
 */
export function sourcePathOf(path: string): string {
  const source = path.replace(/\.d\.ts$/, ".ts").replace(/\.js$/, ".ts");
  return path.startsWith("packages/") ? source.replace("/dist/", "/src/") : source.replace("/dist/", "/");
}

interface Specifier {
  readonly specifier: string;
  readonly offset: number;
}

function specifiersOf({ module, text }: SourceFile): readonly Specifier[] {
  const { staticImports, staticExports, dynamicImports } = module;
  const exported = staticExports.flatMap(({ entries }) =>
    entries.flatMap(({ moduleRequest }) => (moduleRequest === null ? [] : [moduleRequest])),
  );
  const called = dynamicImports.map(({ moduleRequest: { start, end } }) => ({
    specifier: text.slice(start, end).replaceAll(/^["'`]|["'`]$/g, ""),
    offset: start,
  }));
  const named = [...staticImports.map(({ moduleRequest }) => moduleRequest), ...exported];
  return [...named.map(({ value, start }) => ({ specifier: value, offset: start })), ...called];
}

/** By specifier; `#name` of a package's own `imports` with the package's folder before it. */
function packageFiles(manifests: readonly Manifest[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const { folder, name, exports, imports } of manifests) {
    const filesOf = (value: unknown): readonly string[] => leavesOf(value).map((leaf) => posix.join(folder, leaf));
    for (const [key, value] of entriesOf(exports)) found.set(posix.join(name, key), filesOf(value));
    for (const [key, value] of entriesOf(imports)) found.set(`${folder}${key}`, filesOf(value));
  }
  return found;
}

function entriesOf(value: unknown): readonly (readonly [string, unknown])[] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}

function packageOf(path: string): string {
  return path.split("/").slice(0, 2).join("/");
}

/** Workers and children: a part of the name that is only known at run time stands for any name. */
function filesByUrl({ path, text, nodes }: SourceFile, paths: readonly string[]): readonly Edge[] {
  return nodes.flatMap(({ node }) => {
    if (node.type !== "NewExpression" || node.callee.type !== "Identifier" || node.callee.name !== "URL") return [];
    const [first, base] = node.arguments;
    if (first === undefined || base === undefined || !text.slice(base.start, base.end).startsWith("import.meta"))
      return [];
    const written = text.slice(first.start, first.end).replaceAll(/^["'`]|["'`]$/g, "");
    if (!/\.(?:js|ts|mjs)$/.test(written)) return [];
    const pattern = written.replaceAll(/\$\{[^}]*\}/g, ANY_NAME);
    const patterns = [path, builtPathOf(path)].map((from) => patternOf(posix.join(posix.dirname(from), pattern)));
    const line = lineOf(text, node.start);
    return paths.filter((to) => patterns.some((one) => one.test(to))).map((to) => ({ to, line, isStarted: true }));
  });
}

const ANY_NAME = "ANY_NAME";

function patternOf(path: string): RegExp {
  const escaped = sourcePathOf(path).replaceAll(/[.+?^$()[\]{}|\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll(ANY_NAME, "[^/]+")}$`);
}

/** Where the build puts a file: what it names by URL is found from there. */
function builtPathOf(path: string): string {
  if (path.startsWith("packages/")) return path.replace("/src/", "/dist/");
  return path.replace("/", "/dist/");
}
