/** Whatever goes wrong, a caller gets his own event's answer or none; `.heavy` has more seeds. */
import { expect, test } from "vitest";
import { runExchanges } from "./lib/exchange-chaos.ts";

test("callers are answered in time, each with the answer to his own event, and all is delivered", async () => {
  const results = [await runExchanges(1), await runExchanges(2)];
  for (const kind of ["answered", "nobody"] as const)
    expect(
      results.reduce((sum, result) => sum + result[kind], 0),
      kind,
    ).toBeGreaterThan(0);
});
