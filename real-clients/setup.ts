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

/** Installs from the lock file what is not there yet. Files of tests run side by side: one of them installs, the others wait for it. */
export async function installClients(): Promise<void> {
  for (let waitedMs = 0; !isInstalled(); waitedMs += LOOK_EVERY_MS) {
    // One that was killed in the middle left it.
    if (waitedMs > INSTALL_MS / 2) rmSync(LOCK, { recursive: true, force: true });
    if (tryLock()) return install();
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

function isInstalled(): boolean {
  const names = Object.keys(
    (JSON.parse(readFileSync(join(FOLDER, "package.json"), "utf8")) as { dependencies: object }).dependencies,
  );
  return !existsSync(LOCK) && names.every((name) => existsSync(join(FOLDER, "node_modules", name)));
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
    process.stdout.write("installing the vendors' SDKs (70 MB) …\n");
    execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--silent"], { cwd: FOLDER, stdio: "inherit" });
  } finally {
    rmSync(LOCK, { recursive: true, force: true });
  }
}

/** A package of this folder. Its types are the vendors' business; what is used of it is said where it is used. */
export function load<T>(name: string): T {
  return createRequire(join(FOLDER, "package.json"))(name) as T;
}

export function fileOf(path: string): string {
  return readFileSync(join(FOLDER, "node_modules", path), "utf8");
}
