/** A lane with as many strands, parked users and runs as there may be, in a commit's metadata. */
import { DROP_REASONS, type Outcome } from "@waybill/core";
import { type DurableState, Fates, type LaneStateValue, NO_FATES, parseLaneState } from "@waybill/log";
import { SimDisk, settle, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { PARKED_MAX, parkedText, STRANDS_MAX, strandsText } from "../../log/src/lanes/lane-value.ts";
import { StateWriter } from "../../log/src/lanes/state-writer.ts";
import { LaneInCommits } from "./lib/lane-in-commits.ts";

/** Events between the first one that is not settled and the last one that is. */
const SPREAD = 2 ** 24;
const POSITION = 10 ** 11;

function longest(): LaneStateValue {
  const each = Object.fromEntries(DROP_REASONS.map((reason) => [reason, 10 ** 10]));
  const ledger = { delivered: 10 ** 11, rejected: 10 ** 9, expired: 10 ** 9, dropped: each };
  const strands = Array.from({ length: STRANDS_MAX }, (_, residue) => {
    return { residue, modulus: STRANDS_MAX, position: POSITION + SPREAD, planned: 10_000 };
  });
  const parked = Array.from({ length: PARKED_MAX }, (_, index) => {
    return { hash: 2 ** 32 - 1 - index, position: POSITION + SPREAD, failedMs: 10 ** 9 };
  });
  return {
    base: 0,
    position: POSITION,
    byte: 10 ** 14,
    ...ledger,
    leased: 0,
    strands: strandsText(strands, POSITION),
    order: "user",
    parked: parkedText(parked, POSITION),
    ahead: SPREAD,
    frontier: POSITION + SPREAD,
    readTo: POSITION + SPREAD,
    dead: 10 ** 9,
    vendors: Array.from({ length: 8 }, (_, index) => ({ name: "launchdarkly", from: POSITION - index })),
    fates: { from: POSITION - 60, runs: [], before: NO_FATES },
  };
}

test("metadata at its limit: the longest state is shortened until a broker takes it, and read again", async () => {
  const clock = new VirtualClock();
  const lane = new LaneInCommits(clock);
  const { openState } = await lane.open();
  const state: DurableState<LaneStateValue> = await openState();
  const value = longest();
  const runtime = { disk: new SimDisk(), clock };
  const tail = { from: POSITION - 60, runs: [], before: NO_FATES };
  const fates = await Fates.open({ directory: "/fates", runtime, tail });
  const rejected: Outcome = { status: "rejected", reason: "no" };
  for (let run = 0; run < 60; run++) fates.settle(run % 2 === 0 ? rejected : { status: "delivered" });
  const errors: unknown[] = [];
  const options = { state, fates, onStateError: (error: unknown) => void errors.push(error) };
  const writer = new StateWriter(options, () => ({ ...value, fates: fates.tail }));
  expect(state.fits({ ...value, fates: fates.tail })).toBe(false);
  await writer.write();
  await settle();
  expect(errors).toEqual([]);
  const again = await (await lane.open()).openState();
  expect(again.initial).toMatchObject({ position: POSITION, strands: value.strands, dropped: value.dropped });
  expect(parseLaneState(again.initial)).toBeDefined();
  await lane.close();
});
