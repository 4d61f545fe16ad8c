/** Puts the vendors' SDKs in place. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Of a hook that installs the SDKs. */
export const INSTALL_MS = 300_000;
/** Of a test that kills and starts the relay. */
export const TEST_MS = 60_000;
const FOLDER = fileURLToPath(new URL(".", import.meta.url));
/** Made by who installs. */
const LOCK = join(FOLDER, ".installing");
const LOOK_EVERY_MS = 500;
/** Makes the pages in which the browser's SDKs run. */
const PAGES = "jsdom";

/** The versions in the manifest, exact, some of an alias: `npm:name@version`. */
const WANTED: Readonly<Record<string, string>> = (
  JSON.parse(readFileSync(join(FOLDER, "package.json"), "utf8")) as { dependencies: Record<string, string> }
).dependencies;
/** The vendors' packages in the manifest. */
export const SDKS: readonly string[] = Object.keys(WANTED).filter((name) => name !== PAGES);

/**
 * Installs from the lock file what is not there yet. Files of tests run side by side: one of them
 * installs, the others wait for it.
 */
export async function installClients(): Promise<void> {
  for (let waitedMs = 0; !isInstalled(); waitedMs += LOOK_EVERY_MS) {
    // One that was killed in the middle left it.
    if (waitedMs > INSTALL_MS / 2) rmSync(LOCK, { recursive: true, force: true });
    if (tryLock()) return install();
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

function isInstalled(): boolean {
  return (
    !existsSync(LOCK) &&
    Object.entries(WANTED).every(([name, wanted]) => wanted.split("@").at(-1) === installedVersion(name))
  );
}

/** Of a package of this folder; `undefined` when it is not there. */
export function installedVersion(name: string): string | undefined {
  const path = join(FOLDER, "node_modules", name, "package.json");
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version : undefined;
}

function tryLock(): boolean {
  try {
    mkdirSync(LOCK);
    return true;
  } catch {
    return false;
  }
}

function install(): void {
  try {
    const packages = Object.entries(WANTED).map(([name, version]) => `  ${name} ${version}\n`);
    process.stderr.write(
      `npm fetches ${packages.length} packages and what they need, some 100 MB, into real-clients/node_modules.\n` +
        `Once: nothing is fetched when they are there.\n${packages.join("")}`,
    );
    execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--silent"], { cwd: FOLDER, stdio: ["ignore", 2, 2] });
  } finally {
    rmSync(LOCK, { recursive: true, force: true });
  }
}

/**
 * A package of this folder. Its types are the vendors' business; what is used of it is declared
 * where it is used.
 */
export function load<T>(name: string): T {
  return createRequire(join(FOLDER, "package.json"))(name) as T;
}

export function fileOf(path: string): string {
  return readFileSync(join(FOLDER, "node_modules", path), "utf8");
}
