/** Finds Chromium, or installs it: by the system's packages as root, else into the user's cache. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const APT_GET = "/usr/bin/apt-get";
const PATHS = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium", "/usr/bin/google-chrome"];
/** A mirror that does not answer must not hold the check up. */
const INSTALL_MAX_MS = 300_000;
/**
 * A shared memory of 64 MB, as containers have it, is too small for a tab. Names that end in
 * `.example` lead to this machine, so that a page can have another host.
 */
const ARGS = ["--disable-dev-shm-usage", "--host-resolver-rules=MAP *.example 127.0.0.1"];

type Found = { readonly path: string } | { readonly missing: string };
export type Started = { readonly browser: Browser } | { readonly missing: string };

/** `tell` gets a line before anything is fetched. */
function findChromium(tell: (line: string) => void): Found {
  const named = process.env["WAYBILL_CHROMIUM"];
  if (named !== undefined)
    return existsSync(named) ? { path: named } : { missing: `WAYBILL_CHROMIUM names ${named}, which is not there` };
  const path = found();
  if (path !== undefined) return { path };
  if (process.env["WAYBILL_NO_INSTALL"] === undefined) install(tell);
  const installed = found();
  return installed === undefined
    ? { missing: `Chromium is at none of ${[...PATHS, chromium.executablePath()].join(", ")}, and was not installed` }
    : { path: installed };
}

function found(): string | undefined {
  return [...PATHS, chromium.executablePath()].find((path) => path !== "" && existsSync(path));
}

function install(tell: (line: string) => void): void {
  if (process.getuid?.() === 0 && existsSync(APT_GET)) {
    tell("apt-get installs chromium-headless-shell, some 90 MB, with the system's packages.");
    if (apt() || (run(APT_GET, ["update", "-q"]) && apt())) return;
  }
  tell(`playwright-core fetches Chromium, some 110 MB, into the user's cache: ${chromium.executablePath()}`);
  const cli = join(dirname(createRequire(import.meta.url).resolve("playwright-core/package.json")), "cli.js");
  if (!run(process.execPath, [cli, "install", "--only-shell", "chromium"])) tell("It could not be fetched.");
}

function apt(): boolean {
  return run(APT_GET, ["install", "-y", "-q", "--no-install-recommends", "chromium-headless-shell"]);
}

function run(program: string, args: readonly string[]): boolean {
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    execFileSync(program, args, { stdio: "ignore", env, timeout: INSTALL_MAX_MS });
    return true;
  } catch {
    return false;
  }
}

/** Why there is none, where that is so: not there, not to be had, or not able to start here. */
export async function startChromium(tell: (line: string) => void): Promise<Started> {
  const chosen = findChromium(tell);
  if ("missing" in chosen) return chosen;
  try {
    return { browser: await chromium.launch({ executablePath: chosen.path, args: ARGS }) };
  } catch (error) {
    const [why = ""] = String(error).split("\n");
    return { missing: `${chosen.path} does not start: ${why}` };
  }
}
