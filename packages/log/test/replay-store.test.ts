import { DELIVERED, type Outcome } from "@waybill/core";
import {
  Fates,
  LaneState,
  type LogRecord,
  NO_FATES,
  openLog,
  type Piece,
  type ReplayState,
  ReplayStore,
} from "@waybill/log";
import { SimDisk, VirtualClock } from "@waybill/testing";
import { testStore } from "@waybill/testing/suites";
import { expect, test } from "vitest";

const WIDE = { maxEvents: 1_000, maxBytes: 1_000_000 };
/** Comes before and after the chosen events of a record, and is not chosen. */
const OTHER = '{"other":true}';

/** A replay of these events, which are in a log among others, so many in a record. */
async function replayOf(texts: readonly string[], perRecord: number): Promise<ReplayStore<ReplayState>> {
  const runtime = { disk: new SimDisk(), clock: new VirtualClock() };
  const log = await openLog({ directory: "/log", segmentMaxBytes: 300 }, runtime);
  for (let at = 0; at < texts.length; at += perRecord) {
    const record = [OTHER, ...texts.slice(at, at + perRecord), OTHER];
    let end = -1;
    const ends = Uint32Array.from(record, (text) => (end += 1 + Buffer.byteLength(text)));
    await log.append({ source: "web", receivedAtMs: 7, metadata: "", body: [Buffer.from(record.join(","))], ends });
  }
  async function* chosen(from: number): AsyncGenerator<Piece> {
    const reader = log.reader({ position: from });
    let records: readonly LogRecord[];
    while ((records = await reader.read(1)).length > 0)
      for (const record of records) yield { record, start: 1, end: record.count - 1 };
  }
  const state = await LaneState.open<ReplayState>(runtime.disk, "/replays", "one", () => ({
    total: texts.length,
    cursor: 0,
    leased: 0,
    delivered: 0,
    rejected: 0,
    expired: 0,
    done: false,
  }));
  const fates = await Fates.open({ directory: "/fates", runtime, tail: { from: 0, runs: [], before: NO_FATES } });
  return new ReplayStore({ name: "replay", state, fates, pieces: chosen });
}

for (const perRecord of [1, 3, 1_000])
  testStore(
    `replay store, ${perRecord} chosen in a record`,
    async (texts) => ({ store: await replayOf(texts, perRecord) }),
    { isFixed: true },
  );

test("a replay whose events are settled is over with the lease that finds no more", async () => {
  const store = await replayOf(['{"n":0}', '{"n":1}'], 1);
  const batch = await store.lease(WIDE);
  await store.settle(batch as never, [DELIVERED, { status: "rejected", reason: "never" } satisfies Outcome]);
  expect([store.pending().events, store.value.done]).toEqual([1, false]);
  expect(await store.lease(WIDE)).toBeUndefined();
  expect([store.pending().events, store.value.done]).toEqual([0, true]);
  expect(store.account()).toMatchObject({ accepted: 2, delivered: 1, rejected: 1, pending: 0, balanced: true });
});
