/** Puts the vendors' SDKs in place. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));

/** Installs from the lock file what is not there yet. */
export function installClients(): void {
  const names = Object.keys(
    (JSON.parse(readFileSync(join(FOLDER, "package.json"), "utf8")) as { dependencies: object }).dependencies,
  );
  if (names.every((name) => existsSync(join(FOLDER, "node_modules", name)))) return;
  process.stdout.write("installing the vendors' SDKs (70 MB) …\n");
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--silent"], { cwd: FOLDER, stdio: "inherit" });
}

/** A package of this folder. Its types are the vendors' business; what is used of it is said where it is used. */
export function load<T>(name: string): T {
  return createRequire(join(FOLDER, "package.json"))(name) as T;
}

export function fileOf(path: string): string {
  return readFileSync(join(FOLDER, "node_modules", path), "utf8");
}
