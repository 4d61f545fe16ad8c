/**
 * The checks of what users install find what they are for: each is given a package with one fault.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { changedReports, manifestFaults, typeFaults, writeReports } from "./published.ts";

const MANIFEST = {
  name: "sample",
  version: "1.0.0",
  type: "module",
  license: "Apache-2.0",
  main: "./dist/index.js",
  types: "./dist/index.d.ts",
  exports: { ".": { types: "./dist/index.d.ts", default: "./dist/index.js" } },
};

interface Sample {
  readonly folder: string;
  write(path: string, text: string): void;
}

/** A package of one function, without a fault. */
function sample(manifest: object = MANIFEST): Sample {
  const folder = mkdtempSync(join(tmpdir(), "waybill-sample-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "dist"));
  const write = (path: string, text: string): void => writeFileSync(join(folder, path), text);
  write("package.json", JSON.stringify(manifest));
  write("dist/index.js", "export function send(text) { return text.length; }\n");
  write("dist/index.d.ts", "/** Sends. @public */\nexport declare function send(text: string): number;\n");
  return { folder, write };
}

function packed({ folder }: Sample): string {
  execFileSync("npm", ["pack", "--silent"], { cwd: folder });
  return join(folder, "sample-1.0.0.tgz");
}

test("a package without a fault passes all three", async () => {
  const one = sample();
  writeReports(one.folder, join(one.folder, "etc"));
  expect(changedReports(one.folder, join(one.folder, "etc"))).toEqual([]);
  expect(await manifestFaults(one.folder)).toEqual([]);
  expect(await typeFaults(packed(one))).toEqual([]);
});

test("a changed, a new and a removed export are found by the name of the report", () => {
  const one = sample();
  const reports = join(one.folder, "etc");
  writeReports(one.folder, reports);
  one.write("dist/index.d.ts", "/** Sends. @public */\nexport declare function send(text: string | number): number;\n");
  expect(changedReports(one.folder, reports)).toEqual(["index.api.md"]);
  // A report without an entry, as after an entry was taken out.
  writeReports(one.folder, reports);
  cpSync(join(reports, "index.api.md"), join(reports, "gone.api.md"));
  expect(changedReports(one.folder, reports)).toEqual(["gone.api.md"]);
});

test("publint: a manifest that names a file which is not there", async () => {
  const exports = { ".": { types: "./dist/index.d.ts", default: "./dist/missing.js" } };
  expect(await manifestFaults(sample({ ...MANIFEST, exports }).folder)).toEqual([
    expect.stringContaining("./dist/missing.js"),
  ]);
});

test("attw: types that do not resolve", async () => {
  const exports = { ".": { default: "./dist/index.js" }, "./more": { types: "./dist/more.d.ts" } };
  const faults = await typeFaults(packed(sample({ ...MANIFEST, exports })));
  expect(faults).toEqual([expect.stringContaining("Resolution failed")]);
});

test("attw: types that exports alone name, which older module resolutions do not read", async () => {
  const { main: _main, types: _types, ...manifest } = MANIFEST;
  expect(await typeFaults(packed(sample(manifest)))).toEqual([expect.stringContaining("node10: Resolution failed")]);
});
