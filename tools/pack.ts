/**
 * `npm run pack`: the packages as they are published, in `build/`. Each carries the workspace
 * packages that it needs inside itself, so that a user installs one package without dependencies:
 * their built files are in `dist/_<package>/`, and imports of them become relative.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The packages that users install; the others go into them. */
export const PUBLISHED: readonly string[] = ["client", "testing"];

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly imports?: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/** Folder of `packages/` by the name of its package. */
const folders = new Map(
  readdirSync(join(ROOT, "packages")).map((folder) => [manifestOf(folder).name, folder] as const),
);

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(ROOT, "packages", folder, "package.json"), "utf8")) as Manifest;
}

/** The package.json that users get: without workspace packages, without the sources' condition. */
export function publishedManifest(folder: string): Manifest {
  const manifest = manifestOf(folder);
  const dependencies = Object.fromEntries(
    Object.entries(manifest.dependencies ?? {}).filter(([name]) => !folders.has(name)),
  );
  const { dependencies: _dependencies, ...rest } = manifest;
  return {
    ...rest,
    ...(Object.keys(dependencies).length === 0 ? {} : { dependencies }),
    exports: withoutSources(manifest.exports) as Manifest["exports"],
    ...(manifest.imports === undefined ? {} : { imports: withoutSources(manifest.imports) as Manifest["exports"] }),
    files: ["dist"],
  };
}

function withoutSources(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([condition]) => condition !== "@waybill/source")
      .map(([condition, target]) => [condition, withoutSources(target)]),
  );
}

/** The workspace packages that a package needs, directly or not. */
function needsOf(folder: string, found: Set<string> = new Set()): ReadonlySet<string> {
  for (const name of Object.keys(manifestOf(folder).dependencies ?? {})) {
    const needed = folders.get(name);
    if (needed === undefined || found.has(needed)) continue;
    found.add(needed);
    needsOf(needed, found);
  }
  return found;
}

/** Packs one package; gives back the tarball's path. The packages must have been built. */
export function pack(folder: string): string {
  const stage = join(ROOT, "build", folder);
  rmSync(stage, { recursive: true, force: true });
  const dist = join(stage, "dist");
  mkdirSync(dist, { recursive: true });
  copyBuilt(folder, dist);
  for (const needed of needsOf(folder)) copyBuilt(needed, join(dist, `_${needed}`));
  for (const file of filesUnder(dist)) writeFileSync(file, withRelativeImports(file, dist));
  const manifest = publishedManifest(folder);
  writeFileSync(join(stage, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
  for (const extra of ["README.md", "LICENSE"]) {
    const own = join(ROOT, "packages", folder, extra);
    cpSync(exists(own) ? own : join(ROOT, extra), join(stage, extra));
  }
  execFileSync("npm", ["pack", "--silent", "--pack-destination", join(ROOT, "build")], { cwd: stage });
  return join(ROOT, "build", `${manifest.name.replace("@", "").replace("/", "-")}-${manifest.version}.tgz`);
}

function copyBuilt(folder: string, target: string): void {
  cpSync(join(ROOT, "packages", folder, "dist"), target, {
    recursive: true,
    filter: (source) => !/\.(?:map|tsbuildinfo)$/.test(source),
  });
}

/** `"@waybill/core"` becomes `"./_core/index.js"`, from wherever the file is. */
function withRelativeImports(file: string, dist: string): string {
  const text = readFileSync(file, "utf8").replaceAll(/^\/\/# sourceMappingURL=.*$/gm, "");
  return text.replaceAll(
    /(from\s*|import\s*\(?\s*)"(@waybill\/[a-z]+)(\/[a-z]+)?"/g,
    (_, before: string, name: string, entry = ".") => {
      const folder = folders.get(name) as string;
      const target = manifestOf(folder).exports[entry === "." ? "." : `.${String(entry)}`] as {
        readonly default: string;
      };
      const path = relative(dirname(file), join(dist, `_${folder}`, target.default.replace("./dist/", "")));
      return `${before}"${path.startsWith(".") ? path : `./${path}`}"`;
    },
  );
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesUnder(path) : [path];
  });
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const folder of PUBLISHED) process.stdout.write(`${relative(process.cwd(), pack(folder))}\n`);
