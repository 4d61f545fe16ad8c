/** Puts the vendors' SDKs in place. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Folder, installedIn, installFolder, wantedIn } from "../tools/fetches.ts";

/** Of a test that kills and starts the relay. */
export const TEST_MS = 60_000;
const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const CLIENTS: Folder = { path: FOLDER, name: "real-clients", megabytes: 127 };
/** Makes the pages in which the browser's SDKs run. */
const PAGES = "jsdom";

/** The vendors' packages in the manifest. */
export const SDKS: readonly string[] = Object.keys(wantedIn(CLIENTS)).filter((name) => name !== PAGES);

/** Resolves to why they cannot be had, else to `undefined`. */
export function installClients(): Promise<string | undefined> {
  return installFolder(CLIENTS);
}

/** Of a package of this folder; `undefined` when it is not there. */
export function installedVersion(name: string): string | undefined {
  return installedIn(CLIENTS, name);
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
