/** Restarts of a relay while clients send without a pause, each a process of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeClock } from "@waybill/node";
import { SegmentEmulator, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { environmentOf } from "./install-check/project.ts";
import { type Restarted, restartUnderLoad } from "./install-check/restart.ts";
import { ROOT } from "./pack/published.ts";

const RESTARTS = 3;
/** Far above what it takes on a busy machine, far below the deadline that it must not wait for. */
const GAP_MAX_MS = 40_000;
const TEST_MAX_MS = 240_000;

async function restarted(socket: boolean): Promise<Restarted> {
  const folder = mkdtempSync(join(tmpdir(), "waybill-restart-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const vendor = new SegmentEmulator({ clock: nodeClock, limits: "none" });
  const server = await startServer(vendor.handle);
  onTestFinished(() => server.close());
  const report = await restartUnderLoad({
    folder,
    env: environmentOf(folder),
    command: [process.execPath, join(ROOT, "packages/cli/dist/main.js")],
    vendorUrl: server.url,
    deliveredIds: () => vendor.events.map(({ event }) => event["messageId"]),
    restarts: RESTARTS,
    socket,
  });
  expect(report.gapsMs).toHaveLength(RESTARTS);
  expect(Math.max(...report.gapsMs)).toBeLessThan(GAP_MAX_MS);
  expect(report.accepted).toBeGreaterThan(RESTARTS);
  return report;
}

test(
  "a relay that takes the service manager's socket refuses no connection while it restarts, and loses nothing",
  async () => {
    const report = await restarted(true);
    expect(report).toMatchObject({ lost: 0, doubled: 0, refused: 0, failed: 0, cut: 0 });
  },
  TEST_MAX_MS,
);

test(
  "a relay that listens by itself loses nothing while it restarts, and answers what was sent",
  async () => {
    const report = await restarted(false);
    expect(report).toMatchObject({ lost: 0, doubled: 0, failed: 0 });
  },
  TEST_MAX_MS,
);
