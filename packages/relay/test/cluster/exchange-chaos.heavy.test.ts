/** As `exchange-chaos.test.ts`, from more seeds. */
import { expect, test } from "vitest";
import { runExchanges } from "./lib/exchange-chaos.ts";

const SEEDS = Array.from({ length: 40 }, (_, index) => 100 + index);

test.each(SEEDS)("seed %i: callers are answered in time, with the answer to their own event", async (seed) => {
  const { stored, answered } = await runExchanges(seed);
  expect(answered).toBeLessThanOrEqual(stored);
});
