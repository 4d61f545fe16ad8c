/**
 * The image, built and run by podman: as its page says, but for the base, which is made of this
 * machine's own Node and libraries. Where containers cannot be run the tests are skipped, and the
 * reason is printed.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VERSION } from "@waybill/core";
import { emulators, type StartedServer, startServer } from "@waybill/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { until } from "../../tools/until.ts";
import { buildImage, type Container, IMAGE, startContainer } from "../lib/image.ts";
import { variablesOf } from "../lib/kubernetes-variables.ts";
import { type ContainerTool, createContainerTool } from "../lib/podman.ts";

const BUILD_MAX_MS = 300_000;
const TEST_MAX_MS = 60_000;
const DELIVER_MAX_MS = 20_000;
/** Longer than `shutdown.deadline`, which the relay keeps. */
const STOP_SECONDS = 25;
const SLOW_MS = 1_500;

const folder = mkdtempSync(join(tmpdir(), "waybill-deploy-"));
const vendor = new emulators.SegmentEmulator();
let slowMs = 0;
let tool: ContainerTool;
let skipped: string | undefined;
let container: Container;
let close: () => Promise<void>;

beforeAll(async () => {
  const created = await createContainerTool((line) => process.stdout.write(`${line}\n`));
  if (typeof created === "string") {
    skipped = created;
    process.stdout.write(`the image is not built: ${skipped}\n`);
    return;
  }
  tool = created;
  const server = await startVendor();
  close = server.close;
  writeFileSync(join(folder, "waybill.yaml"), configFor(server.url));
  await buildImage(tool.podman);
  container = await start();
}, BUILD_MAX_MS);

afterAll(async () => {
  await close?.();
  await tool?.remove();
  rmSync(folder, { recursive: true, force: true });
}, TEST_MAX_MS);

beforeEach(({ skip }) => {
  if (skipped !== undefined) skip(skipped);
});

function startVendor(): Promise<StartedServer> {
  return startServer(async (request) => {
    const answer = vendor.handle(request);
    return slowMs === 0 ? answer : { ...(await answer), delayMs: slowMs };
  });
}

function configFor(vendorUrl: string): string {
  return `network: { allowPrivateAddresses: true }
environments:
  production:
    sources: { app: { protocol: segment, writeKeys: [dev] } }
    destinations: { segment: { vendor: segment, url: "${vendorUrl}", writeKey: dev } }
`;
}

function start(): Promise<Container> {
  return startContainer(tool, {
    config: join(folder, "waybill.yaml"),
    volume: "waybill-data",
    env: variablesOf("waybill", { intake: 8080, admin: 8081 }),
  });
}

async function send(event: string): Promise<number> {
  const { status } = await fetch(`${container.intakeUrl}/v1/track`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Basic ${btoa("dev:")}` },
    body: JSON.stringify({ type: "track", event, userId: "u1" }),
  });
  return status;
}

function delivered(): readonly unknown[] {
  return vendor.events.map(({ event }) => event["event"]);
}

test("the image names a user by number, its health check, what it is, and starts Node itself", async () => {
  const [image] = JSON.parse(await tool.podman("image", "inspect", IMAGE)) as [
    { readonly User: string; readonly Config: Readonly<Record<string, unknown>>; readonly Healthcheck: object },
  ];
  expect(image.User).toBe("10001:10001");
  expect(image.Config).toMatchObject({
    Entrypoint: ["node", "/opt/waybill/bin/waybill"],
    Cmd: ["relay"],
    StopSignal: "SIGTERM",
    Volumes: { "/var/lib/waybill": {} },
    Labels: { "org.opencontainers.image.title": "waybill", "org.opencontainers.image.version": VERSION },
  });
  expect(image.Healthcheck).toMatchObject({ Test: ["CMD", "node", "/opt/waybill/health.mjs"] });
});

test("it runs as PID 1, not as root, without a capability", async () => {
  const status = await container.exec("node", "-p", "fs.readFileSync('/proc/1/status', 'utf8')");
  expect(status).toContain("Name:\tnode");
  expect(status).toContain("Uid:\t10001\t10001\t10001\t10001");
  expect(status).toMatch(/CapEff:\t0+\n/);
  expect(status).toContain("NoNewPrivs:\t1");
});

test("it writes its volume alone: the root file system is read-only", async () => {
  const write = (path: string): Promise<string> =>
    container.exec("node", "-p", `fs.writeFileSync(${JSON.stringify(path)}, '')`);
  await expect(write("/tmp/x")).rejects.toThrow("EROFS");
  await expect(write("/opt/waybill/x")).rejects.toThrow("EROFS");
  await expect(write("/var/lib/waybill/x")).resolves.toBe("undefined");
});

test("only what the image needs is sent to its build", async () => {
  const found = await container.exec("node", "-p", "fs.readdirSync('/opt/waybill').join()");
  expect(found).toBe("bin,health.mjs,lib");
});

test("its health check passes, and the command in it looks at the relay", async () => {
  await expect(container.checkHealth()).resolves.toBeUndefined();
  const status = await container.exec("sh", "-c", "waybill status --admin http://$WAYBILL_ADMIN_LISTEN");
  expect(status).toMatch(/^well: /);
});

test("it delivers an event to a vendor on the host", async () => {
  expect(await send("Container Built")).toBe(200);
  await until(DELIVER_MAX_MS, () => Promise.resolve(delivered().length === 1));
  expect(delivered()).toEqual(["Container Built"]);
});

test("variables that Kubernetes injects cause no fault and no warning", async () => {
  const lines = (await container.logs()).split("\n").map((line) => JSON.parse(line) as { readonly msg: string });
  expect(lines[0]?.msg).toContain("waybill relay");
  expect(lines.filter((line) => JSON.stringify(line).includes("unknown variable"))).toEqual([]);
});

test(
  "SIGTERM reaches it: what is under way is finished, it exits 0, and another one goes on",
  async () => {
    slowMs = SLOW_MS;
    expect(await send("Under Way")).toBe(200);
    await until(DELIVER_MAX_MS, () => Promise.resolve(delivered().length === 2));
    const startedAt = performance.now();
    expect(await container.stop(STOP_SECONDS)).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(STOP_SECONDS * 1_000);
    expect(await container.logs()).toContain('"msg":"stopped"');
    slowMs = 0;
    container = await start();
    expect(await send("After The Start")).toBe(200);
    await until(DELIVER_MAX_MS, () => Promise.resolve(delivered().length === 3));
    expect(delivered()).toEqual(["Container Built", "Under Way", "After The Start"]);
    // The attempt under way was answered before the end: it was not sent again.
    expect(vendor.duplicates).toBe(0);
    expect(await container.stop(STOP_SECONDS)).toBe(0);
  },
  TEST_MAX_MS,
);
