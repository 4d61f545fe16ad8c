/** Tails that look into events, and tails that fall behind. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "@waybill/core";
import { type Log, openLog } from "@waybill/log";
import { nodeClock, nodeDisk } from "@waybill/node";
import { expect, onTestFinished, test } from "vitest";
import { type TailFilter, tail } from "../../src/admin/tail.ts";
import { until } from "../lib/world.ts";

interface Tailed {
  readonly text: () => string;
  readonly end: () => Promise<void>;
}

async function newLog(): Promise<Log> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-tail-"));
  const log = await openLog({ directory: `${directory}/log` }, { clock: nodeClock, disk: nodeDisk });
  onTestFinished(async () => {
    await log.close();
    rmSync(directory, { recursive: true });
  });
  return log;
}

const METADATA = JSON.stringify({ vendor: "segment" });

async function append(log: Log, events: readonly object[], source = "web"): Promise<void> {
  const texts = events.map((event) => JSON.stringify(event));
  let end = -1;
  const ends = Uint32Array.from(texts, (text) => (end += Buffer.byteLength(text) + 1));
  await log.append({ source, receivedAtMs: 1, metadata: METADATA, body: [Buffer.from(texts.join(","))], ends });
}

function start(
  log: Log,
  filter: Omit<TailFilter, "environment">,
  { clock = nodeClock, take = async () => undefined }: { clock?: Clock; take?: () => Promise<void> } = {},
): Tailed {
  const controller = new AbortController();
  let text = "";
  const emit = async (more: string): Promise<void> => {
    text += more;
    await take();
  };
  const { signal } = controller;
  const tailing = tail(log, { environment: "e", ...filter }, { clock, emit, signal });
  return {
    text: () => text,
    end: async () => {
      controller.abort();
      await tailing;
    },
  };
}

const shown = (text: string): readonly number[] => [...text.matchAll(/"position":(\d+)/g)].map(([, at]) => Number(at));

test.each([
  ["type", { type: "identify" }, [1]],
  ["name", { name: "Viewed" }, [0, 3]],
  ["user", { user: "u-2" }, [1, 3]],
  ["anonymous user", { user: "a-1" }, [2]],
  ["name and user", { name: "Viewed", user: "u-2" }, [3]],
  ["source", { source: "other" }, [4]],
  ["source and name", { source: "other", name: "Viewed" }, []],
] as const)("a tail shows the events of one %s only", async (_name, filter, expected) => {
  const log = await newLog();
  const tailed = start(log, filter);
  await append(log, [
    { type: "track", event: "Viewed", userId: "u-1" },
    { type: "identify", userId: "u-2" },
    { type: "track", event: "Bought", anonymousId: "a-1" },
    { type: "track", event: "Viewed", userId: "u-2" },
  ]);
  await append(log, [{ type: "track", event: "Bought", userId: "u-9" }], "other");
  // What comes last is seen when all before was looked at.
  const last = { type: "identify", event: "Viewed", userId: "u-2", anonymousId: "a-1" };
  await append(log, [last, { ...last, type: "track" }], "source" in filter ? "other" : "web");
  await until(() => shown(tailed.text()).some((position) => position >= 5));
  expect(shown(tailed.text()).filter((position) => position < 5)).toEqual(expected);
  await tailed.end();
});

test("a tail whose reader is slow skips when it is more than 10,000 events late, and shows how many", async () => {
  const log = await newLog();
  let taken = (): void => undefined;
  let isSlow = true;
  const tailed = start(
    log,
    {},
    {
      take: () => (isSlow ? new Promise<void>((resolve) => (taken = resolve)) : Promise.resolve()),
    },
  );
  await append(log, [{ n: "first" }]);
  await until(() => tailed.text() !== "");
  for (let n = 0; n < 5; n++) await append(log, Array(2_100).fill({ n: "missed" }));
  isSlow = false;
  taken();
  await until(() => tailed.text().includes("skipped"));
  const shownText = /event: skipped\ndata: (.*)\n\n/.exec(tailed.text())?.[1] ?? "";
  expect(JSON.parse(shownText)).toEqual({ environment: "e", events: 10_500 });
  await append(log, [{ n: "after" }]);
  await until(() => tailed.text().includes("after"));
  expect(shown(tailed.text())).toEqual([0, 10_501]);
  await tailed.end();
});

test("a filter that finds nothing in a flood of events takes at most a fifth of the time", async () => {
  const log = await newLog();
  let workedMs = 0;
  let restedMs = 0;
  const clock: Clock = {
    ...nodeClock,
    // Looking into an event takes so long.
    monotonic: () => (workedMs += 0.05),
    after(delayMs, run) {
      restedMs += delayMs;
      return nodeClock.after(0, run);
    },
  };
  const tailed = start(log, { user: "nobody" }, { clock });
  const flood = Array(2_000).fill({ type: "track", event: "E", userId: "u", properties: { text: "x".repeat(300) } });
  for (let n = 0; n < 4; n++) await append(log, flood);
  await append(log, [{ type: "track", event: "E", userId: "nobody" }]);
  await until(() => shown(tailed.text()).length > 0);
  expect(workedMs).toBeGreaterThan(8_000 * 0.05);
  expect(workedMs).toBeLessThan((workedMs + restedMs) / 5);
  expect(shown(tailed.text())).toEqual([8_000]);
  await tailed.end();
});
