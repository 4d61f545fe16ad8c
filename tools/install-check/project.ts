/** A project of a new user's: an empty folder in which the packed tarballs are installed. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

const INSTALL_MAX_MS = 120_000;

export interface Project {
  readonly folder: string;
  /** Of `node_modules`, as its files are long. */
  readonly installedBytes: number;
  /** Names of what is installed, of the tarballs and of what came with them. */
  readonly installed: readonly string[];
  /** What the project's own programs get when they import `specifier`. */
  load<Module>(specifier: string): Promise<Module>;
  /** What `run` prints and how it ends. */
  run(program: string, args: readonly string[]): Promise<Ended>;
  remove(): void;
}

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Installs `tarballs` without a network: npm's cache is empty, and it may ask no registry.
 * **Errors**: npm's, when something is missing.
 */
export async function createProject(tarballs: readonly string[]): Promise<Project> {
  const folder = mkdtempSync(join(tmpdir(), "waybill-project-"));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const run = (program: string, args: readonly string[]): Promise<Ended> => ended(folder, program, args);
  try {
    writeFileSync(join(folder, "package.json"), '{ "name": "new", "private": true, "type": "module" }\n');
    const { code, stderr } = await run("npm", ["install", ...tarballs]);
    if (code !== 0) throw new Error(`npm install: ${stderr}`);
  } catch (error) {
    remove();
    throw error;
  }
  const require = createRequire(join(folder, "program.cjs"));
  return {
    folder,
    installedBytes: bytesUnder(join(folder, "node_modules")),
    installed: installedIn(join(folder, "node_modules")),
    load: async <Module>(specifier: string) => (await import(pathToFileURL(require.resolve(specifier)).href)) as Module,
    run,
    remove,
  };
}

/** What a process of the project gets: nothing of this repository's, and no registry. */
export function environmentOf(folder: string): NodeJS.ProcessEnv {
  const { PATH } = process.env;
  const cache = join(folder, ".npm-cache");
  return {
    PATH,
    HOME: folder,
    npm_config_cache: cache,
    npm_config_offline: "true",
    npm_config_update_notifier: "false",
  };
}

async function ended(folder: string, program: string, args: readonly string[]): Promise<Ended> {
  const options = { cwd: folder, env: environmentOf(folder), timeout: INSTALL_MAX_MS };
  try {
    return { code: 0, ...(await promisify(execFile)(program, [...args], options)) };
  } catch (error) {
    const { code, stdout = "", stderr = "" } = error as Partial<Ended>;
    if (typeof code !== "number") throw error;
    return { code, stdout, stderr };
  }
}

function bytesUnder(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

function installedIn(modules: string): readonly string[] {
  const lock = JSON.parse(readFileSync(join(modules, ".package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, unknown>>;
  };
  return Object.keys(lock.packages)
    .map((path) => path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length))
    .toSorted();
}
