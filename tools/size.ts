/**
 * `npm run -s size [-- --json-line]`: the bytes of `waybill`, all of its exports, minified and
 * gzipped, on Node and in a browser, and the number of dependencies that its package brings along.
 * Exit 1 above the budget.
 */
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { publishedManifest } from "./pack/published.ts";

/** For all exports of `waybill`. */
export const budgetBytes = 13_056;
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const ENTRIES = ["", "/spool", "/letter", "/getfluxly", "/trophy", "/valued", "/launchdarkly"];

export interface Size {
  /** The larger of the two. */
  readonly clientBytes: number;
  readonly browserBytes: number;
  readonly runtimeDependencies: number;
  /** On Node, by what is imported. */
  readonly entries: Readonly<Record<string, number>>;
}

export async function measure(): Promise<Size> {
  const entries: Record<string, number> = {};
  for (const entry of ENTRIES) entries[`waybill${entry}`] = await bytesOf(`waybill${entry}`, "node");
  const browserBytes = await bytesOf("waybill", "browser");
  const { dependencies = {} } = publishedManifest("client");
  return {
    clientBytes: Math.max(browserBytes, entries["waybill"] ?? 0),
    browserBytes,
    runtimeDependencies: Object.keys(dependencies).length,
    entries,
  };
}

/**
 * The files that the client's entries import, directly or not, whether or not a bundler drops them.
 */
export async function importedFiles(): Promise<readonly string[]> {
  const imports = ENTRIES.map((entry) => `import ${JSON.stringify(`waybill${entry}`)};`).join("\n");
  const { metafile } = await build({
    stdin: { contents: imports, resolveDir: `${ROOT}/packages/client` },
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    metafile: true,
    // As Node does it: nothing is left out for having no effect.
    ignoreAnnotations: true,
    logLevel: "error",
  });
  return Object.keys(metafile.inputs);
}

async function bytesOf(name: string, platform: "node" | "browser"): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: `export * from ${JSON.stringify(name)}`, resolveDir: `${ROOT}/packages/client` },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform,
    logLevel: "error",
  });
  return gzipSync(outputFiles[0]?.contents ?? Buffer.alloc(0), { level: 9 }).length;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const size = await measure();
  if (!process.argv.includes("--json-line"))
    for (const [entry, bytes] of Object.entries(size.entries))
      process.stdout.write(`${entry.padEnd(22)} ${bytes.toLocaleString("en")} bytes min+gzip\n`);
  process.stdout.write(`${JSON.stringify(size)}\n`);
  if (size.clientBytes > budgetBytes || size.runtimeDependencies > 0) {
    process.stderr.write(`over budget: ${budgetBytes} bytes, 0 dependencies\n`);
    process.exitCode = 1;
  }
}
