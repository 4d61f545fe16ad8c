/** Work for people to look at leaves half of the time to others, however many look at once. */
import { VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { SharedTurns, Turns } from "../../src/delivery/turns.ts";

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Lets what was deferred run, and then the clock. */
async function pass(clock: VirtualClock, ms: number): Promise<void> {
  for (let n = 0; n < ms; n++) {
    // What is deferred may defer more.
    for (let turn = 0; turn < 5; turn++) await immediate();
    void clock.advance(1);
  }
}

test("one at a time begins, in the order they came, and rests as long as the one before worked", async () => {
  const clock = new VirtualClock(0);
  const turns = new SharedTurns(clock);
  const began: string[] = [];
  const work = async (name: string, ms: number): Promise<void> => {
    await turns.turn();
    began.push(`${name} ${clock.monotonic()}`);
    void clock.advance(ms);
  };
  const all = Promise.all([work("a", 4), work("b", 100), work("c", 0), work("d", 1)]);
  await pass(clock, 60);
  await all;
  // b takes too long: what it leaves to others is bounded all the same.
  expect(began).toEqual(["a 0", "b 8", "c 128", "d 128"]);
});

test("work in parts waits for the turns of others", async () => {
  const clock = new VirtualClock(0);
  const shared = new SharedTurns(clock);
  const parts: string[] = [];
  const work = async (name: string): Promise<void> => {
    const turns = new Turns(clock, { shared });
    for (let part = 0; part < 3; part++) {
      parts.push(`${name}${part}`);
      void clock.advance(5);
      await turns.yield();
    }
  };
  const all = Promise.all([work("a"), work("b")]);
  await pass(clock, 100);
  await all;
  expect(parts).toEqual(["a0", "b0", "a1", "b1", "a2", "b2"]);
});
