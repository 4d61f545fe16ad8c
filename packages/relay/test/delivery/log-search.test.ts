/** A search is bounded in bytes, events and time, and goes on where it ended. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Log, openLog } from "@waybill/log";
import { nodeClock, nodeDisk } from "@waybill/node";
import { expect, onTestFinished, test } from "vitest";
import { type SearchChoice, type SearchLimits, searchLog } from "../../src/delivery/log-search.ts";

const MIB = 1024 * 1024;
const LIMITS: SearchLimits = { maxBytes: 1024 * MIB, maxEvents: 100, maxMs: 60_000 };
const signal = new AbortController().signal;

async function logOf(records: number, receivedAtMs: (record: number) => number = () => 1): Promise<Log> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-search-"));
  const log = await openLog({ directory: `${directory}/log` }, { clock: nodeClock, disk: nodeDisk });
  onTestFinished(async () => {
    await log.close();
    rmSync(directory, { recursive: true });
  });
  const padding = "x".repeat(1_000);
  for (let record = 0; record < records; record++) {
    const texts = [...Array(100).keys()].map((n) =>
      JSON.stringify({ type: "track", event: "E", userId: `u-${n}`, messageId: `${record}-${n}`, padding }),
    );
    let end = -1;
    const ends = Uint32Array.from(texts, (text) => (end += text.length + 1));
    const body = [Buffer.from(texts.join(","))];
    await log.append({ source: "web", receivedAtMs: receivedAtMs(record), metadata: "", body, ends });
  }
  return log;
}

async function searchAll(log: Log, choice: Omit<SearchChoice, "signal">, limits: Partial<SearchLimits>) {
  const ids: (string | null)[] = [];
  let from: number | undefined;
  let requests = 0;
  for (;;) {
    requests += 1;
    const options = { clock: nodeClock, limits: { ...LIMITS, ...limits } };
    const found = await searchLog(log, { ...choice, from, signal }, options);
    ids.push(...found.events.map(({ messageId }) => messageId));
    if (found.next === null) return { ids, requests };
    expect(found.next).toBeGreaterThan(from ?? -1);
    from = found.next;
  }
}

const EXPECTED = [...Array(20).keys()].map((record) => `${record}-7`);

test.each([
  ["bytes", { maxBytes: MIB / 2 }, 4],
  ["events", { maxEvents: 3 }, 7],
  ["time", { maxMs: 0 }, 20],
] as const)("a search that is bounded in %s goes on where it ended", async (_name, limits, least) => {
  const log = await logOf(20);
  const { ids, requests } = await searchAll(log, { user: "u-7" }, limits);
  expect(ids).toEqual(EXPECTED);
  expect(requests).toBeGreaterThanOrEqual(least);
});

test("a search whose client is gone ends", async () => {
  const log = await logOf(5);
  const gone = AbortSignal.abort();
  const found = await searchLog(log, { user: "nobody", signal: gone }, { clock: nodeClock, limits: LIMITS });
  expect(found.next).toBe(100);
});

test("others have their turn while a search looks into every event", async () => {
  const log = await logOf(20);
  let turns = 0;
  let isOver = false;
  const turn = (): void => {
    turns += 1;
    if (!isOver) nodeClock.after(1, turn, true);
  };
  turn();
  await searchAll(log, { name: "nothing" }, {});
  isOver = true;
  expect(turns).toBeGreaterThan(2);
});

test("times choose events by when they were received", async () => {
  const log = await logOf(10, (record) => 1_000 + record);
  const { ids } = await searchAll(log, { user: "u-7", sinceMs: 1_003, untilMs: 1_005 }, {});
  expect(ids).toEqual(["3-7", "4-7"]);
});
