/**
 * Which files an event passes from the request to the settled delivery: those of a built checkout
 * in which a named function runs meanwhile, as V8 counts them. `npm run -s event-path -- [folder]`;
 * the last line is one JSON object with the number of files for each kind of event.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { Session } from "node:inspector/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";

interface Relay {
  readonly intakeUrl: string;
  stop(): Promise<void>;
}

interface RelayPackage {
  readonly startRelay: (config: unknown, options: { readonly logger: unknown }) => Promise<Relay>;
  readonly loadConfig: (source: { readonly file: string; readonly text: string; readonly env: object }) => unknown;
}

/** After the vendor's answer: what settles, and what is done a little later. */
const SETTLED_MS = 300;
const POLL_MS = 20;
const SEGMENT_KEY = `Basic ${Buffer.from("k:").toString("base64")}`;
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };

const root = resolve(process.argv[2] ?? ".");
const built = pathToFileURL(join(root, "packages/relay/dist/index.js")).href;
const { startRelay, loadConfig } = (await import(built)) as RelayPackage;
const directory = mkdtempSync(join(tmpdir(), "waybill-event-path-"));
let delivered = 0;
const vendor = createServer((request, response) => {
  request.resume().on("end", () => {
    delivered += 1;
    response.writeHead(200, { "content-type": "application/json" }).end('{"success":true}');
  });
});
await new Promise<void>((done) => vendor.listen(0, "127.0.0.1", done));
const relay = await startRelay(loadConfig({ file: "event-path", text: configText(), env: {} }), { logger: silent });

const ways: Readonly<Record<string, (id: string) => Promise<void>>> = {
  segment: (id) =>
    post("/v1/batch", SEGMENT_KEY, { batch: [{ type: "track", event: "E", userId: "u", messageId: id }] }),
  letterToSegment: (id) => post("/v1/track", "Bearer letter-key", { userId: "u", event: "E", messageId: id }),
};
for (const [name, send] of Object.entries(ways)) await sendAndWait(() => send(`${name}-first`));
const session = new Session();
session.connect();
await session.post("Profiler.enable");
const counts: Record<string, number> = {};
for (const [name, send] of Object.entries(ways)) {
  await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
  await sendAndWait(() => send(`${name}-second`));
  const { result } = await session.post("Profiler.takePreciseCoverage");
  await session.post("Profiler.stopPreciseCoverage");
  const files = result
    .filter(({ url, functions }) => url.includes("/packages/") && functions.some(hasRun))
    .map(({ url }) =>
      url
        .replace(/^.*\/packages\//, "")
        .replace("/dist/", "/src/")
        .replace(/\.js$/, ".ts"),
    )
    .toSorted((a, b) => a.localeCompare(b));
  process.stdout.write(`${name}: ${files.length} files\n${files.map((file) => `  ${file}\n`).join("")}`);
  counts[name] = files.length;
}
await relay.stop();
vendor.close();
rmSync(directory, { recursive: true, force: true });
process.stdout.write(`${JSON.stringify(counts)}\n`);
process.exit(0);

function configText(): string {
  const { port } = vendor.address() as AddressInfo;
  return JSON.stringify({
    listen: "127.0.0.1:0",
    dataDirectory: directory,
    admin: { listen: "127.0.0.1:0" },
    network: { allowPrivateAddresses: true },
    environments: {
      e: {
        sources: {
          s: { protocol: "segment", writeKeys: ["k"] },
          l: { protocol: "letter", writeKeys: ["letter-key"] },
        },
        destinations: { d: { vendor: "segment", writeKey: "x", url: `http://127.0.0.1:${port}` } },
      },
    },
  });
}

async function post(path: string, authorization: string, body: object): Promise<void> {
  const headers = { authorization, "content-type": "application/json" };
  const url = new URL(path, relay.intakeUrl);
  const { status } = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  if (status !== 200) throw new Error(`${path} was answered ${status}`);
}

async function sendAndWait(send: () => Promise<void>): Promise<void> {
  const before = delivered;
  await send();
  while (delivered === before) await delay(POLL_MS);
  await delay(SETTLED_MS);
}

function hasRun({ functionName, ranges }: { functionName: string; ranges: { count: number }[] }): boolean {
  return functionName !== "" && (ranges[0]?.count ?? 0) > 0;
}
