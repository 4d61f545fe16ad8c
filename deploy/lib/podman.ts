/** A container tool for the checks of the image: podman with runc, of the system's packages. */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { fetchingRefused } from "../../tools/fetches.ts";
import { runs } from "./helm.ts";

const PACKAGES = ["podman", "runc"] as const;
/** For a command of podman's; a build on one slow core is the longest. */
const COMMAND_MAX_MS = 300_000;
const OUTPUT_MAX_BYTES = 16 * 1024 * 1024;
/** The container's own limits: those of podman may be above what this process may set. */
const LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];

export interface Podman {
  /** What it prints. **Errors**: with what it printed on standard error. */
  (...args: readonly string[]): Promise<string>;
}

export interface ContainerTool {
  readonly podman: Podman;
  /** Arguments of `podman run` that this machine needs. */
  readonly runArgs: readonly string[];
  /** Removes containers, images and volumes that were made with it. */
  remove(): Promise<void>;
}

/**
 * Installs the packages where they are missing and may be had, and tells their size before.
 * Resolves to why not, where containers cannot be run here.
 */
export async function createContainerTool(tell: (line: string) => void): Promise<ContainerTool | string> {
  const missing = PACKAGES.filter((name) => !isThere(name));
  if (missing.length > 0) {
    const refused = install(missing, tell);
    if (refused !== undefined) return refused;
  }
  const asRoot = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  if (!runs("unshare", ...asRoot, "--mount", "--pid", "--fork", "true"))
    return "namespaces are refused here, and a container is made of them";
  const folder = mkdtempSync(join(tmpdir(), "waybill-containers-"));
  // A storage of its own, without overlays: nothing of this machine's is seen or changed.
  const common = ["--root", join(folder, "root"), "--runroot", join(folder, "run"), "--storage-driver", "vfs"];
  const podman: Podman = async (...args) => {
    const all = [...common, "--cgroup-manager", "cgroupfs", "--runtime", "runc", ...args];
    const options = { timeout: COMMAND_MAX_MS, maxBuffer: OUTPUT_MAX_BYTES };
    return (await promisify(execFile)("podman", all, options)).stdout.trim();
  };
  const remove = async (): Promise<void> => {
    await podman("rm", "--all", "--force", "--time", "0").catch(() => "");
    rmSync(folder, { recursive: true, force: true });
  };
  return { podman, runArgs: LIMITS, remove };
}

/** Why they cannot be installed; `undefined` when they are. */
function install(packages: readonly string[], tell: (line: string) => void): string | undefined {
  const names = packages.join(" and ");
  const refused = fetchingRefused();
  if (refused !== undefined) return `${names} are not installed, and ${refused}`;
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get"))
    return `${names} are not installed, and only root can install them, by apt-get`;
  try {
    const args = ["install", "-y", "--no-install-recommends", ...packages];
    aptGet(["update", "-qq"]);
    tell(`apt-get fetches ${names} and what they need, ${megabytesOf(aptGet(["--print-uris", ...args]))} MB`);
    aptGet(args);
    return undefined;
  } catch (error) {
    return `${names} cannot be installed: ${(error as Error).message.split("\n").slice(0, 2).join(" ")}`;
  }
}

function aptGet(args: readonly string[]): string {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  return execFileSync("apt-get", [...args], { encoding: "utf8", env, stdio: ["ignore", "pipe", "pipe"] });
}

/** Of the lines `'URL' file bytes checksum`. */
function megabytesOf(uris: string): string {
  const bytes = [...uris.matchAll(/^'\S+' \S+ (\d+) /gm)].reduce((sum, [, size]) => sum + Number(size), 0);
  return (bytes / 1_000_000).toFixed(0);
}

function isThere(program: string): boolean {
  return ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"].some((folder) =>
    existsSync(join(folder, program)),
  );
}
