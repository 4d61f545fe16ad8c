/** What is sent beside a destination's lane. */
import { DELIVERED, outcomesOf, type SendContext, type Sender, TextBatch } from "@waybill/core";
import { VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { Guests } from "../../src/delivery/guests.ts";

const BATCH = new TextBatch({ key: "k", metadata: "", oldestAtMs: 0, texts: ["{}"], sizes: [2] });
const TAKES_MS = 2_000;

function setUp(): {
  readonly clock: VirtualClock;
  readonly guests: Guests;
  readonly soon: AbortController;
  readonly send: () => { readonly soon: () => AbortSignal | undefined; readonly sent: Promise<unknown> };
} {
  const clock = new VirtualClock();
  const guests = new Guests();
  const soon = new AbortController();
  const watch = { attempted: () => undefined, waiting: () => undefined, resumed: () => undefined };
  const context: SendContext = { soon: soon.signal, now: new AbortController().signal, watch };
  const send = (): ReturnType<ReturnType<typeof setUp>["send"]> => {
    let given: AbortSignal | undefined;
    const sender: Sender = {
      send: async (batch, { soon: signal }) => {
        given = signal;
        await new Promise<void>((resolve) => void clock.after(TAKES_MS, resolve));
        return outcomesOf(batch.count, DELIVERED);
      },
    };
    return { sent: guests.senderOf(sender).send(BATCH, context), soon: () => given };
  };
  return { clock, guests, soon, send };
}

test("a pause makes the attempts in flight the last ones, as the end of the replay itself does", async () => {
  const { clock, guests, soon, send } = setUp();
  const first = send();
  expect([guests.arePaused, first.soon()?.aborted]).toEqual([false, false]);
  guests.pause();
  expect([guests.arePaused, first.soon()?.aborted, send().soon()?.aborted]).toEqual([true, true, true]);
  guests.resume();
  const next = send();
  expect([guests.arePaused, next.soon()?.aborted]).toEqual([false, false]);
  soon.abort();
  expect(next.soon()?.aborted).toBe(true);
  await clock.advance(TAKES_MS);
  expect(await Promise.all([first.sent, next.sent])).toEqual([[DELIVERED], [DELIVERED]]);
});

test.each([
  [5_000, TAKES_MS],
  [500, 500],
])("an end within %i ms waits for what is in flight: %i ms", async (deadlineMs, waitsMs) => {
  const { clock, guests, send } = setUp();
  const { sent } = send();
  const began = clock.monotonic();
  let endedAtMs: number | undefined;
  void guests.end(clock, deadlineMs).then(() => (endedAtMs = clock.monotonic() - began));
  await clock.advance(waitsMs - 1);
  expect(endedAtMs).toBeUndefined();
  await clock.advance(TAKES_MS);
  expect(endedAtMs).toBe(waitsMs);
  await sent;
  await guests.end(clock, deadlineMs);
});
