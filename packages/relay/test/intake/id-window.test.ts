import { SeededRandom } from "@waybill/testing";
import { expect, test } from "vitest";
import { type IdHashes, IdWindow } from "../../src/intake/id-window.ts";

const make = (maxIds: number, windowMs = 1_000): IdWindow =>
  new IdWindow({ maxIds, windowMs, seed: Uint32Array.of(1, 2, 3, 4), nowMs: 0 });
const hashOf = (window: IdWindow, id: string, scope = 1): IdHashes => {
  const bytes = Buffer.from(`xx${id}yy`);
  const hashes = { scope, words: new Uint32Array(4) };
  window.hash(bytes, { idStart: 2, idEnd: bytes.length - 2 }, hashes, 0);
  return hashes;
};
const add = (window: IdWindow, id: string, nowMs = 0, scope = 1): boolean =>
  window.add(hashOf(window, id, scope), 0, nowMs);

test("knows an id again, per source, and forgets one that was removed", () => {
  const window = make(1_000);
  expect(add(window, "a")).toBe(true);
  expect(add(window, "a")).toBe(false);
  expect(add(window, "a", 0, 2)).toBe(true);
  expect(add(window, "")).toBe(true);
  window.remove(hashOf(window, "a"), 0);
  expect(add(window, "a")).toBe(true);
});

test("tells ids apart that differ in one character, in length, or in zeros at the end", () => {
  const window = make(100_000);
  for (let index = 0; index < 20_000; index++) expect(add(window, `id-${index}`)).toBe(true);
  for (const id of ["a", "a\0", "a\0\0", "\0", "aaaa", "aaaaa"]) expect(add(window, id)).toBe(true);
});

test("remembers at least half of maxIds, and at least half the window", () => {
  const window = make(1_000);
  for (let index = 0; index < 10_000; index++) add(window, `id-${index}`);
  for (let index = 9_500; index < 10_000; index++) expect(add(window, `id-${index}`)).toBe(false);
  expect(add(window, "id-1")).toBe(true);
  const timed = make(1_000, 1_000);
  add(timed, "early", 0);
  expect(add(timed, "early", 499)).toBe(false);
  expect(add(timed, "early", 600)).toBe(false);
  add(timed, "late", 1_200);
  expect(add(timed, "early", 1_900)).toBe(true);
});

test("agrees with a set of texts under random adds and removes", () => {
  const random = new SeededRandom(11);
  const window = make(100_000, 1e12);
  const model = new Set<string>();
  for (let step = 0; step < 20_000; step++) {
    const id = `m-${random.below(3_000)}`;
    if (random.chance(0.2)) {
      window.remove(hashOf(window, id), 0);
      model.delete(id);
    } else {
      expect(add(window, id)).toBe(!model.has(id));
      model.add(id);
    }
  }
});

test("tells where an id was stored, once that is known of its request", () => {
  const window = make(1_000);
  const [a, b, c] = [hashOf(window, "a"), hashOf(window, "b"), hashOf(window, "c")];
  window.addAt(a, 0, 0, 0);
  window.addAt(b, 0, 0, 3);
  const ticket = window.endRequest();
  expect(window.positionOf(a, 0)).toBeUndefined();
  window.settle(ticket as number, 0);
  expect([window.positionOf(a, 0), window.positionOf(b, 0)]).toEqual([0, 3]);
  window.add(c, 0, 0, 2 ** 40);
  expect(window.positionOf(c, 0)).toBe(2 ** 40);
  window.remove(a, 0);
  expect(window.positionOf(a, 0)).toBeUndefined();
});

test("a request that adds no id has no ticket, so that none runs out", () => {
  const window = make(8);
  const a = hashOf(window, "a");
  window.addAt(a, 0, 0, 0);
  const ticket = window.endRequest() as number;
  for (let time = 0; time < 100; time++) {
    expect(window.addAt(a, 0, 0, 0)).toBe(false);
    expect(window.endRequest()).toBeUndefined();
  }
  window.settle(ticket, 7);
  expect(window.positionOf(a, 0)).toBe(7);
});

test("places are reported as in a map of texts, over many turns and whatever order the answers of the disk come in", () => {
  const random = new SeededRandom(5);
  const window = make(64, 1e12);
  const waiting: { readonly ticket: number; readonly first: number; readonly ids: readonly string[] }[] = [];
  const stored = new Map<string, number>();
  let next = 0;
  let position = 0;
  for (let request = 0; request < 2_000; request++) {
    const ids = Array.from({ length: 1 + random.below(40) }, () => `t-${next++}`);
    for (const [place, id] of ids.entries()) window.addAt(hashOf(window, id), 0, 0, place);
    waiting.push({ ticket: window.endRequest() as number, first: position, ids });
    position += ids.length;
    while (waiting.length > random.below(4)) {
      const [settled] = waiting.splice(random.below(waiting.length), 1);
      if (settled === undefined) break;
      window.settle(settled.ticket, settled.first);
      for (const [place, id] of settled.ids.entries()) stored.set(id, settled.first + place);
    }
    // At least half of maxIds is remembered.
    for (let back = 1; back <= Math.min(20, next); back++) {
      const id = `t-${next - back}`;
      expect(window.positionOf(hashOf(window, id), 0)).toBe(stored.get(id));
    }
  }
});
