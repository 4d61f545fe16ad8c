import { check, integer, property, record } from "fast-check";
import { expect, test } from "vitest";
import { ledgerOf } from "../../src/model/ledger.ts";

const account = (parts: {
  readonly delivered: number;
  readonly pending: number;
  readonly rejected: number;
  readonly dropped: number;
  readonly expired: number;
}) => ({
  ...parts,
  accepted: parts.delivered + parts.pending + parts.rejected + parts.dropped + parts.expired,
  droppedByReason: {},
  balanced: true,
});

test("the parts of the bar add up to its whole width, and none that has an event is invisible", () => {
  const events = integer({ min: 0, max: 1_000_000_000 });
  const parts = record({ delivered: events, pending: events, rejected: events, dropped: events, expired: events });
  const result = check(
    property(parts, (given) => {
      const ledger = ledgerOf(account(given));
      const width = ledger.parts.reduce((sum, part) => sum + part.width, 0);
      expect(width).toBeCloseTo(ledger.accepted === 0 ? 0 : 100, 6);
      expect(ledger.parts.reduce((sum, part) => sum + part.events, 0)).toBe(ledger.accepted);
      for (const part of ledger.parts) expect(part.width > 1).toBe(part.events > 0);
    }),
  );
  expect(result.failed, result.failed ? String(result.errorInstance) : "").toBe(false);
});

test("a ledger that does not balance shows by how much", () => {
  const balanced = account({ delivered: 5, pending: 1, rejected: 0, dropped: 0, expired: 0 });
  expect(ledgerOf(balanced).difference).toBe(0);
  expect(ledgerOf({ ...balanced, accepted: 8 }).difference).toBe(2);
});

test("an empty ledger has a bar without parts", () => {
  const { parts } = ledgerOf(account({ delivered: 0, pending: 0, rejected: 0, dropped: 0, expired: 0 }));
  expect(parts.map(({ width }) => width)).toEqual([0, 0, 0, 0, 0]);
});
