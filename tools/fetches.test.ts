/** What is fetched is announced first; the light tests fetch nothing. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startServer } from "@waybill/testing";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { announcementOf, type Folder, fetchingRefused, installedIn, installFolder } from "./fetches.ts";
import { refuseOtherMachines } from "./loopback.ts";
import { pathsUnder, ROOMS } from "./tidy/tree.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** The only files that may start what fetches. */
const FETCHING = [
  "benchmarks/compare.ts",
  "benchmarks/lib/kafka/fetch-kafka.ts",
  "browser/lib/chromium.ts",
  "deploy/lib/podman.ts",
  "tools/fetches.ts",
  "tools/metrics/prometheus-tools.ts",
];
/** Programs that fetch, as they are started. Packed tarballs are installed without a network. */
const FETCHES =
  /"npm", \["(?:ci|install|i|add)"(?![^\]]*(?:--offline|--package-lock-only|tarballs))|"git", \["(?:clone|fetch|pull)"|"(?:\/usr\/bin\/)?(?:apt-get|wget|buildah|podman|docker|mvn)"/;

beforeEach(() => {
  vi.stubEnv("WAYBILL_NO_INSTALL", undefined);
  onTestFinished(() => void vi.unstubAllEnvs());
});

/** A folder with a manifest, and an `npm` that installs it as long as nothing else does. */
function sample(): Folder {
  const path = mkdtempSync(join(tmpdir(), "waybill-fetches-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  writeFileSync(
    join(path, "package.json"),
    '{ "dependencies": { "one": "1.2.3", "two-old": "npm:@scope/two@4.5.6" } }',
  );
  mkdirSync(join(path, "bin"));
  writeFileSync(
    join(path, "bin/npm"),
    `#!/bin/sh
echo "$*" >> calls
mkdir -p node_modules/one node_modules/two-old
echo '{ "version": "1.2.3" }' > node_modules/one/package.json
echo '{ "version": "4.5.6" }' > node_modules/two-old/package.json
`,
  );
  chmodSync(join(path, "bin/npm"), 0o755);
  vi.stubEnv("PATH", `${join(path, "bin")}:${process.env["PATH"]}`);
  return { path, name: "sample", megabytes: 12, megabytesOf: { one: 7 } };
}

test("names, versions, size and place are printed before anything is fetched, once for all who wait", async () => {
  const folder = sample();
  const printed: string[] = [];
  const write = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    printed.push(String(text));
    expect(existsSync(join(folder.path, "calls"))).toBe(false);
    return true;
  });
  onTestFinished(() => write.mockRestore());
  expect(await Promise.all([installFolder(folder), installFolder(folder)])).toEqual([undefined, undefined]);
  expect(printed).toEqual([announcementOf(folder)]);
  expect(printed[0]).toBe(
    "npm fetches 2 packages and what they need, 12 MB on the disk, into sample/node_modules.\n" +
      "Once: nothing is fetched when they are there.\n  one 1.2.3, 7 MB\n  two-old 4.5.6\n",
  );
  expect(readFileSync(join(folder.path, "calls"), "utf8")).toMatch(/^ci .*\n$/);
  expect(installedIn(folder, "two-old")).toBe("4.5.6");
  expect(await installFolder(folder)).toBe(undefined);
  expect(printed).toHaveLength(1);
});

test("WAYBILL_NO_INSTALL forbids it, with a reason that can be printed; what is there is used", async () => {
  const folder = sample();
  vi.stubEnv("WAYBILL_NO_INSTALL", "1");
  expect(fetchingRefused()).toContain("WAYBILL_NO_INSTALL");
  expect(await installFolder(folder)).toBe(
    "not all of sample is installed, and WAYBILL_NO_INSTALL forbids to fetch anything",
  );
  expect(existsSync(join(folder.path, "calls"))).toBe(false);
  for (const [name, version] of [
    ["one", "1.2.3"],
    ["two-old", "4.5.6"],
  ] as const) {
    mkdirSync(join(folder.path, "node_modules", name), { recursive: true });
    writeFileSync(join(folder.path, "node_modules", name, "package.json"), JSON.stringify({ version }));
  }
  expect(await installFolder(folder)).toBe(undefined);
});

test("only the files that announce it start programs that fetch", () => {
  const paths = ROOMS.flatMap((room) => pathsUnder(ROOT, room)).filter((path) => /\.m?ts$/.test(path));
  const textOf = (path: string): string => readFileSync(join(ROOT, path), "utf8");
  const starting = paths.filter((path) => textOf(path).includes("node:child_process"));
  expect(starting.length).toBeGreaterThan(30);
  expect(starting.filter((path) => FETCHES.test(textOf(path))).toSorted()).toEqual(FETCHING);
  for (const path of FETCHING) expect(textOf(path)).toMatch(/WAYBILL_NO_INSTALL|fetchingRefused\(/);
});

test("a light test that connects to another machine is refused, to this one it is not", async () => {
  const server = await startServer(() => ({ status: 200, headers: {}, body: "here" }));
  onTestFinished(() => server.close());
  const refusals = refuseOtherMachines();
  onTestFinished(() => refusals.end());
  const errorOf = (host: string): Promise<string> =>
    new Promise((resolve) => {
      connect(9, host).once("error", ({ message }) => resolve(message));
    });
  expect(await errorOf("192.0.2.1")).toBe("a light test may not connect to 192.0.2.1");
  await expect(fetch("http://registry.example/")).rejects.toThrow();
  expect(await (await fetch(server.url)).text()).toBe("here");
  expect(refusals.take()).toEqual(["192.0.2.1", "registry.example"]);
  expect(refusals.take()).toEqual([]);
});
