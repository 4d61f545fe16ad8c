/**
 * Every handle ends once, with its own event's outcome: whatever vendors answer, queues hold, and
 * the application does. The oracle is what the vendor said of each event by its number, and what
 * was reported to `onDrop`.
 */
import type { Outcome } from "@waybill/core";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type ClientOptions, type Destination, type Drop, type EventHandle, segment } from "waybill";
import { createClientOn } from "../src/client.ts";
import { hostOf, type Reaction, type ScriptedVendor, scriptedVendor } from "./lib/scripted-vendor.ts";

const REACTIONS: readonly Reaction[] = [
  "take",
  "refuse the bad",
  "refuse the batch",
  "503",
  "429",
  "401",
  "reset",
  "act and reset",
  "hang",
  "throw",
  "reject with nothing",
  "garbage",
];

interface Scenario {
  readonly events: number;
  /** Per destination. */
  readonly scripts: readonly (readonly Reaction[])[];
  readonly options: Partial<ClientOptions>;
  /** Every so many events is refused by vendors; 0 for none. */
  readonly badEvery: number;
  /** Every so many events has the same message id as the others of these; 0 for none. */
  readonly sameIdEvery: number;
  readonly advanceEvery: number;
  readonly advanceMs: number;
  readonly closeAfterMs: number;
}

const arbitraryScenario: fc.Arbitrary<Scenario> = fc.record({
  events: fc.integer({ min: 1, max: 250 }),
  scripts: fc.array(fc.array(fc.constantFrom(...REACTIONS), { maxLength: 12 }), { minLength: 1, maxLength: 3 }),
  options: fc.record({
    flushAt: fc.constantFrom(1, 2, 7, 100, 500),
    flushIntervalMs: fc.constantFrom(1, 250),
    queueMaxEvents: fc.constantFrom(1, 5, 60, 100_000),
    queueMaxBytes: fc.constantFrom(1_000, 10_000, 64 * 1024 * 1024),
    overflow: fc.constantFrom("drop-newest", "drop-oldest", "throw"),
    maxAttempts: fc.constantFrom(1, 3, Number.POSITIVE_INFINITY),
    timeoutMs: fc.constantFrom(50, 10_000),
  }),
  badEvery: fc.constantFrom(0, 1, 3, 10),
  sameIdEvery: fc.constantFrom(0, 0, 2, 9),
  advanceEvery: fc.constantFrom(1, 10, 1_000),
  advanceMs: fc.constantFrom(0, 3, 300, 5_000),
  closeAfterMs: fc.constantFrom(0, 10, 2_000, 70_000),
});

interface Tracked {
  readonly number: number;
  readonly handle: EventHandle;
  /** Asked for at once, later, or only after the close; each more than once. */
  readonly outcomes: Promise<Outcome>[];
}

async function play(scenario: Scenario): Promise<void> {
  const clock = new VirtualClock();
  const vendors = scenario.scripts.map(scriptedVendor);
  const drops: Drop[] = [];
  const client = createClientOn(hostOf(clock, new SeededRandom(7)), {
    destinations: vendors.map((vendor, index) => destinationTo(vendor, index)),
    onDrop: (drop) => drops.push(drop),
    ...scenario.options,
    transport: (request, signal) =>
      (vendors[Number(new URL(request.url).port)] as ScriptedVendor).transport(request, signal),
  });
  const tracked: Tracked[] = [];
  let thrown = 0;
  for (let number = 0; number < scenario.events; number++) {
    const sameId = scenario.sameIdEvery > 0 && number % scenario.sameIdEvery === 0;
    const bad = scenario.badEvery > 0 && number % scenario.badEvery === 0;
    try {
      const handle = client.track({
        userId: "u",
        event: "E",
        properties: { number, bad },
        ...(sameId ? { messageId: "the same" } : {}),
      });
      tracked.push({ number, handle, outcomes: number % 3 === 0 ? [handle.delivered, handle.delivered] : [] });
    } catch {
      thrown += 1;
    }
    if (number % scenario.advanceEvery === scenario.advanceEvery - 1) await clock.advance(scenario.advanceMs);
    // Late, when it may have its outcome already.
    if (number % 20 === 19)
      for (const late of tracked.slice(-20)) if (late.number % 3 === 1) late.outcomes.push(late.handle.delivered);
  }
  await clock.advance(scenario.closeAfterMs);
  const closing = client.close({ deadlineMs: 1_000 });
  await clock.advance(1_000);
  const { destinations: _why, ...summary } = await closing;
  for (const { handle, outcomes } of tracked) outcomes.push(handle.delivered);
  const ends = await Promise.all(
    tracked.map(async ({ number, outcomes }) => {
      const all = await Promise.all(outcomes);
      for (const one of all) expect(one).toEqual(all[0]);
      return { number, outcome: all[0] as Outcome };
    }),
  );
  for (const { number, outcome } of ends) check(outcome, { number, vendors });
  expect(clock.timers, "nothing waits any more").toBe(0);
  // The counts are those of the outcomes, for one destination; for several the sums balance.
  const accounts = Object.values(client.accounts());
  for (const account of accounts) expect(account).toMatchObject({ accepted: scenario.events, balanced: true });
  const { dropped, rejected } = count(drops);
  expect({ dropped: summary.dropped, rejected: summary.rejected }).toEqual({ dropped, rejected });
  if (vendors.length > 1) return;
  const by = (status: Outcome["status"]): number => ends.filter(({ outcome }) => outcome.status === status).length;
  expect(summary).toEqual({
    delivered: by("delivered"),
    rejected: by("rejected"),
    dropped: by("dropped") + thrown,
    left: by("retryable"),
  });
}

