import { defer, nodeClock, watchEventLoop } from "@waybill/node";
import { expect, test } from "vitest";

const pause = (ms: number): Promise<void> => new Promise((resolve) => nodeClock.after(ms, resolve, true));

test("tells how long the loop was blocked since the last look, and about nothing while it is idle", async () => {
  const watch = watchEventLoop();
  await pause(100);
  watch.takeMaxMs();
  await pause(100);
  const startedAtMs = nodeClock.monotonic();
  while (nodeClock.monotonic() - startedAtMs < 300);
  await pause(50);
  const blockedMs = watch.takeMaxMs();
  expect(blockedMs).toBeGreaterThan(250);
  // A machine that does other work may block it once more.
  do await pause(100);
  while (watch.takeMaxMs() >= blockedMs / 2);
  watch.stop();
});

test("what is deferred has its turn after timers and sockets had theirs", async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    defer(() => {
      order.push("deferred");
      resolve();
    });
    queueMicrotask(() => order.push("microtask"));
  });
  expect(order).toEqual(["microtask", "deferred"]);
});
