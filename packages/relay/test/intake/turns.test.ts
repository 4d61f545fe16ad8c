import { expect, test } from "vitest";
import { FairQueue } from "../../src/intake/fair-queue.ts";
import { Pool, type Share } from "../../src/intake/shares.ts";
import { Turns } from "../../src/intake/turns.ts";

const KIB = 1_024;
const keyed = new Pool({ maxBytes: 1e9, decoders: 1 });
const keyless = new Pool({ maxBytes: 1e9, decoders: 1, isKeyless: true });

/** Turns that come when the test says so. */
function setUp(): { readonly turns: Turns; readonly errors: unknown[]; come(): boolean } {
  const deferred: (() => void)[] = [];
  const errors: unknown[] = [];
  const turns = new Turns({ defer: (run) => deferred.push(run), onError: (error) => errors.push(error) });
  return {
    turns,
    errors,
    come() {
      const run = deferred.shift();
      run?.();
      return run !== undefined;
    },
  };
}

test("a fair queue gives each share the same bytes, whatever the size of its pieces, and keeps the order within one", () => {
  const queue = new FairQueue<{ readonly share: Share; readonly cost: number; readonly name: string }>();
  const [large, small] = [keyed.share("large"), keyed.share("small")];
  for (let index = 0; index < 4; index++) queue.push({ share: large, cost: 1_024 * KIB, name: `L${index}` });
  for (let index = 0; index < 4_096; index++) queue.push({ share: small, cost: KIB, name: `s${index}` });
  const done = { large: 0, small: 0 };
  const order: string[] = [];
  for (let item = queue.next(); item !== undefined; item = queue.next()) {
    done[item.share.name as "large" | "small"] += item.cost;
    order.push(item.name);
    if (queue.size > 0 && item.share === large) expect(done.small).toBeGreaterThanOrEqual(done.large - 1_024 * KIB);
  }
  expect(order.filter((name) => name.startsWith("L"))).toEqual(["L0", "L1", "L2", "L3"]);
  expect(order.filter((name) => name.startsWith("s"))).toEqual(
    Array.from({ length: 4_096 }, (_, index) => `s${index}`),
  );
  expect([large.waiting, small.waiting, queue.size]).toEqual([0, 0, 0]);
});

test("small bodies are worked on at once until there were many in a turn; then they wait for the next", () => {
  const { turns, come } = setUp();
  const share = keyed.share("a");
  let now = 0;
  while (turns.isNow(share, KIB)) now += 1;
  expect(now).toBe(512);
  expect(setUp().turns.isNow(share, 128 * KIB)).toBe(true);
  // A large one never, however little was done.
  expect(setUp().turns.isNow(share, 129 * KIB)).toBe(false);
  let ran = 0;
  turns.wait(share, KIB, () => (ran += 1));
  // Nothing of a share overtakes what waits of it; another's waits for the turn too.
  expect(turns.isNow(share, KIB)).toBe(false);
  expect(turns.isNow(keyed.share("b"), KIB)).toBe(false);
  expect(turns.waiting).toBe(1);
  come();
  expect(ran).toBe(1);
  expect(turns.isNow(share, KIB)).toBe(true);
  expect(come()).toBe(false);
});

test("large bodies have a turn each, those of several shares one after another", () => {
  const { turns, come } = setUp();
  const ran: string[] = [];
  for (const name of ["a", "a", "b"]) {
    expect(turns.isNow(keyed.share(name), 1_024 * KIB)).toBe(false);
    turns.wait(keyed.share(name), 1_024 * KIB, () => ran.push(name));
  }
  const after: string[] = [];
  while (come()) after.push(ran.join(""));
  expect(after).toEqual(["a", "ab", "aba"]);
});

test("work of strangers waits for that with a key, but for every fourth turn", () => {
  const { turns, come } = setUp();
  const ran: string[] = [];
  for (let index = 0; index < 8; index++) {
    turns.wait(keyless.share("1.2.3.4"), 1_024 * KIB, () => ran.push("-"));
    turns.wait(keyed.share("a"), 1_024 * KIB, () => ran.push("k"));
  }
  while (come());
  expect(ran.join("")).toBe("kkk-kkk-kk------");
});

test("what throws in its turn is reported, and the others have theirs", () => {
  const { turns, errors, come } = setUp();
  let ran = 0;
  turns.wait(keyed.share("a"), KIB, () => {
    throw new Error("a defect");
  });
  turns.wait(keyed.share("a"), KIB, () => (ran += 1));
  while (come());
  expect([ran, errors.length]).toEqual([1, 1]);
});

test("a large body pauses between its steps, a small one does not", async () => {
  const { turns, come } = setUp();
  expect(turns.pause(keyed.share("a"), KIB)).toBeUndefined();
  let passed = false;
  const paused = turns.pause(keyed.share("a"), 1_024 * KIB)?.then(() => (passed = true));
  expect(passed).toBe(false);
  come();
  await paused;
  expect(passed).toBe(true);
});
