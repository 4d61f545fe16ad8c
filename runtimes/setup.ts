/**
 * Puts the runtimes in place: those of npm in this folder, Chromium by the system's package
 * manager.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const FOLDER: string = fileURLToPath(new URL(".", import.meta.url));
const PLATFORM = `${process.platform} ${process.arch}`;
const CHROMIUM = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium", "/usr/bin/google-chrome"];

/** Why the runtimes cannot be had here; `undefined` when they can. */
export const unavailable: string | undefined =
  PLATFORM === "linux x64" ? undefined : `the pinned runtimes are for linux x64, this is ${PLATFORM}`;

/** Installs from the lock file what is not there yet. */
export function installRuntimes(): void {
  const marker = join(FOLDER, "node_modules/.package-lock.json");
  const wanted = readFileSync(join(FOLDER, "package.json"), "utf8");
  const names = Object.keys((JSON.parse(wanted) as { dependencies: object }).dependencies);
  if (existsSync(marker) && names.every((name) => existsSync(join(FOLDER, "node_modules", name)))) return;
  process.stdout.write("installing the runtimes (1.1 GB) …\n");
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--silent"], { cwd: FOLDER, stdio: "inherit" });
}

/** The path of Chromium, installed if need be and possible; else why there is none. */
export function chromium(): { readonly path: string } | { readonly missing: string } {
  const found = (): string | undefined => CHROMIUM.find((path) => existsSync(path));
  if (found() === undefined && process.getuid?.() === 0 && existsSync("/usr/bin/apt-get")) {
    process.stdout.write("installing Chromium …\n");
    if (!aptInstall()) {
      apt(["update", "-q"]);
      aptInstall();
    }
  }
  const path = found();
  return path === undefined
    ? { missing: `no Chromium at ${CHROMIUM.join(", ")}, and it cannot be installed here (needs root and apt-get)` }
    : { path };
}

function aptInstall(): boolean {
  return apt(["install", "-y", "-q", "--no-install-recommends", "chromium-headless-shell"]);
}

function apt(args: readonly string[]): boolean {
  try {
    execFileSync("apt-get", args, { stdio: "ignore", env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
    return true;
  } catch {
    return false;
  }
}

/** As much of playwright-core as is used here; it lives in this folder's node_modules. */
export interface Browser {
  newPage(): Promise<{
    goto(url: string): Promise<unknown>;
    waitForFunction(expression: string): Promise<unknown>;
    evaluate(expression: string): Promise<unknown>;
  }>;
  close(): Promise<void>;
}

export async function launch(executablePath: string): Promise<Browser> {
  const { chromium } = createRequire(join(FOLDER, "package.json"))("playwright-core") as {
    chromium: { launch(options: object): Promise<Browser> };
  };
  return chromium.launch({ executablePath, args: ["--disable-dev-shm-usage"] });
}
