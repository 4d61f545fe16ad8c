/**
 * What tests fetch from a registry: named, with its size, before it is fetched, and not fetched
 * where `WAYBILL_NO_INSTALL` is set, as in the light tests.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/** For a hook that calls `installFolder`. */
export const INSTALL_MAX_MS = 600_000;
/** Made by who installs into a folder. */
const LOCK = ".installing";
const LOOK_EVERY_MS = 500;

/** One with a manifest and a lock file of its own, which `npm ci` of the root leaves alone. */
export interface Folder {
  readonly path: string;
  /** From the root of the repository, for people. */
  readonly name: string;
  /** All that `npm ci` puts there, on the disk. */
  readonly megabytes: number;
  /** By package, where each needs nothing else. */
  readonly megabytesOf?: Readonly<Record<string, number>>;
}

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
}

/** Why nothing may be fetched here; `undefined` where it may. */
export function fetchingRefused(): string | undefined {
  return process.env["WAYBILL_NO_INSTALL"] === undefined ? undefined : "WAYBILL_NO_INSTALL forbids to fetch anything";
}

/** The versions in the folder's manifest, exact, some of an alias: `npm:name@version`. */
export function wantedIn({ path }: Pick<Folder, "path">): Readonly<Record<string, string>> {
  const { dependencies } = JSON.parse(readFileSync(join(path, "package.json"), "utf8")) as Manifest;
  return Object.fromEntries(
    Object.entries(dependencies).map(([name, wanted]) => [name, wanted.split("@").at(-1) ?? ""]),
  );
}

/** Of a package of the folder; `undefined` when it is not there. */
export function installedIn({ path }: Pick<Folder, "path">, name: string): string | undefined {
  const manifest = join(path, "node_modules", name, "package.json");
  return existsSync(manifest) ? (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version : undefined;
}

/** What is printed before a folder is installed. */
export function announcementOf(folder: Folder): string {
  const packages = Object.entries(wantedIn(folder)).map(([name, version]) => {
    const megabytes = folder.megabytesOf?.[name];
    return `  ${name} ${version}${megabytes === undefined ? "" : `, ${megabytes} MB`}\n`;
  });
  return (
    `npm fetches ${packages.length} packages and what they need, ${folder.megabytes} MB on the disk, ` +
    `into ${folder.name}/node_modules.\nOnce: nothing is fetched when they are there.\n${packages.join("")}`
  );
}

/**
 * Installs from the folder's lock file what is not there yet; resolves to why it may not, or to
 * `undefined` when all is there. Files of tests run side by side: one of them installs, the others
 * wait for it.
 */
export async function installFolder(folder: Folder): Promise<string | undefined> {
  const lock = join(folder.path, LOCK);
  for (let waitedMs = 0; !isInstalled(folder, lock); waitedMs += LOOK_EVERY_MS) {
    const refused = fetchingRefused();
    if (refused !== undefined) return `not all of ${folder.name} is installed, and ${refused}`;
    // One that was killed in the middle left it.
    if (waitedMs > INSTALL_MAX_MS / 2) rmSync(lock, { recursive: true, force: true });
    if (wasMade(lock)) return install(folder, lock);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  return undefined;
}

function isInstalled(folder: Folder, lock: string): boolean {
  const wanted = Object.entries(wantedIn(folder));
  return !existsSync(lock) && wanted.every(([name, version]) => version === installedIn(folder, name));
}

function wasMade(lock: string): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch {
    return false;
  }
}

function install(folder: Folder, lock: string): undefined {
  try {
    process.stderr.write(announcementOf(folder));
    execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--silent"], { cwd: folder.path, stdio: ["ignore", 2, 2] });
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}
