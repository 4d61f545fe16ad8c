/** Processes that take over a dead lock together, and are killed one after the other. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Contender, temporary } from "./lib/contender.ts";

const START_TOGETHER_MS = 30;

test("of eight processes that take over a dead lock together one wins, each time", { timeout: 60_000 }, async () => {
  const directory = temporary();
  const contenders = Array.from({ length: 8 }, () => new Contender({ temporary: temporary() }));
  for (let round = 0; round < 12; round++) {
    const atMs = Date.now() + (round === 0 ? 0 : START_TOGETHER_MS);
    const answers = await Promise.all(contenders.map((contender) => contender.take(directory, atMs)));
    const winners = answers.flatMap((answer, index) => (answer === "held" ? [index] : []));
    expect(winners, answers.join("\n")).toHaveLength(1);
    for (const answer of answers) expect(answer).toMatch(/^held$|^WAYBILL_LOG_LOCKED Another process is using/);
    const [winner = 0] = winners;
    await contenders[winner]?.kill();
    contenders[winner] = new Contender({ temporary: temporary() });
    // It is running before it is counted in.
    expect(await contenders[winner]?.take(join(directory, "none"))).toContain("does not exist");
  }
  expect(readdirSync(directory)).toEqual([".lock"]);
});
