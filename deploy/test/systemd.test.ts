/** The unit, by systemd's own checks. Where they are not the tests are skipped, with the reason. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { loadConfig } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { EXIT } from "../../packages/cli/src/index.ts";
import { ROOT } from "../../tools/pack/published.ts";
import { runs } from "../lib/helm.ts";

const unit = readFileSync(join(ROOT, "deploy/systemd/waybill.service"), "utf8");
/** Tenths: 0 is shut off from everything, 100 may do anything. Most units of a server have 90. */
const EXPOSURE_MAX = 15;

const missing = runs("systemd-analyze", "--version") ? undefined : "there is no systemd-analyze here";
if (missing !== undefined) process.stdout.write(`the unit is not checked: ${missing}\n`);

/** With a command that is there: the relay is not installed where tests run. */
function unitFile(text = unit): string {
  const folder = mkdtempSync(join(tmpdir(), "waybill-unit-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "waybill.service");
  writeFileSync(file, text.replace("/usr/local/bin/waybill", process.execPath));
  return file;
}

function analyze(...args: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return promisify(execFile)("systemd-analyze", [...args], { env: { ...process.env, LC_ALL: "C" } });
}

function valueOf(name: string): string {
  return new RegExp(`^${name}=(.*)$`, "m").exec(unit)?.[1] ?? "";
}

test.skipIf(missing !== undefined)("systemd finds nothing wrong with the unit", async () => {
  expect(await analyze("verify", "--man=no", unitFile())).toEqual({ stdout: "", stderr: "" });
  const misspelt = await analyze("verify", "--man=no", unitFile(unit.replace("ProtectHome", "ProtectHouse")));
  expect(misspelt.stderr).toContain("ProtectHouse");
});

test.skipIf(missing !== undefined)("its exposure is at most 1.5 of 10", async () => {
  const args = ["security", "--offline=true", "--no-pager", `--threshold=${EXPOSURE_MAX}`];
  expect((await analyze(...args, unitFile())).stdout).toContain("Overall exposure level for waybill.service");
  await expect(analyze(...args, unitFile(unit.replace("PrivateDevices=yes", "")))).rejects.toThrow();
});

test("V8 may compile, and the unit's times and exit codes are the relay's", () => {
  expect(unit).not.toMatch(/^MemoryDenyWriteExecute/m);
  const text = `environments:
  production:
    sources: { web: { protocol: segment, writeKeys: [k] } }
    destinations: { archive: { vendor: file, path: /var/lib/waybill/events.ndjson } }
`;
  const { shutdownDeadlineMs } = loadConfig({ file: "waybill.yaml", text, env: {} });
  expect(Number(valueOf("TimeoutStopSec")) * 1_000).toBeGreaterThan(shutdownDeadlineMs + 5_000);
  expect(valueOf("RestartPreventExitStatus")).toBe(String(EXIT.config));
  expect(valueOf("Environment")).toBe(`WAYBILL_DATA_DIRECTORY=/var/lib/${valueOf("StateDirectory")}`);
});
