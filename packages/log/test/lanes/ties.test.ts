/** Events that wait for an id which they tie to their user: as little as order demands. */
import { DELIVERED, type Outcome } from "@waybill/core";
import type { LogBatch, LogRecord, OrderHashes } from "@waybill/log";
import { expect, test } from "vitest";
import { type OpenedStore, openStore, push } from "../lib/log-store.ts";

/** Less than what waits: else the strands would be one at once. */
const LIMITS = { maxEvents: 5, maxBytes: 100_000 };
const LARGE = { maxEvents: 150, maxBytes: 100_000 };
const PARKED: Outcome = { status: "parked", reason: "500" };
/** As the state has it: a strand of the even order hashes and one of the odd. */
const EVEN_AND_ODD = "10 10";
const ROUND_TRIP_MS = 20;

/** `4+1`: of the order hash 4, ties 1 to it. */
function orderOf({ body }: LogRecord): OrderHashes {
  const events = Buffer.from(body)
    .toString()
    .split(",")
    .map((text) => text.split("+").map(Number));
  const ties = Uint32Array.from(events, ([, tie = 0]) => tie);
  return {
    hashes: Uint32Array.from(events, ([hash]) => hash as number),
    ties: ties.some((tie) => tie > 0) ? ties : undefined,
  };
}

async function storeOf(texts: readonly string[], strands?: string): Promise<OpenedStore> {
  const opened = await openStore({
    delivery: { order: "user", orderOf, maxInFlight: () => 8 },
    segmentMaxBytes: 1_000_000,
    changed: (state) => (strands === undefined ? state : { ...state, strands, order: "user" }),
  });
  await push(opened.log, texts);
  return opened;
}

async function lease({ store }: OpenedStore, limits = LIMITS): Promise<LogBatch | undefined> {
  return (await store.lease(limits)) as LogBatch | undefined;
}

function textsOf(batch: LogBatch | undefined): string[] {
  return Array.from({ length: batch?.count ?? 0 }, (_, at) => Buffer.from((batch as LogBatch).event(at)).toString());
}

async function settle({ store }: OpenedStore, batch: LogBatch, outcome: (text: string) => Outcome = () => DELIVERED) {
  await store.settle(batch, textsOf(batch).map(outcome));
}

test("an event waits for no one where the id that it ties has nothing in front of it", async () => {
  const opened = await storeOf(["2", "4+3", "6", "3", "1"], EVEN_AND_ODD);
  expect(textsOf(await lease(opened))).toEqual(["2", "4+3", "6"]);
  expect(textsOf(await lease(opened))).toEqual(["3", "1"]);
  expect(opened.store.shape.parkedUsers).toBe(0);
});

test("one that waits leaves its batch to the others, and goes as soon as it may", async () => {
  const opened = await storeOf(["1", "2", "4+1", "6", "4", "8"], EVEN_AND_ODD);
  const odd = await lease(opened);
  expect(textsOf(odd)).toEqual(["1"]);
  expect(textsOf(await lease(opened))).toEqual(["2", "6", "8"]);
  expect(await lease(opened)).toBeUndefined();
  await settle(opened, odd as LogBatch);
  expect(textsOf(await lease(opened))).toEqual(["4+1", "4"]);
});

test("what is left of its batch is filled up with no event that may not be in it", async () => {
  const opened = await storeOf(["1", "4+1", "2"], EVEN_AND_ODD);
  await push(opened.log, ["6", "8"], "of another context");
  await lease(opened);
  expect(textsOf(await lease(opened))).toEqual(["2"]);

  const small = await storeOf(["1", "4+1", "2", "22222222", "6"], EVEN_AND_ODD);
  const limits = { maxEvents: 5, maxBytes: 8 };
  await lease(small, limits);
  expect(textsOf(await lease(small, limits))).toEqual(["2"]);
});

