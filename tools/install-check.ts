/**
 * `npm run -s install-check [-- --json-line]`: what a new user gets. Packs the packages, installs
 * them without a network in an empty folder, starts the relay there, sends an event and opens the
 * page; then builds the image and runs it where containers can be run. Exit 1 when something of it
 * does not hold.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkContainer } from "../deploy/lib/check-container.ts";
import { createProject, environmentOf, type Project } from "./install-check/project.ts";
import { createVendor, isDelivered, isPageServed, startInstalled } from "./install-check/relay.ts";
import { type Restarted, restartUnderLoad } from "./install-check/restart.ts";
import { PUBLISHED } from "./pack/published.ts";
import { pack } from "./pack.ts";

/** Of a start, from the process to a relay that is ready. */
const START_MAX_MS = 500;
const STARTS = 5;
/** Of a restart under load, from SIGTERM to a relay that is ready again. */
const GAP_MAX_MS = 2_000;
const RESTARTS = 3;

interface Packages {
  readonly tarballs: number;
  readonly installedBytes: number;
  /** Packages that the relay's brings along. */
  readonly relayDependencies: number;
  /** The median of several starts. */
  readonly startMs: number;
  readonly delivered: boolean;
  readonly pageServed: boolean;
  /** The longest of several restarts under load. */
  readonly restartGapMs: number;
  /** Events that were accepted beside the restarts, and not delivered. */
  readonly lost: number;
  /** Connections that were refused while a service manager held the socket. */
  readonly restartRefused: number;
}

/** Every part of the report measures its own fields; what no part has measured is not printed. */
const PARTS: readonly (() => Promise<Readonly<Record<string, unknown>>>)[] = [
  async () => ({ ...(await checkPackages()) }),
  async () => ({ ...(await checkContainer()) }),
];

async function checkPackages(): Promise<Packages> {
  const tarballs: string[] = [];
  for (const { folder } of PUBLISHED) tarballs.push(await pack(folder));
  const project = await createProject(tarballs);
  try {
    return {
      tarballs: tarballs.length,
      ...sizesOf(project),
      ...(await runInstalled(project)),
      ...(await restartInstalled(project)),
    };
  } finally {
    project.remove();
  }
}

function sizesOf(project: Project): Pick<Packages, "installedBytes" | "relayDependencies"> {
  const manifest = readFileSync(join(project.folder, "node_modules/@waybill/relay/package.json"), "utf8");
  const { dependencies = {} } = JSON.parse(manifest) as { readonly dependencies?: object };
  return { installedBytes: project.installedBytes, relayDependencies: Object.keys(dependencies).length };
}

async function runInstalled(project: Project): Promise<Pick<Packages, "startMs" | "delivered" | "pageServed">> {
  const vendor = await createVendor(project);
  const server = await vendor.listen();
  const starts: number[] = [];
  let delivered = false;
  let pageServed = false;
  for (let start = 0; start < STARTS; start++) {
    const relay = await startInstalled(project, server.url);
    starts.push(relay.startMs);
    if (start === 0) {
      delivered = await isDelivered(project, relay, vendor);
      pageServed = await isPageServed(relay);
    }
    await relay.stop();
  }
  await server.close();
  const sorted = starts.toSorted((one, other) => one - other);
  return { startMs: Math.round(sorted[Math.floor(STARTS / 2)] as number), delivered, pageServed };
}

/** On an address of its own, and on a socket that was given. */
async function restartInstalled(project: Project): Promise<Pick<Packages, "restartGapMs" | "lost" | "restartRefused">> {
  const [alone, given] = [await restarted(project, false), await restarted(project, true)];
  return {
    restartGapMs: Math.round(Math.max(...alone.gapsMs, ...given.gapsMs)),
    lost: alone.lost + given.lost,
    restartRefused: given.refused,
  };
}

async function restarted(project: Project, socket: boolean): Promise<Restarted> {
  const vendor = await createVendor(project);
  const server = await vendor.listen();
  try {
    return await restartUnderLoad({
      folder: join(project.folder, socket ? "given" : "alone"),
      env: environmentOf(project.folder),
      command: [join(project.folder, "node_modules/.bin/waybill")],
      vendorUrl: server.url,
      deliveredIds: () => vendor.events.map(({ event }) => event["messageId"]),
      restarts: RESTARTS,
      socket,
    });
  } finally {
    await server.close();
  }
}

const report: Record<string, unknown> = {};
for (const part of PARTS) Object.assign(report, await part());
if (process.argv.includes("--json-line")) process.stdout.write(`${JSON.stringify(report)}\n`);
else for (const [name, value] of Object.entries(report)) process.stdout.write(`${name.padEnd(20)} ${String(value)}\n`);
const { startMs, delivered, pageServed, restartGapMs, lost, restartRefused } = report as unknown as Packages;
if (startMs > START_MAX_MS || !delivered || !pageServed) {
  process.stderr.write(`wanted: delivered, pageServed, a start within ${START_MAX_MS} ms\n`);
  process.exitCode = 1;
}
if (restartGapMs > GAP_MAX_MS || lost > 0 || restartRefused > 0) {
  process.stderr.write(`wanted: restarts within ${GAP_MAX_MS} ms, nothing lost, with a socket nothing refused\n`);
  process.exitCode = 1;
}
