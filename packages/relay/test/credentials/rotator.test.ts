import fc from "fast-check";
import { expect, test } from "vitest";
import {
  acceptedKeys,
  EMPTY_KEY_SET,
  type KeySet,
  type KeySetEvent,
  keySetAfter,
  servingKey,
} from "../../src/credentials/rotator.ts";

const keyOf = fc.constantFrom("a", "b", "c", "d");
const eventOf: fc.Arbitrary<KeySetEvent> = fc.oneof(
  fc.record({
    type: fc.constant("configured" as const),
    keys: fc.uniqueArray(
      fc.oneof(fc.record({ key: keyOf }), fc.record({ key: keyOf, expiresAtMs: fc.integer({ min: 0, max: 2_000 }) })),
      { minLength: 1, maxLength: 3, selector: ({ key }) => key },
    ),
  }),
  fc.record({ type: fc.constant("rotated" as const), key: keyOf, graceMs: fc.integer({ min: 0, max: 500 }) }),
  fc.record({ type: fc.constant("refused" as const), key: keyOf }),
);
/**
 * Rotations, expiries of grace, refusals of a vendor and reloads in any order, time passing in
 * between.
 */
const historyOf = fc.array(fc.record({ event: eventOf, afterMs: fc.integer({ min: 0, max: 400 }) }), {
  minLength: 1,
  maxLength: 30,
});

test("the keys that are valid always include the one in use, whatever happens in whatever order", () => {
  fc.assert(
    fc.property(historyOf, (history) => {
      let keySet: KeySet = EMPTY_KEY_SET;
      let nowMs = 0;
      for (const { event, afterMs } of history) {
        nowMs += afterMs;
        const before = { accepted: acceptedKeys(keySet, nowMs), keySet };
        keySet = keySetAfter(keySet, event, nowMs);
        const accepted = acceptedKeys(keySet, nowMs);
        const serving = servingKey(keySet, nowMs);
        if (keySet.length > 0) {
          expect(accepted.length).toBeGreaterThan(0);
          expect(accepted).toContain(serving);
        }
        if (event.type === "rotated") {
          expect(serving).toBe(event.key);
          // What was valid stays so through the grace period.
          if (event.graceMs > 0)
            for (const key of before.accepted.filter((one) =>
              before.keySet.some((known) => known.key === one && known.expiresAtMs > nowMs),
            ))
              expect(accepted).toContain(key);
        }
        // A refusal takes no key from those that are accepted.
        if (event.type === "refused" && keySet.length > 0) expect(accepted).toEqual(before.accepted);
        // The same events and the same time give the same answer.
        expect(servingKey(keySet, nowMs)).toBe(serving);
      }
      const later = nowMs + 10_000;
      if (keySet.length > 0) expect(acceptedKeys(keySet, later)).toContain(servingKey(keySet, later));
    }),
    { numRuns: 2_000 },
  );
});

test("a refused new key gives way to the one before it for as long as the grace lasts", () => {
  let keySet = keySetAfter(EMPTY_KEY_SET, { type: "configured", keys: [{ key: "old" }] }, 0);
  keySet = keySetAfter(keySet, { type: "rotated", key: "new", graceMs: 100 }, 10);
  expect(servingKey(keySet, 10)).toBe("new");
  keySet = keySetAfter(keySet, { type: "refused", key: "new" }, 20);
  expect(servingKey(keySet, 20)).toBe("old");
  expect(servingKey(keySet, 110)).toBe("new");
  expect(acceptedKeys(keySet, 110)).toEqual(["new"]);
});

test("the first key of a configuration is the one in use", () => {
  const keySet = keySetAfter(
    EMPTY_KEY_SET,
    { type: "configured", keys: [{ key: "first" }, { key: "second", expiresAtMs: 50 }] },
    0,
  );
  expect(servingKey(keySet, 0)).toBe("first");
  expect(acceptedKeys(keySet, 0).toSorted((a, b) => a.localeCompare(b))).toEqual(["first", "second"]);
  expect(acceptedKeys(keySet, 50)).toEqual(["first"]);
});
