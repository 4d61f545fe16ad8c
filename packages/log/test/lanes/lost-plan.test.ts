import { DELIVERED, type Outcome } from "@waybill/core";
import { type LogRecord, type OrderHashes, ReadMemory } from "@waybill/log";
import { expect, test } from "vitest";
import { type OpenedStore, openStore, push } from "../lib/log-store.ts";

const LIMITS = { maxEvents: 2, maxBytes: 1_000 };
const EVENTS = ["2", "4", "6", "8"];

/** Each event is the hash of its user. */
function orderOf({ body }: LogRecord): OrderHashes {
  return { hashes: Uint32Array.from(Buffer.from(body).toString().split(",").map(Number)), ties: undefined };
}

interface Sent {
  readonly opened: OpenedStore;
  readonly batches: readonly string[];
}

/** Delivers events of even hashes with a state of two strands, of which the second has a plan. */
async function sendAll(strands: string, order: "user" | "none"): Promise<Sent> {
  const first = await openStore({});
  for (const text of EVENTS) await push(first.log, [text]);
  await first.store.close();
  await first.log.close();
  const opened = await openStore({
    disk: first.disk,
    delivery: { order: order === "user" ? "none" : "user", orderOf, maxInFlight: () => 8 },
    changed: (state) => ({ ...state, strands, order }),
  });
  const batches: string[] = [];
  for (let batch = await opened.store.lease(LIMITS); batch !== undefined; batch = await opened.store.lease(LIMITS)) {
    const leased = batch;
    batches.push(Array.from({ length: batch.count }, (_, at) => Buffer.from(leased.event(at)).toString()).join());
    await opened.store.settle(batch, new Array<Outcome>(batch.count).fill(DELIVERED));
  }
  return { opened, batches };
}

test("a batch that was planned and is not in the log any more holds up no change of order", async () => {
  const { opened, batches } = await sendAll("10 10:3", "user");
  expect(batches.join().split(",").toSorted()).toEqual(EVENTS);
  expect(opened.store.account()).toMatchObject({ delivered: EVENTS.length, pending: 0 });
  expect(opened.store.shape.strands).toBe(1);
});

test("nor where the log has nothing after the cursor", async () => {
  const { store, log } = await openStore({
    delivery: { order: "none" },
    changed: (state) => ({ ...state, strands: "10 10:3", order: "user" }),
  });
  await push(log, EVENTS);
  expect((await store.lease({ maxEvents: 10, maxBytes: 1_000 }))?.count).toBe(EVENTS.length);
});

test("a batch that was planned comes again whole before the order of the lane changes", async () => {
  const { opened, batches } = await sendAll("10 10:2", "none");
  expect(batches.join().split(",").toSorted()).toEqual(EVENTS);
  expect(batches).toContain("4,8");
  expect(opened.store.shape.strands).toBe(1);
});

/** More than a lane without room reads at once. */
const LARGE_BYTES = 20_000;

test("a batch that was planned comes again whole also where there is no room to read it", async () => {
  const first = await openStore({});
  for (const text of ["1", "2", "3", "4"]) await push(first.log, [text.padEnd(LARGE_BYTES)]);
  await first.store.close();
  await first.log.close();
  const { store } = await openStore({
    disk: first.disk,
    delivery: { order: "user", orderOf, maxInFlight: () => 8 },
    changed: (state) => ({ ...state, strands: "11 10:2", order: "user" }),
    memory: new ReadMemory(LARGE_BYTES),
  });
  const batch = await store.lease({ maxEvents: 10, maxBytes: 10 * LARGE_BYTES });
  const texts = Array.from({ length: batch?.count ?? 0 }, (_, at) => Buffer.from(batch?.event(at) ?? "").toString());
  expect(texts.map(Number)).toEqual([1, 3]);
});

test("strands that were planned in another order go one after the other in that of arrival", async () => {
  const before = await openStore({});
  await push(before.log, ["1", "2", "3", "4"]);
  await before.store.close();
  await before.log.close();
  const { store } = await openStore({
    disk: before.disk,
    delivery: { order: "arrival", orderOf, maxInFlight: () => 8 },
    changed: (state) => ({ ...state, strands: "10:2 10:2", order: "user" }),
  });
  const first = await store.lease(LIMITS);
  expect(first?.count).toBe(2);
  expect(store.shape.strands).toBe(2);
  expect(await store.lease(LIMITS)).toBeUndefined();
  await store.settle(first as never, [DELIVERED, DELIVERED]);
  expect((await store.lease(LIMITS))?.count).toBe(2);
});
