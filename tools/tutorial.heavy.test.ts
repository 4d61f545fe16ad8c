/**
 * The tutorial, done as a new user would: in an empty folder, with the packed packages, every
 * command and file of the page in its order.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { environmentOf } from "./install-check/project.ts";
import { PUBLISHED } from "./pack/published.ts";
import { pack } from "./pack.ts";
import { Reader } from "./page-runner/reader.ts";
import { stepsOf } from "./page-runner/steps.ts";

const PAGE = new URL("../docs/guide/tutorial.md", import.meta.url);
const TUTORIAL_MAX_MS = 10 * 60_000;
const POLL = { timeout: 30_000 };
const INSTALL = "npm install @waybill/relay waybill @waybill/testing";

test(
  "the tutorial leads from an empty folder to a first destination, in less than ten minutes",
  async () => {
    const packed = temporary();
    const tarballs: string[] = [];
    for (const { folder } of PUBLISHED) tarballs.push(await pack(folder, packed));
    const folder = temporary();
    const [intake, admin, vendor] = await Promise.all([freePort(), freePort(), freePort()]);
    const reader = new Reader({
      folder,
      env: { ...environmentOf(folder), WAYBILL_ADMIN_URL: `http://127.0.0.1:${admin}` },
      replace: [
        [INSTALL, `npm install ${tarballs.join(" ")}`],
        ["127.0.0.1:8080", `127.0.0.1:${intake}`],
        ["127.0.0.1:8081", `127.0.0.1:${admin}`],
        ["9000", `${vendor}`],
      ],
    });
    onTestFinished(() => reader.close());
    const page = readFileSync(PAGE, "utf8");
    expect(page).toContain(INSTALL);
    const startedAt = performance.now();
    const steps = stepsOf(page);
    const first = steps.findIndex(({ text }) => text.includes("archive: delivered")) + 1;
    expect(first).toBeGreaterThan(0);
    await reader.follow(steps.slice(0, first));
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    process.stdout.write(`from an empty folder to the first delivered event: ${seconds} s\n`);
    await reader.follow(steps.slice(first));
    expect(performance.now() - startedAt).toBeLessThan(TUTORIAL_MAX_MS);
    await expect
      .poll(() => archivedIn(reader.folder), POLL)
      .toEqual(["Signed Up", "Order Completed", "Signed Up", "Order Completed", "Signed Up"]);
    await expect.poll(() => reader.terminal("node vendor.mjs"), POLL).toMatch(/^5 events$/m);
  },
  TUTORIAL_MAX_MS,
);

/** The names of its events; a line that is still being written is none yet. */
function archivedIn(folder: string): readonly string[] {
  const lines = readFileSync(join(folder, "archive/events.ndjson"), "utf8").split("\n").slice(0, -1);
  return lines.map((line) => (JSON.parse(line) as { event: string }).event);
}

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), "waybill-tutorial-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
