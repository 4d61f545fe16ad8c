/**
 * Finds promtool and prometheus, or fetches Debian's package of both and unpacks it into a folder
 * of this repository's caches: nothing is installed, and no root is needed.
 */
import { execFileSync } from "node:child_process";
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface PrometheusTools {
  readonly promtool: string;
  readonly prometheus: string;
}

const CACHE = fileURLToPath(new URL("../../node_modules/.cache/waybill-prometheus", import.meta.url));
const PACKAGE_MEGABYTES = 19;
/** A mirror that does not answer must not hold the check up. */
const FETCH_MAX_MS = 120_000;

/** `tell` gets a line before anything is fetched. */
export function findPrometheusTools(tell: (line: string) => void): PrometheusTools | { readonly missing: string } {
  const named = process.env["WAYBILL_PROMETHEUS"];
  if (named !== undefined) return toolsIn(named) ?? { missing: `WAYBILL_PROMETHEUS names ${named}, without promtool` };
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), join(CACHE, "usr/bin")];
  const found = firstOf(folders);
  if (found !== undefined) return found;
  if (process.env["WAYBILL_NO_INSTALL"] !== undefined)
    return { missing: "promtool is not in PATH, and WAYBILL_NO_INSTALL forbids to fetch it" };
  tell(`apt-get fetches Debian's package prometheus, ${PACKAGE_MEGABYTES} MB, into node_modules/.cache.`);
  const failure = fetchPackage();
  return firstOf(folders) ?? { missing: `promtool is not in PATH, and could not be fetched: ${failure}` };
}

function firstOf(folders: readonly string[]): PrometheusTools | undefined {
  for (const folder of folders) {
    const tools = toolsIn(folder);
    if (tools !== undefined) return tools;
  }
  return undefined;
}

function toolsIn(folder: string): PrometheusTools | undefined {
  const [promtool, prometheus] = [join(folder, "promtool"), join(folder, "prometheus")];
  return isProgram(promtool) && isProgram(prometheus) ? { promtool, prometheus } : undefined;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Why it failed, if it did. */
function fetchPackage(): string {
  const folder = mkdtempSync(join(tmpdir(), "waybill-prometheus-"));
  const run = (program: string, args: readonly string[]): void => {
    execFileSync(program, args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"], timeout: FETCH_MAX_MS });
  };
  const download = (): void => run("apt-get", ["download", "-q", "prometheus"]);
  try {
    try {
      download();
    } catch {
      // The lists of packages may be missing, or too old.
      run("apt-get", ["update", "-q"]);
      download();
    }
    const [archive = ""] = readdirSync(folder).filter((name) => name.endsWith(".deb"));
    mkdirSync(CACHE, { recursive: true });
    run("dpkg-deb", ["-x", archive, CACHE]);
    return "the package has no promtool";
  } catch (error) {
    return String(error).split("\n")[0] ?? "";
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
