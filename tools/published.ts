/**
 * What users install, looked at as they see it: the packages are packed, then publint reads their
 * manifests, attw resolves their types, and API Extractor compares what they export with the
 * reports in `packages/*\/etc`. `--write` (`npm run api`) updates the reports.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  CompilerState,
  Extractor,
  ExtractorConfig,
  ExtractorLogLevel,
  type IConfigFile,
} from "@microsoft/api-extractor";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { PUBLISHED } from "./pack/published.ts";
import { pack } from "./pack.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const ATTW = join(fileURLToPath(import.meta.resolve("@arethetypeswrong/cli/package.json")), "../dist/index.js");

interface PublishedManifest {
  readonly name: string;
  /** A text for a file that is not a program. */
  readonly exports: Readonly<Record<string, string | { readonly types: string }>>;
}

/** What publint finds in the package in `folder`, one line each; warnings are faults too. */
export async function manifestFaults(folder: string): Promise<string[]> {
  const { messages, pkg } = await publint({ pkgDir: folder, strict: true, pack: false });
  return messages
    .filter(({ type }) => type !== "suggestion")
    .map((message) => `publint: ${formatMessage(message, pkg) ?? message.code}`);
}

/**
 * What attw says of a tarball whose types do not resolve, whichever way TypeScript looks for them.
 * The packages are ES modules alone, so what it says of `require` of older Nodes is left out.
 */
export async function typeFaults(tarball: string): Promise<string[]> {
  const options = [tarball, "--ignore-rules", "cjs-resolves-to-esm", "--exclude-entrypoints", "config.schema.json"];
  options.push("--format", "ascii", "--no-color", "--no-emoji");
  try {
    await promisify(execFile)(process.execPath, [ATTW, ...options]);
    return [];
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout?: string; readonly stderr?: string };
    return [`attw: ${stdout ?? ""}${stderr ?? ""}${stdout === undefined ? String(error) : ""}`];
  }
}

/**
 * Names of the reports in which the exports of the package in `folder` differ from those in
 * `reports`.
 */
export function changedReports(folder: string, reports: string): string[] {
  const made = mkdtempSync(join(tmpdir(), "waybill-api-"));
  try {
    writeReports(folder, made);
    const names = new Set([...reportsIn(made), ...reportsIn(reports)]);
    return [...names].filter((name) => textOf(join(made, name)) !== textOf(join(reports, name))).toSorted();
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

/** One report per entry of the package, in `target`. */
export function writeReports(folder: string, target: string): void {
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as PublishedManifest;
  const entries = Object.entries(manifest.exports).flatMap(([entry, target]) =>
    typeof target === "string"
      ? []
      : [{ name: entry === "." ? "index" : entry.replace("./", ""), path: join(folder, target.types) }],
  );
  const files = entries.map(({ path }) => path);
  const configs = entries.map(({ name, path }) =>
    ExtractorConfig.prepare({
      configObject: configOf({ folder, files, name, path, target }),
      configObjectFullPath: undefined,
      packageJsonFullPath: join(folder, "package.json"),
    }),
  );
  // The program is made once for all entries: it takes longer than the reports.
  const compilerState = CompilerState.create(configs[0] as ExtractorConfig, { additionalEntryPoints: files });
  for (const config of configs) {
    const faults: string[] = [];
    const result = Extractor.invoke(config, {
      localBuild: true,
      compilerState,
      messageCallback: (message) => {
        message.handled = true;
        if (message.logLevel === "error") faults.push(message.text);
      },
    });
    if (!result.succeeded && faults.length > 0)
      throw new Error(`${config.mainEntryPointFilePath}: ${faults.join("; ")}`);
  }
}

interface EntryOptions {
  readonly folder: string;
  /** Declarations of all entries. */
  readonly files: readonly string[];
  readonly name: string;
  readonly path: string;
  readonly target: string;
}

/**
 * API Extractor carries a TypeScript of its own, so it reads the declarations that ours wrote, not
 * the sources. The client's must do without the types of Node: they are read in browsers' projects
 * too.
 */
function configOf({ folder, files, name, path, target }: EntryOptions): IConfigFile {
  const compilerOptions = {
    target: "ES2023",
    lib: ["ES2023", "DOM"],
    module: "NodeNext",
    moduleResolution: "NodeNext",
    strict: true,
    skipLibCheck: true,
    types: folder.endsWith("testing") ? ["node"] : [],
  };
  return {
    projectFolder: folder,
    mainEntryPointFilePath: path,
    compiler: { overrideTsconfig: { compilerOptions, files } },
    apiReport: {
      enabled: true,
      reportFileName: `${name}.api.md`,
      reportFolder: target,
      reportTempFolder: join(target, "temp"),
    },
    docModel: { enabled: false },
    dtsRollup: { enabled: false },
    tsdocMetadata: { enabled: false },
    newlineKind: "lf",
    messages: {
      compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
      extractorMessageReporting: {
        default: { logLevel: ExtractorLogLevel.None },
        // A type that users meet in a signature but cannot import is named in the report.
        "ae-forgotten-export": { logLevel: ExtractorLogLevel.Warning, addToApiReportFile: true },
      },
      tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
    },
  };
}

function reportsIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".api.md")) : [];
}

function textOf(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

/** Checks one package, or writes its reports; resolves to its faults. */
async function look(folder: string, write: boolean): Promise<string[]> {
  const tarball = await pack(folder);
  const stage = join(ROOT, "build", folder);
  const reports = join(ROOT, "packages", folder, "etc");
  if (write) {
    rmSync(reports, { recursive: true, force: true });
    writeReports(stage, reports);
    rmSync(join(reports, "temp"), { recursive: true, force: true });
    return [];
  }
  const types = typeFaults(tarball);
  const changed = changedReports(stage, reports).map(
    (name) =>
      `${relative(ROOT, join(reports, name))}: the exported API differs; run "npm run -s api" and read the difference`,
  );
  return [...(await manifestFaults(stage)), ...changed, ...(await types)];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const write = process.argv.includes("--write");
  for (const { folder } of PUBLISHED)
    for (const fault of await look(folder, write)) {
      process.exitCode = 1;
      process.stderr.write(`${folder}: ${fault}\n`);
    }
}
