/** The text of a lane's state: what no lane has written is refused, and the longest one fits. */
import { DROP_REASONS, type Outcome } from "@waybill/core";
import { Fates, fateTailOf, LaneState, type LaneStateValue, parseLaneState } from "@waybill/log";
import { SimDisk, VirtualClock } from "@waybill/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  PARKED_MAX,
  type ParkedValue,
  parkedText,
  parseParked,
  parseStrands,
  STRANDS_MAX,
  type StrandValue,
  strandsText,
} from "../../src/lanes/lane-value.ts";
import { StateWriter } from "../../src/lanes/state-writer.ts";

const FAR = Number.MAX_SAFE_INTEGER;
/** Events between the first one that is not settled and the last one that is: two billion. */
const SPREAD = 2 ** 31 - 1;

const stateOf = (more: Partial<LaneStateValue>): LaneStateValue => ({
  base: 0,
  position: 9,
  byte: 0,
  delivered: 9,
  rejected: 0,
  expired: 0,
  dropped: {},
  leased: 0,
  ...more,
});

/** Split at random, as strands are. */
const strands = fc
  .array(fc.tuple(fc.nat(), fc.nat(SPREAD), fc.nat(10_000)), { maxLength: STRANDS_MAX - 1 })
  .map((splits) => {
    const all: StrandValue[] = [{ residue: 0, modulus: 1, position: 9, planned: 0 }];
    for (const [pick, offset, planned] of splits) {
      const [strand] = all.splice(pick % all.length, 1) as [StrandValue];
      if (strand.modulus === STRANDS_MAX) all.push(strand);
      else
        for (const residue of [strand.residue, strand.residue + strand.modulus])
          all.push({ residue, modulus: 2 * strand.modulus, position: 9 + offset, planned });
    }
    return all;
  });
const users = fc.uniqueArray(
  fc.record({ hash: fc.integer({ min: 1, max: 2 ** 32 - 1 }), position: fc.integer({ min: 9, max: 9 + SPREAD }) }),
  { minLength: 1, maxLength: PARKED_MAX, selector: ({ hash }) => hash },
);
const byName = (one: StrandValue, other: StrandValue): number =>
  one.modulus - other.modulus || one.residue - other.residue;

test("strands and parked users are read as they were written", () => {
  fc.assert(
    fc.property(strands, users, (all, parked) => {
      const values: ParkedValue[] = parked.map((user) => ({ ...user, failedMs: 61_000 }));
      expect([...(parseStrands(strandsText(all, 9), 9) ?? [])].sort(byName)).toEqual([...all].sort(byName));
      expect(parseParked(parkedText(values, 9), 9)).toEqual(values);
    }),
  );
});

test("of a text that was changed nothing is believed but what could have been written", () => {
  const change = fc.tuple(fc.nat(), fc.nat(3), fc.constantFrom(..."019az +:~/-.eÄ"));
  fc.assert(
    fc.property(strands, users, fc.array(change, { minLength: 1, maxLength: 4 }), (all, parked, changes) => {
      const changed = (text: string): string => {
        let next = text;
        for (const [at, removed, put] of changes) {
          const index = at % (next.length + 1);
          next = next.slice(0, index) + put + next.slice(index + removed);
        }
        return next;
      };
      const text = changed(strandsText(all, 9));
      const state = parseLaneState(stateOf({ strands: text, parked: changed(parkedText(parked.map(open), 9)) }));
      if (state === undefined) return;
      // Each hash is in exactly one strand.
      const read = parseStrands(text, 9) as readonly StrandValue[];
      for (let hash = 0; hash < STRANDS_MAX; hash++)
        expect(read.filter(({ residue, modulus }) => hash % modulus === residue)).toHaveLength(1);
      for (const { position, planned } of read) {
        expect(position).toBeGreaterThanOrEqual(9);
        expect(Number.isSafeInteger(position + planned)).toBe(true);
      }
      const held = parseParked(state.parked as string, 9) as readonly ParkedValue[];
      expect(new Set(held.map(({ hash }) => hash)).size).toBe(held.length);
      for (const { position, hash } of held) {
        expect(position).toBeGreaterThanOrEqual(9);
        expect(hash).toBeLessThan(2 ** 32);
      }
    }),
    { numRuns: 1_000 },
  );
});

const open = (user: Omit<ParkedValue, "failedMs">): ParkedValue => ({ ...user, failedMs: 0 });

