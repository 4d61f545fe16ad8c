/**
 * The packed tarballs, installed without a network in an empty folder: nothing else comes along,
 * and the relay starts, delivers and serves its page there.
 */
import { copyFileSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VERSION } from "@waybill/core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { createProject, type Project } from "./install-check/project.ts";
import { createVendor, isDelivered, isPageServed, startInstalled } from "./install-check/relay.ts";
import { type Manifest, PUBLISHED, ROOT } from "./pack/published.ts";
import { pack } from "./pack.ts";

const INSTALL_MS = 180_000;

let client: Project;
let all: Project;

beforeAll(async () => {
  const tarballs: string[] = [];
  for (const { folder } of PUBLISHED) tarballs.push(await pack(folder));
  all = await createProject(tarballs);
  client = await createProject(tarballs.filter((tarball) => tarball.includes("/waybill-0")));
}, INSTALL_MS);

afterAll(() => {
  all?.remove();
  client?.remove();
});

function manifestIn(project: Project, name: string): Manifest {
  return JSON.parse(readFileSync(join(project.folder, "node_modules", name, "package.json"), "utf8")) as Manifest;
}

test("nothing is installed but the packages themselves", () => {
  expect(all.installed).toEqual(["@waybill/relay", "@waybill/testing", "waybill"]);
  expect(client.installed).toEqual(["waybill"]);
});

test("the installed relay starts, delivers what the installed client sends, and serves its page", async () => {
  const vendor = await createVendor(all);
  const server = await vendor.listen();
  onTestFinished(() => server.close());
  const relay = await startInstalled(all, server.url);
  onTestFinished(() => relay.stop());
  expect(await isDelivered(all, relay, vendor)).toBe(true);
  expect(await isPageServed(relay)).toBe(true);
});

test("a program starts the relay by its package", async () => {
  const relay = await all.load<typeof import("@waybill/relay")>("@waybill/relay");
  expect(() => relay.loadConfig({ file: "waybill.yaml", text: "listen: nowhere", env: {} })).toThrow(
    "waybill.yaml:1:9",
  );
});

test("its thread that checks configurations is in the package", async () => {
  const relay = await all.load<typeof import("@waybill/relay")>("@waybill/relay");
  const wrong = relay.loadConfigAside({ file: "waybill.yaml", text: "listen: nowhere", env: {} });
  await expect(wrong).rejects.toThrow("waybill.yaml:1:9");
});

test.each(["waybill", "@waybill/relay"])("npx %s is the relay's command where both are installed", async (name) => {
  expect(await all.run("npx", [name, "--version"])).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: "" });
});

test("npx waybill tells how to install the command where the client is alone", async () => {
  const { code, stdout, stderr } = await client.run("npx", ["waybill", "--version"]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("npx @waybill/relay dev ");
  expect(stderr).toContain("npm install -g @waybill/relay ");
});

test("the client's command runs the relay's, wherever npm would find it", async () => {
  const answer = await all.run("node_modules/.bin/waybill-client", ["--version"]);
  expect(answer).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: "" });
});

test("no command of one package has the name of another's", () => {
  const names = all.installed.flatMap((name) => Object.keys(manifestIn(all, name).bin ?? {}));
  expect(names.toSorted()).toEqual(["waybill", "waybill-client"]);
});

test("each package names its version, licence, home and repository, and is published with its provenance", () => {
  expect(all.installed).toHaveLength(PUBLISHED.length);
  for (const name of all.installed) {
    const manifest = manifestIn(all, name);
    expect(manifest, name).toMatchObject({
      version: VERSION,
      license: "Apache-2.0",
      homepage: expect.stringMatching(/^https:/),
      repository: { type: "git", url: expect.stringMatching(/^git\+https:.*\.git$/), directory: expect.any(String) },
      publishConfig: { access: "public", provenance: true },
    });
    expect((manifest["keywords"] as readonly string[]).length, name).toBeGreaterThan(3);
    expect(manifest, name).not.toHaveProperty("private");
    expect(JSON.stringify(manifest), name).not.toContain("@waybill/source");
  }
});

test("the libraries inside of a package are named there, each with its licence", () => {
  const text = readFileSync(join(all.folder, "node_modules/@waybill/relay/THIRD-PARTY-LICENSES.txt"), "utf8");
  for (const library of ["zod", "pino", "yaml", "prom-client", "@launchdarkly/node-server-sdk", "commander"])
    expect(text).toMatch(new RegExp(`^${library} \\d+\\.\\d+\\.\\d+ \\([\\w.-]+\\)$`, "m"));
});

/** Starts a relay of the installed package and stops it; its log is on standard output. */
const STARTS = `import { createLogger, loadConfig, startRelay } from "@waybill/relay";
const text = JSON.stringify({
  listen: "127.0.0.1:0",
  admin: { listen: "127.0.0.1:0" },
  dataDirectory: "./traced",
  environments: {
    test: {
      sources: { app: { protocol: "segment", writeKeys: ["dev"] } },
      destinations: { crm: { vendor: "segment", writeKey: "out" } },
    },
  },
});
const relay = await startRelay(loadConfig({ file: "text", text, env: {} }), { logger: createLogger("info") });
await relay.stop();
`;

test("the installed relay traces with its user's copy of OpenTelemetry, and has no need of one", async () => {
  const { folder } = all;
  writeFileSync(join(folder, "starts.mjs"), STARTS);
  const untraced = await all.run("node", ["starts.mjs"]);
  expect(untraced).toMatchObject({ code: 0, stderr: "" });
  expect(untraced.stdout).not.toContain("tracing_");
  symlinkSync(join(ROOT, "node_modules/@opentelemetry"), join(folder, "node_modules/@opentelemetry"));
  copyFileSync(join(ROOT, "packages/relay/test/tracing/register.mjs"), join(folder, "register.mjs"));
  const traced = await all.run("node", ["--import", "./register.mjs", "starts.mjs"]);
  expect(traced).toMatchObject({ code: 0, stdout: expect.stringContaining('"code":"tracing_on"') });
});
