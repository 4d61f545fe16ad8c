/**
 * Every runtime imports the packed tarball, sends 1,000 events to Segment's emulator and loses
 * none.
 */
import { execFile, execFileSync, spawn } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { emulators, type ServerHandler, startServer } from "@waybill/testing";
import { build } from "esbuild";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { startChromium } from "../browser/lib/chromium.ts";
import { fetchFirst } from "../tools/fetch-first.ts";
import { INSTALL_MAX_MS } from "../tools/fetches.ts";
import { pack } from "../tools/pack.ts";
import { FOLDER, installRuntimes } from "./setup.ts";

const run = promisify(execFile);
const ALL = { delivered: 1_000, rejected: 0, dropped: 0, left: 0, errors: [] };

let app = "";

fetchFirst(async () => {
  const missing = await installRuntimes();
  if (missing !== undefined) return missing;
  app = mkdtempSync(join(tmpdir(), "waybill-runtimes-"));
  writeFileSync(join(app, "package.json"), '{ "private": true, "type": "module" }');
  for (const file of ["send.mjs", "main.mjs", "worker.mjs"]) cpSync(join(FOLDER, file), join(app, file));
  execFileSync("npm", ["install", "--silent", "--no-audit", "--no-fund", "--offline", await pack("client")], {
    cwd: app,
  });
  return undefined;
});

afterAll(() => {
  if (app !== "") rmSync(app, { recursive: true, force: true });
});

async function segment(
  page?: ServerHandler,
): Promise<{ readonly emulator: emulators.SegmentEmulator; readonly url: string }> {
  const emulator = new emulators.SegmentEmulator();
  const server = await startServer((request) =>
    page !== undefined && request.method === "GET" ? page(request) : emulator.handle(request),
  );
  onTestFinished(() => server.close());
  return { emulator, url: server.url };
}

function expectAll(result: unknown, emulator: emulators.SegmentEmulator): void {
  expect(result).toEqual(ALL);
  expect(emulator.received).toBe(1_000);
  expect(emulator.duplicates).toBe(0);
  expect(emulator.events[0]?.event["properties"]).toEqual({ index: 0, text: "Grüße" });
}

test.each([
  ["Node 20", "node20/bin/node", []],
  ["Node 22", "node22/bin/node", []],
  ["Node 24", "node24/bin/node", []],
  ["Node 26", "node26/bin/node", []],
  ["Bun", "@oven/bun-linux-x64/bin/bun", ["run"]],
  ["Deno", "@deno/linux-x64-glibc/deno", ["run", "--allow-all", "--no-prompt"]],
] as const)("%s", async (_name, binary, args) => {
  const { emulator, url } = await segment();
  const program = join(FOLDER, "node_modules", binary);
  const { stdout } = await run(program, [...args, "main.mjs", url], { cwd: app, timeout: 60_000 });
  expectAll(JSON.parse(stdout), emulator);
});

test("Node 20 by require()", async () => {
  const { emulator, url } = await segment();
  const program = `const { createClient } = require("waybill"); const client = createClient({ relay: { url: ${JSON.stringify(url)}, writeKey: "dev" } });
    for (let index = 0; index < 1000; index++) client.track({ userId: "u", event: "Tried", properties: { index, text: "Grüße" } });
    client.close().then((summary) => console.log(JSON.stringify({ ...summary, errors: [] })));`;
  writeFileSync(join(app, "main.cjs"), program);
  const { stdout } = await run(join(FOLDER, "node_modules/node20/bin/node"), ["main.cjs"], { cwd: app });
  expectAll(JSON.parse(stdout), emulator);
});

/** One file for platforms without modules of Node's. */
async function bundle(entry: string): Promise<string> {
  const { outputFiles, warnings } = await build({
    entryPoints: [join(app, entry)],
    absWorkingDir: app,
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
    logLevel: "error",
  });
  expect(warnings).toEqual([]);
  const text = outputFiles[0]?.text ?? "";
  // No polyfills: nothing of Node's is asked for.
  expect(/["']node:|\bBuffer\b|\bprocess\./.exec(text)?.[0]).toBeUndefined();
  return text;
}

test("a worker (workerd)", async () => {
  const { emulator, url } = await segment();
  writeFileSync(join(app, "worker.bundle.js"), await bundle("worker.mjs"));
  writeFileSync(
    join(app, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .main), (name = "internet", network = (allow = ["private", "local"])) ],
  sockets = [ (name = "http", address = "127.0.0.1:0", http = (), service = "main") ]
);
const main :Workerd.Worker = ( modules = [ (name = "worker", esModule = embed "worker.bundle.js") ], compatibilityDate = "2026-01-01" );
`,
  );
  const workerd = spawn(
    join(FOLDER, "node_modules/@cloudflare/workerd-linux-64/bin/workerd"),
    ["serve", "config.capnp", "--control-fd=1"],
    {
      cwd: app,
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  onTestFinished(() => {
    workerd.kill("SIGKILL");
  });
  const port = await new Promise<number>((resolve, reject) => {
    workerd.once("exit", (code) => reject(new Error(`workerd ended with ${code}`)));
    createInterface({ input: workerd.stdout }).on("line", (line) => {
      const message = JSON.parse(line) as { readonly event: string; readonly port?: number };
      if (message.event === "listen" && message.port !== undefined) resolve(message.port);
    });
  });
  const response = await fetch(`http://127.0.0.1:${port}/?to=${encodeURIComponent(url)}`);
  expectAll(await response.json(), emulator);
});

test("a browser (Chromium)", { timeout: INSTALL_MAX_MS }, async ({ skip }) => {
  const chromium = await startChromium((line) => void process.stdout.write(`${line}\n`));
  if ("missing" in chromium) {
    process.stdout.write(`skipped: ${chromium.missing}\n`);
    return skip(chromium.missing);
  }
  onTestFinished(() => chromium.browser.close());
  const script = await bundle("send.mjs");
  const files: Readonly<Record<string, readonly [string, string]>> = {
    "/": ["text/html", '<script type="module" src="/page.js"></script>'],
    "/page.js": [
      "text/javascript",
      'import { send } from "/send.js"; send(location.origin).then((result) => { window.result = result; });',
    ],
    "/send.js": ["text/javascript", script],
  };
  const { emulator, url } = await segment(({ path }) => {
    const [type, body] = files[path] ?? ["text/plain", ""];
    return { status: body === "" ? 404 : 200, headers: { "content-type": type }, body };
  });
  const page = await chromium.browser.newPage();
  await page.goto(url);
  await page.waitForFunction("window.result !== undefined");
  expectAll(await page.evaluate("window.result"), emulator);
});