test("fields that are of another kind are refused", () => {
  const wrong = fc.oneof(fc.constantFrom(-1, 0.5, Number.NaN, FAR + 1, "", "1", true, null), fc.array(fc.nat()));
  const names = ["strands", "parked", "order", "ahead", "frontier", "dead"] as const;
  fc.assert(
    fc.property(fc.constantFrom(...names), wrong, (name, value) => {
      // Not a number is nothing in a file.
      const text = JSON.stringify({ ...stateOf({}), [name]: value });
      expect(parseLaneState(JSON.parse(text)), text).toBeUndefined();
    }),
  );
  expect(parseLaneState(stateOf({ removing: 1.5 }))).toBeUndefined();
});

test("the longest state is written, and read again with all that matters", async () => {
  const disk = new SimDisk();
  const runtime = { disk, clock: new VirtualClock() };
  const position = FAR - SPREAD - 1;
  const each = Object.fromEntries(DROP_REASONS.map((reason) => [reason, 10 ** 14]));
  const before = { delivered: 10 ** 15, rejected: 10 ** 15, expired: 10 ** 15, dropped: each };
  const all = Array.from({ length: STRANDS_MAX }, (_, residue): StrandValue => {
    return { residue, modulus: STRANDS_MAX, position: position + SPREAD, planned: 10_000 };
  });
  const parked = Array.from({ length: PARKED_MAX }, (_, index): ParkedValue => {
    return { hash: 2 ** 32 - 1 - index, position: position + SPREAD, failedMs: 10 ** 11 };
  });
  const vendors = Array.from({ length: 8 }, (_, index) => ({ name: "launchdarkly", from: position - index }));
  const value: LaneStateValue = {
    base: position - 10 ** 15,
    position,
    byte: position,
    ...before,
    leased: 0,
    strands: strandsText(all, position),
    order: "arrival",
    parked: parkedText(parked, position),
    ahead: SPREAD,
    frontier: position + SPREAD,
    removing: position + SPREAD,
    dead: 10 ** 15,
    unkept: 10 ** 15,
    vendors,
    fates: { from: position - 1_000, runs: [], before, aheadFrom: 10 ** 9 },
  };
  const state = await LaneState.open<LaneStateValue>(disk, "/lanes", "a", () => stateOf({}), parseLaneState);
  const fates = await Fates.open({ directory: "/fates", runtime, tail: fateTailOf(value) });
  // As many runs as the state may hold.
  const rejected: Outcome = { status: "rejected", reason: "no" };
  for (let run = 0; run < 60; run++) fates.settle(run % 2 === 0 ? rejected : { status: "delivered" });
  expect(fates.isLong).toBe(false);
  const errors: unknown[] = [];
  const options = { state, fates, onStateError: (error: unknown) => void errors.push(error) };
  const writer = new StateWriter(options, () => ({ ...value, fates: fates.tail }));
  await writer.write();
  expect(errors).toEqual([]);
  await state.close();
  const again = await LaneState.open<LaneStateValue>(disk, "/lanes", "a", () => stateOf({}), parseLaneState);
  expect(again.initial).toMatchObject({ position, strands: value.strands, vendors: [vendors[7]], dropped: each });
  expect(parseParked(again.initial.parked as string, position)).toEqual(parked.map(open));
  // What became of the single events is in a block.
  const reopened = await Fates.open({ directory: "/fates", runtime, tail: fateTailOf(again.initial) });
  expect(await reopened.at(position - 1_000)).toEqual({ status: "rejected" });
  expect(await reopened.at(position - 999)).toEqual({ status: "delivered" });
});

test("what gets its outcome while a long state makes room is in a block before the state is written", async () => {
  const fates = await Fates.open({
    directory: "/fates",
    runtime: { disk: new SimDisk(), clock: new VirtualClock() },
    tail: fateTailOf(stateOf({})),
  });
  const flush = fates.flush.bind(fates);
  fates.flush = async (options) => {
    await flush(options);
    if (options?.whole === true) fates.settleAt(10, { status: "rejected", reason: "no" });
  };
  const written: LaneStateValue[] = [];
  const state = {
    initial: stateOf({}),
    fits: () => false,
    write: (value: LaneStateValue) => Promise.resolve(void written.push(value)),
    sync: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  await new StateWriter({ state, fates }, () => stateOf({ fates: fates.tail })).write();
  expect(written.map(({ fates: tail }) => tail?.isUnsure)).toEqual([undefined]);
});

test("a parked user whose next event is not known begins where the lane does, never before it", () => {
  const value = stateOf({ position: 9, parked: parkedText([{ hash: 7, position: 6, failedMs: 0 }], 9) });
  expect(parseLaneState(value)).toEqual(value);
  expect(parseParked(value.parked ?? "", 9)).toEqual([{ hash: 7, position: 9, failedMs: 0 }]);
});
