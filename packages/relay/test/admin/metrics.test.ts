import { expect, test } from "vitest";
import { createMetrics } from "../../src/admin/metrics.ts";
import type { LaneView, ReplayView } from "../../src/admin/views.ts";

const ACCOUNT = {
  accepted: 10,
  delivered: 1,
  rejected: 2,
  dropped: 3,
  droppedByReason: { filtered: 3 },
  expired: 4,
  pending: 0,
  balanced: true,
};

test("a lane that a defect has stopped has its mode; the ledger of a replay is whole", async () => {
  const lane = {
    environment: "constructor",
    destination: "__proto__",
    vendor: "segment",
    mode: "failed",
    account: ACCOUNT,
    pendingBytes: 0,
    attempts: 0,
    failedAttempts: 0,
    unknownFates: 3,
    deadLetters: { waiting: 2, retried: 0, discarded: 0, damaged: 1 },
  } satisfies LaneView;
  const replay = {
    id: "r",
    environment: "e",
    destination: "d",
    of: "log",
    createdAtMs: 0,
    state: "done",
    account: ACCOUNT,
  } satisfies ReplayView;
  const metrics = createMetrics({
    lanes: () => [lane],
    sources: () => [],
    replays: () => [replay],
    heldBytes: () => 0,
    keylessHeldBytes: () => 0,
    waitingBodies: () => 0,
    takeBlockedMaxMs: () => 0,
  });
  const text = await metrics.text();
  const labels = 'environment="constructor",destination="__proto__"';
  expect(text).toContain(`waybill_lane_mode{${labels},mode="failed"} 1`);
  expect(text).toContain(`waybill_lane_unknown_fates{${labels}} 3`);
  expect(text).toContain(`waybill_lane_mode{${labels},mode="idle"} 0`);
  const states = [...text.matchAll(/waybill_replay_events\{[^}]*state="(\w+)"\} (\d+)/g)].map(([, state, count]) => [
    state,
    Number(count),
  ]);
  const { accepted, ...rest } = Object.fromEntries(states) as Record<string, number>;
  expect(accepted).toBe(Object.values(rest).reduce((sum, count) => sum + count, 0));
  expect(rest).toMatchObject({ dropped: 3 });
});
