/** No two lanes give two batches the same key: a vendor would take the second one for the first. */
import { DELIVERED } from "@waybill/core";
import { type LaneStateValue, newLaneId, openLaneState, openLog, parseLaneState } from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { openStore, push } from "../lib/log-store.ts";

const LIMITS = { maxEvents: 2, maxBytes: 1_000 };
const ID = "0123456789abcdef";

async function stateOf(disk: SimDisk, random: SeededRandom): Promise<LaneStateValue> {
  const log = await openLog({ directory: "/log" }, { disk, clock: new VirtualClock() });
  return (await openLaneState({ disk, directory: "/lanes", name: "a", log, random })).initial;
}

test("a lane that begins gets an id, which it keeps, and which another one does not get", async () => {
  const disk = new SimDisk();
  const { id } = await stateOf(disk, new SeededRandom(1));
  expect(id).toMatch(/^[\da-f]{16}$/);
  expect((await stateOf(disk, new SeededRandom(2))).id).toBe(id);
  const random = new SeededRandom(1);
  expect(newLaneId(random)).toBe(id);
  expect(newLaneId(random)).not.toBe(id);
});

test("its batches have the id in their keys, also after a start", async () => {
  const disk = new SimDisk();
  const named = (state: LaneStateValue): LaneStateValue => ({ ...state, id: ID });
  const opened = await openStore({ disk, changed: named });
  await push(opened.log, ["1", "2", "3"]);
  const first = await opened.store.lease(LIMITS);
  expect([first?.key, first?.eventKey(1)]).toEqual([`a.${ID}-0-2`, `a.${ID}-1`]);
  await opened.store.settle(first as never, [DELIVERED, DELIVERED]);
  await opened.store.sync();
  const again = await openStore({ disk });
  expect((await again.store.lease(LIMITS))?.key).toBe(`a.${ID}-2-1`);
});

test("one whose state is of before keeps the keys it had", async () => {
  const { store, log } = await openStore({});
  await push(log, ["1"]);
  expect((await store.lease(LIMITS))?.key).toBe("a-0-1");
});

test("a state with an id of another shape is not read", () => {
  const state = { base: 0, position: 0, byte: 0, delivered: 0, rejected: 0, expired: 0, dropped: {}, leased: 0 };
  expect(parseLaneState({ ...state, id: ID })?.id).toBe(ID);
  for (const id of ["", "0123456789abcdeg", ID.slice(1), 7, null])
    expect(parseLaneState({ ...state, id })).toBeUndefined();
});
