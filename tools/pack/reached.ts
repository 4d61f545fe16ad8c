/**
 * Copies the built files that a package's entries reach, those of other packages of the workspace
 * among them, and makes imports between them relative. Types are followed into libraries too, when
 * the published package does not depend on them.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseSync } from "oxc-parser";
import { FOLDERS, type Manifest, manifestOf, ROOT } from "./published.ts";

export interface Reaching {
  /** In `packages/`: its files keep their places in `dist`. */
  readonly folder: string;
  readonly manifest: Manifest;
  /** Built files from which the others are reached. */
  readonly entries: readonly string[];
  /** The folder `dist` of the package as it is published. */
  readonly dist: string;
}

const SPECIFIER =
  /(?<before>\bfrom\s*|\bimport\s*\(?\s*|\brequire\(\s*)(?<quote>["'])(?<specifier>[@#\w./:-]+)\k<quote>/g;

/**
 * Writes the files into `dist`. Gives back the files of libraries among them.
 * **Errors**: an `Error` for an import of what the package neither has nor depends on.
 */
export function copyReached(reaching: Reaching): readonly string[] {
  const found = new Set(reaching.entries);
  // A set grows while it is walked.
  for (const file of found) {
    const target = placeOf(file, reaching);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(
      target,
      rewritten(file, reaching, (next) => found.add(next)),
    );
  }
  return [...found].filter((file) => file.includes("/node_modules/"));
}

/** Built files that the leaves of `exports` or `imports` name. */
export function leavesOf(value: unknown, folder: string): readonly string[] {
  if (typeof value === "string") return [join(ROOT, "packages", folder, value)];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap((one) => leavesOf(one, folder));
}

function rewritten(file: string, reaching: Reaching, reach: (file: string) => void): string {
  const text = readFileSync(file, "utf8").replaceAll(/^\/\/# sourceMappingURL=.*$/gm, "");
  const { comments, errors } = parseSync(file, text);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message ?? ""}`);
  return text.replaceAll(SPECIFIER, (...match) => {
    const { before, quote, specifier } = match.at(-1) as Record<"before" | "quote" | "specifier", string>;
    const [whole] = match;
    const at = match.at(-3) as number;
    if (comments.some(({ start, end }) => start <= at && at < end)) return whole;
    const target = targetOf(specifier, file, reaching);
    if (target === undefined) return whole;
    reach(target);
    const path = relative(dirname(placeOf(file, reaching)), placeOf(target, reaching));
    return `${before}${quote}${path.startsWith(".") ? path : `./${path}`}${quote}`.replace(
      /\.d\.([cm]?)ts(["'])$/,
      ".$1js$2",
    );
  });
}

/** The file that `file` imports; `undefined` for what the user has. */
function targetOf(specifier: string, file: string, { manifest }: Reaching): string | undefined {
  const isTypes = /\.d\.[cm]?ts$/.test(file);
  const typesOf = (path: string): string => path.replace(/\.([cm]?)[jt]s$/, ".d.$1ts");
  if (specifier.startsWith("."))
    return existing(isTypes ? typesOf(join(dirname(file), specifier)) : join(dirname(file), specifier));
  const [name = "", ...entry] = specifier.split(/(?<!^@[^/]*)\//);
  const isUsers = { ...manifest.dependencies, ...manifest.peerDependencies }[name] !== undefined;
  if (specifier.startsWith("node:") || specifier.startsWith("#") || isUsers || name === manifest.name) return undefined;
  const folder = FOLDERS.get(name);
  if (folder !== undefined) {
    const target = manifestOf(folder).exports[[".", ...entry].join("/")] as Record<"types" | "default", string>;
    return existing(join(ROOT, "packages", folder, isTypes ? target.types : target.default));
  }
  if (!isTypes) throw new Error(`${file} imports ${specifier}, which ${manifest.name} neither has nor depends on`);
  return existing(typesOf(fileURLToPath(import.meta.resolve(specifier, pathToFileURL(file).href))));
}

function existing(path: string): string {
  if (!existsSync(path)) throw new Error(`${path} is not there; npm run build`);
  return path;
}

/** `dist/x` of the package itself, `dist/_core/x` of another one, `dist/_zod/x` of a library. */
function placeOf(file: string, { folder, dist }: Reaching): string {
  const [, own, within] = /\/packages\/([^/]+)\/dist\/(.*)$/.exec(file) ?? [];
  if (own === folder) return join(dist, within as string);
  if (own !== undefined) return join(dist, `_${own}`, within as string);
  const [, library = "", path = ""] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(.*)$/.exec(file) ?? [];
  return join(dist, `_${library.replace(/^@/, "").replace("/", "-")}`, path);
}