function destinationTo({ transport: _transport }: ScriptedVendor, index: number): Destination {
  return segment({ name: `d${index}`, url: `http://vendor.test:${index}`, writeKey: "k" });
}

/** No outcome that the vendor did not say. */
function check(
  outcome: Outcome,
  { number, vendors }: { readonly number: number; readonly vendors: readonly ScriptedVendor[] },
): void {
  const said = vendors.map((vendor) => vendor.said.get(number) ?? []);
  if (outcome.status === "delivered")
    expect(
      said.every((words) => words.includes("taken")),
      `event ${number} was taken by all`,
    ).toBe(true);
  else if (outcome.status === "rejected")
    expect(
      outcome.reason.startsWith("gave up") || said.some((words) => words.includes("refused")),
      `event ${number} was refused by one`,
    ).toBe(true);
  else if (outcome.status === "dropped") expect(outcome.reason).toBe("queue_full");
  else {
    expect(outcome).toEqual({ status: "retryable", reason: "left at close" });
    expect(
      said.every((words) => words.includes("taken")),
      `event ${number} was not taken by all`,
    ).toBe(false);
  }
  // And none that the vendor said is lost, where there is one vendor.
  if (vendors.length === 1 && outcome.status !== "delivered") expect(said[0]).not.toContain("taken");
}

function count(drops: readonly Drop[]): { readonly dropped: number; readonly rejected: number } {
  const rejected = drops.filter(({ reason }) => reason === "rejected").length;
  return { dropped: drops.length - rejected, rejected };
}

test("each handle ends once with its own event's outcome, whatever vendors, queues and closes do", async () => {
  await fc.assert(fc.asyncProperty(arbitraryScenario, play), { numRuns: 150 });
}, 60_000);

test("of thousands of events that are asked late, each has its own outcome, the first ones too", async () => {
  await play({
    events: 4_000,
    scripts: [["503", "refuse the batch", "refuse the bad", "reset"]],
    options: { flushAt: 500, queueMaxEvents: 100_000 },
    badEvery: 2,
    sameIdEvery: 9,
    advanceEvery: 1_500,
    advanceMs: 400,
    closeAfterMs: 70_000,
  });
}, 60_000);

test("a handle that nobody keeps still ends for who waits, and one that is kept keeps no text", async () => {
  const clock = new VirtualClock();
  const vendor = scriptedVendor(["503"]);
  const client = createClientOn(hostOf(clock, new SeededRandom(1)), {
    destinations: [destinationTo(vendor, 0)],
    transport: vendor.transport,
  });
  const ended = client
    .track({ userId: "u", event: "E", properties: { number: 1 } })
    .delivered.then(({ status }) => status);
  const kept = client.track({ userId: "u", event: "E", properties: { number: 2 } });
  await clock.advance(5_000);
  expect(await ended).toBe("delivered");
  expect(Object.keys(kept)).toEqual(["messageId"]);
  expect(await kept.delivered).toEqual({ status: "delivered" });
});
