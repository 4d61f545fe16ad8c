import { SeededRandom, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { RelayClock } from "./relay-clock.ts";

test("a timer comes when its time has come, also after the machine was stopped for fractions", async () => {
  const random = new SeededRandom(1);
  const base = new VirtualClock();
  const clock = new RelayClock(base);
  clock.stop("machine");
  await base.advance(10_000_000 + random.next());
  clock.go();
  for (let round = 0; round < 1_000; round++) {
    await base.advance(1_000 * random.next());
    clock.stop("machine");
    await base.advance(random.next());
    clock.go();
    const dueAt = clock.monotonic() + 10 * random.next();
    let isOver = false;
    clock.after(dueAt - clock.monotonic(), () => {
      isOver = true;
      expect(clock.monotonic()).toBeGreaterThanOrEqual(dueAt);
    });
    await base.advance(11);
    expect(isOver).toBe(true);
  }
});