test("but not where an earlier event of its user is in the batch", async () => {
  const opened = await storeOf(["1", "4", "4+1", "6", "8"], EVEN_AND_ODD);
  await lease(opened);
  const even = await lease(opened);
  expect(textsOf(even)).toEqual(["4"]);
  await settle(opened, even as LogBatch);
  expect(textsOf(await lease(opened))).toEqual(["6", "8"]);
  expect(opened.store.shape.parkedUsers).toBe(1);
});

/** Events of so many users who were somebody else before: each of two. */
const signUps = (users: number): string[] =>
  Array.from({ length: users }, (_, user) => [`${2 * user + 101}`, `${2 * user + 100}+${2 * user + 101}`]).flat();

test("a strand in which many events wait for others of it does not become two", async () => {
  for (const [texts, strands] of [
    [signUps(200), 1],
    [signUps(200).map((text) => text.split("+")[0] as string), 2],
  ] as const) {
    const opened = await storeOf(texts);
    const batch = (await lease(opened, { ...LIMITS, maxEvents: 10 })) as LogBatch;
    await opened.clock.advance(ROUND_TRIP_MS);
    await settle(opened, batch);
    expect(opened.store.shape.strands).toBe(strands);
  }
});

async function drain(opened: OpenedStore, limits = LIMITS, outcome?: (text: string) => Outcome): Promise<string[]> {
  const sent: string[] = [];
  for (;;) {
    const batches: LogBatch[] = [];
    for (let batch = await lease(opened, limits); batch !== undefined; batch = await lease(opened, limits))
      batches.push(batch);
    if (batches.length === 0) return sent;
    for (const batch of batches) {
      sent.push(...textsOf(batch));
      await settle(opened, batch, outcome);
    }
  }
}

/** The first 200 events of the odd strand are on their way; the even strand waits for them. */
async function fullyTied(): Promise<{ readonly opened: OpenedStore; readonly odd: LogBatch }> {
  const opened = await storeOf(signUps(200), EVEN_AND_ODD);
  const odd = (await lease(opened, LARGE)) as LogBatch;
  expect(odd.count).toBe(LARGE.maxEvents);
  expect(await lease(opened, LARGE)).toBeUndefined();
  expect(opened.store.shape).toMatchObject({ strands: 2, parkedUsers: 48 });
  // Not read before the strands have nothing left.
  await push(opened.log, ["2"]);
  return { opened, odd };
}

test("where more users wait than may, the strands become one before more is read", async () => {
  const { opened, odd } = await fullyTied();
  await push(opened.log, new Array<string>(300).fill("2"));
  await settle(opened, odd);
  const sent: string[] = [];
  const events = 400 + 1 - odd.count;
  const strands: number[] = [];
  for (let batch = await lease(opened); batch !== undefined; batch = await lease(opened)) {
    // The first one of what was not read.
    if (sent.length === events - 1) strands.push(opened.store.shape.strands);
    sent.push(...textsOf(batch));
    await settle(opened, batch);
  }
  expect(strands).toEqual([1]);
  expect(sent).toHaveLength(events + 300);
});

test("but not while one of them fails: that would hold up what is not read yet", async () => {
  const { opened, odd } = await fullyTied();
  const fails = (text: string): Outcome => (text === "101" ? PARKED : DELIVERED);
  await settle(opened, odd, fails);
  expect(await drain(opened, LIMITS, fails)).toContain("2");
  expect(opened.store.pending()).toMatchObject({ events: 2, held: 2 });
});

test("what a tie joins in a batch has one order hash, also in its parts: none of it is sent before the rest", async () => {
  const opened = await storeOf(["1", "3", "2", "2+1", "5", "2"]);
  const batch = (await lease(opened, LARGE)) as LogBatch;
  const hashes = Array.from({ length: batch.count }, (_, at) => batch.orderHash(at));
  const joined = hashes[0];
  expect(hashes).toEqual([joined, 3, joined, joined, 5, joined]);
  expect(batch.slice(3, 5).orderHash(0)).toBe(joined);
});
