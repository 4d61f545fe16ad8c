/** The installed command as a user runs it: a relay, an event through it, its page. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { until } from "../until.ts";
import { environmentOf, type Project } from "./project.ts";

const START_MAX_MS = 30_000;
const DELIVER_MAX_MS = 30_000;

export interface StartedRelay {
  readonly intakeUrl: string;
  readonly adminUrl: string;
  /** From the start of the process until `/ready` answers 200. */
  readonly startMs: number;
  stop(): Promise<void>;
}

/** Starts `waybill relay`, which delivers to `vendorUrl` what comes under the key `dev`. */
export async function startInstalled(project: Project, vendorUrl: string): Promise<StartedRelay> {
  const config = join(project.folder, "waybill.yaml");
  mkdirSync(join(project.folder, "data"), { recursive: true });
  writeFileSync(config, configFor(vendorUrl));
  const startedAt = performance.now();
  const child = spawn(join(project.folder, "node_modules/.bin/waybill"), ["relay", "--config", config], {
    cwd: project.folder,
    env: environmentOf(project.folder),
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
  try {
    const { intake, admin } = await addressesOf(child);
    await until(START_MAX_MS, async () => (await fetch(`${admin}/ready`)).status === 200);
    const startMs = performance.now() - startedAt;
    const stop = async (): Promise<void> => {
      child.kill("SIGTERM");
      await exited;
    };
    return { intakeUrl: intake, adminUrl: admin, startMs, stop };
  } catch (error) {
    child.kill("SIGKILL");
    await exited;
    throw error;
  }
}

/** As the guide has it, but for ports that are free. */
function configFor(vendorUrl: string): string {
  return `listen: 127.0.0.1:0
admin: { listen: 127.0.0.1:0 }
dataDirectory: ./data
network: { allowPrivateAddresses: true }
environments:
  production:
    sources: { app: { protocol: segment, writeKeys: [dev] } }
    destinations: { segment: { vendor: segment, url: "${vendorUrl}", writeKey: dev } }
`;
}

/** Of the first line that it logs. */
async function addressesOf(child: ChildProcess): Promise<{ readonly intake: string; readonly admin: string }> {
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    const found = JSON.parse(line) as { readonly intake?: string; readonly admin?: string };
    if (found.intake === undefined || found.admin === undefined) continue;
    // What comes later is read too, or the pipe would fill.
    child.stdout?.resume();
    return { intake: found.intake, admin: found.admin };
  }
  throw new Error("the relay ended before it listened");
}

/** The parts of the installed packages that are used here. */
interface ClientPackage {
  readonly createClient: (options: { relay: { url: string; writeKey: string } }) => {
    track(event: { userId: string; event: string }): unknown;
    close(): Promise<{ readonly delivered: number; readonly left: number }>;
  };
}

interface Emulator {
  readonly events: readonly { readonly event: Readonly<Record<string, unknown>> }[];
  listen(): Promise<{ readonly url: string; close(): Promise<void> }>;
}

interface TestingPackage {
  readonly emulators: { readonly SegmentEmulator: new () => Emulator };
}

export async function createVendor(project: Project): Promise<Emulator> {
  const { emulators } = await project.load<TestingPackage>("@waybill/testing");
  return new emulators.SegmentEmulator();
}

/** Whether an event that the installed client sends through the relay arrives at the vendor. */
export async function isDelivered(project: Project, relay: StartedRelay, vendor: Emulator): Promise<boolean> {
  const { createClient } = await project.load<ClientPackage>("waybill");
  const client = createClient({ relay: { url: relay.intakeUrl, writeKey: "dev" } });
  client.track({ userId: "u1", event: "Installed" });
  const { delivered, left } = await client.close();
  if (delivered !== 1 || left !== 0) return false;
  await until(DELIVER_MAX_MS, () => Promise.resolve(vendor.events.length > 0));
  return vendor.events.length === 1 && vendor.events[0]?.event["event"] === "Installed";
}

/** Whether the admin port serves the page, and each file that the page names. */
export async function isPageServed({ adminUrl }: StartedRelay): Promise<boolean> {
  const page = await fetch(`${adminUrl}/`);
  const html = await page.text();
  const assets = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path as string);
  if (page.status !== 200 || !html.includes("<title>") || !assets.some((path) => path.endsWith(".js"))) return false;
  const answers = await Promise.all(assets.map((path) => fetch(new URL(path, `${adminUrl}/`))));
  return answers.every(({ ok, headers }) => ok && !(headers.get("content-type") ?? "").includes("text/html"));
}
