import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { VERSION } from "@waybill/core";
import { expect, test } from "vitest";
import { run, runHere, temporary } from "./lib/command.ts";

const FIXTURE = fileURLToPath(new URL("../../relay/test/fixtures/data-of-7ff6baf/data.tar.gz", import.meta.url));

test("upgrade-check reads data of before, and refuses newer data with the version that wrote them", async () => {
  const directory = temporary();
  execFileSync("tar", ["-xzf", FIXTURE, "-C", directory]);
  const data = join(directory, "data");
  const old = await run(["upgrade-check", data]);
  expect(old).toMatchObject({ code: 0, err: "" });
  expect(old.out.split("\n")).toEqual([
    `${data} has format 1, used last by a version before it was noted`,
    "test: log of format 1",
    `waybill ${VERSION} reads it as it is, and writes format 1`,
    "",
  ]);
  const { out: json } = await runHere(["upgrade-check", data, "--json"]);
  expect(JSON.parse(json)).toEqual({
    directory: data,
    format: 1,
    logs: [{ environment: "test", format: 1 }],
    version: VERSION,
    writes: 1,
  });
  writeFileSync(join(data, ".format"), '{"format":7,"writtenBy":"4.5.6"}');
  const newer = await runHere(["upgrade-check", data]);
  expect(newer).toMatchObject({ code: 1, out: "" });
  expect(newer.err).toContain(`The data in ${data} has format 7, written by waybill 4.5.6; this is waybill ${VERSION}`);
  expect(newer.err).toContain("Run waybill 4.5.6 or newer on it");
  const none = await runHere(["upgrade-check", directory]);
  expect(none.err).toContain(`There is no data of a relay in ${directory}`);
  expect((await runHere(["upgrade-check", join(directory, "nowhere")])).code).toBe(1);
});
