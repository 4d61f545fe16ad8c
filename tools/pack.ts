/**
 * `npm run pack`: the packages as they are published, in `build/`. Each carries inside itself what
 * it needs, so that a user installs one package without dependencies: the built files of workspace
 * packages in `dist/_<package>/`, or, of the relay, one bundle (ADR 13).
 */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, posix, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { VERSION } from "@waybill/core";
import { bundle } from "./pack/bundle.ts";
import { licencesOf } from "./pack/licences.ts";
import {
  type Manifest,
  manifestOf,
  PUBLISHED,
  type Published,
  pageOf,
  publishedManifest,
  publishedOf,
  ROOT,
} from "./pack/published.ts";
import { copyReached, leavesOf } from "./pack/reached.ts";

/**
 * Packs one package; resolves to the tarball's path, in `into`. The packages must have been built.
 */
export async function pack(folder: string, into: string = join(ROOT, "build")): Promise<string> {
  const published = publishedOf(folder);
  const manifest = publishedManifest(folder);
  if (manifest.version !== VERSION)
    throw new Error(`${manifest.name} is ${manifest.version}, but its code says ${VERSION}`);
  const stage = join(into, folder);
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(join(stage, "dist"), { recursive: true });
  await fill(stage, published, manifest);
  writeFileSync(join(stage, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
  writeFileSync(join(stage, "README.md"), readmeOf(folder, manifest.version));
  cpSync(join(ROOT, "LICENSE"), join(stage, "LICENSE"));
  for (const file of published.files ?? [])
    cpSync(built(join(ROOT, "packages", folder, file)), join(stage, file), { recursive: true });
  execFileSync("npm", ["pack", "--silent", "--pack-destination", into], { cwd: stage });
  return join(into, `${manifest.name.replace("@", "").replace("/", "-")}-${manifest.version}.tgz`);
}

/** The files of `dist`, and the licences of the libraries among them. */
async function fill(
  stage: string,
  { folder, bundled, command, threads = {} }: Published,
  manifest: Manifest,
): Promise<void> {
  const dist = join(stage, "dist");
  const named = [manifest.exports, manifest.imports, manifestOf(folder).bin].flatMap((value) =>
    leavesOf(value, folder).filter((path) => path.includes("/dist/")),
  );
  const programs = named.filter((path) => path.endsWith(".js"));
  // `imports` names programs alone; what they declare is reached by other declarations.
  const types = [...named, ...programs.map((path) => path.replace(/\.js$/, ".d.ts"))].filter(
    (path) => path.endsWith(".d.ts") && existsSync(path),
  );
  const libraries = copyReached({ folder, manifest, dist, entries: types });
  if (!bundled) {
    if (libraries.length > 0) throw new Error(`${manifest.name} has types of ${libraries.join(", ")}`);
    copyReached({ folder, manifest, dist, entries: programs });
    return;
  }
  const starts = command === undefined ? [] : leavesOf(manifestOf(command).bin, command);
  const inside = await bundle({
    entries: {
      ...Object.fromEntries([...programs, ...starts].map((path) => [nameOf(path), path])),
      ...Object.fromEntries(Object.entries(threads).map(([name, file]) => [name, distOf(folder, file)])),
    },
    dist,
    external: Object.keys(manifest.peerDependencies ?? {}),
  });
  writeFileSync(join(stage, "THIRD-PARTY-LICENSES.txt"), licencesOf([...libraries, ...inside]));
}

function distOf(folder: string, file: string): string {
  return built(join(ROOT, "packages", folder, "dist", file));
}

/** Of a built file in the package: `suites/index`. */
function nameOf(path: string): string {
  return (path.split("/dist/")[1] as string).replace(/\.js$/, "");
}

/** Registries show it without this repository, so its links name their pages in full. */
function readmeOf(folder: string, version: string): string {
  return readFileSync(join(ROOT, "packages", folder, "README.md"), "utf8").replaceAll(
    /\]\((?!\w+:|#)([^)\s]+)\)/g,
    (_, target: string) => `](${pageOf(posix.join("packages", folder, target), version)})`,
  );
}

function built(path: string): string {
  if (!existsSync(path)) throw new Error(`${relative(ROOT, path)} is not there; npm run build`);
  return path;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const { folder } of PUBLISHED) process.stdout.write(`${relative(process.cwd(), await pack(folder))}\n`);
