/**
 * What is published, and the package.json that users get: without the workspace's own packages,
 * without the sources' condition, with what registries show. docs/adr/0013 says why.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

export interface Published {
  /** In `packages/`. */
  readonly folder: string;
  /**
   * Made into a few files, with the libraries that it uses. The client is not: applications bundle
   * it themselves, and pay for the entries that they import.
   */
  readonly bundled: boolean;
  /** The package in `packages/` whose command goes into this one. */
  readonly command?: string;
  /** Threads that it starts: built files by their place in `dist`, beside what starts them. */
  readonly threads?: Readonly<Record<string, string>>;
  /** Entries of the workspace that users do not get. */
  readonly withheld?: readonly string[];
  /** Files and folders beside `dist` that go along. */
  readonly files?: readonly string[];
}

/** Every other package goes into these. */
export const PUBLISHED: readonly Published[] = [
  { folder: "client", bundled: false },
  {
    folder: "relay",
    bundled: true,
    command: "cli",
    threads: { "chunks/load-thread": "config/load-thread.js" },
    withheld: ["./headless", "./offline"],
    files: ["page", "config.schema.json"],
  },
  { folder: "testing", bundled: true },
];

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly imports?: Readonly<Record<string, unknown>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

export function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(ROOT, "packages", folder, "package.json"), "utf8")) as Manifest;
}

/** Folder in `packages/` by the name of its package. */
export const FOLDERS: ReadonlyMap<string, string> = new Map(
  readdirSync(join(ROOT, "packages")).map((folder) => [manifestOf(folder).name, folder]),
);

/** What the root's package.json says of the project; the packages share it. */
interface Project {
  readonly homepage: string;
  readonly bugs: string;
  readonly repository: Readonly<Record<string, string>>;
}

function project(): Project {
  return JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Project;
}

/** The page of a file of this repository, as it was in a version. */
export function pageOf(path: string, version: string): string {
  const repository = project().repository["url"] as string;
  return `${repository.replace(/^git\+/, "").replace(/\.git$/, "")}/blob/v${version}/${path}`;
}

export function publishedOf(folder: string): Published {
  const found = PUBLISHED.find((one) => one.folder === folder);
  if (found === undefined) throw new Error(`${folder} is not published`);
  return found;
}

export function publishedManifest(folder: string): Manifest {
  const { bundled, command, withheld = [], files = [] } = publishedOf(folder);
  const { dependencies: _dependencies, devDependencies: _devDependencies, ...manifest } = manifestOf(folder);
  const { homepage, bugs, repository } = project();
  const entries = Object.entries(manifest.exports).filter(([entry]) => !withheld.includes(entry));
  const exports = withoutSources(Object.fromEntries(entries)) as Manifest["exports"];
  const { bin = manifest.bin } = command === undefined ? manifest : manifestOf(command);
  return {
    ...manifest,
    homepage,
    bugs,
    repository: { ...repository, directory: `packages/${folder}` },
    ...forOldResolution(exports),
    exports: {
      ...exports,
      ...Object.fromEntries([...files.filter((file) => file.endsWith(".json")), "package.json"].map(asExport)),
    },
    ...(manifest.imports === undefined ? {} : { imports: withoutSources(manifest.imports) as Manifest["exports"] }),
    // As npm writes it: with "./" it warns of a name that it corrects.
    ...(bin === undefined
      ? {}
      : { bin: Object.fromEntries(Object.entries(bin).map(([name, path]) => [name, path.replace("./", "")])) }),
    files: ["dist", ...files, ...(bundled ? ["THIRD-PARTY-LICENSES.txt"] : [])],
    publishConfig: { access: "public", provenance: true },
  };
}

function asExport(file: string): readonly [string, string] {
  return [`./${file}`, `./${file}`];
}

/** For TypeScript's `moduleResolution: node` (node10), which does not read `exports`. */
function forOldResolution(exports: Manifest["exports"]): Readonly<Record<string, unknown>> {
  const targets = Object.entries(exports) as [string, { readonly types: string; readonly default: string }][];
  const main = targets.find(([entry]) => entry === ".")?.[1];
  const others = targets.filter(([entry]) => entry !== ".");
  return {
    ...(main === undefined ? {} : { main: main.default, types: main.types }),
    ...(others.length === 0
      ? {}
      : {
          typesVersions: {
            "*": Object.fromEntries(others.map(([entry, { types }]) => [entry.replace("./", ""), [types]])),
          },
        }),
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
