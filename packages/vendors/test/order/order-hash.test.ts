/** The number by which the events of one person are kept in order. */
import { orderHash } from "@waybill/vendors/registry";
import { expect, test } from "vitest";

const STRANDS_MAX = 64;
const FIXED: readonly (readonly [id: string, hash: number])[] = [
  ["user-1", 2_005_895_916],
  ["user-2", 853_201_105],
  ["a", 444_641_715],
  ["12345", 1_900_009_723],
  ["true", 1_715_307_617],
  ["0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa", 2_126_468_171],
  ["用户", 92_542_928],
  ["😀", 855_877_642],
  ["x".repeat(300), 115_736_690],
  ["", 2_872_998_923],
];

test("the hash of an id never changes: it is in the states of lanes on disk", () => {
  expect(FIXED.map(([id]) => [id, orderHash(id)])).toEqual(FIXED);
});

test("no id has the hash of nobody", () => {
  // FNV-1a of this one is 0, and the finish leaves it so.
  expect(orderHash("ak4md*")).toBe(1);
});

test.each([
  ["user-1 and so on", (index: number) => `user-${index}`],
  ["numbers", (index: number) => String(index)],
  ["numbers far apart", (index: number) => String(index * 64_000)],
  ["mail addresses", (index: number) => `person.${index}@example.com`],
  ["UUIDs of version 7", (index: number) => `0198c0de-7a11-7c3e-9f00-${(index * 4096).toString(16).padStart(12, "0")}`],
  ["texts beyond ASCII", (index: number) => `用户${index}`],
] as const)("ids are spread evenly over strands, however many there are: %s", (_name, idOf) => {
  const ids = 10_000;
  for (let strands = 2; strands <= STRANDS_MAX; strands *= 2) {
    const counts = new Array<number>(strands).fill(0);
    for (let index = 1; index <= ids; index++) {
      const strand = orderHash(idOf(index)) % strands;
      counts[strand] = (counts[strand] as number) + 1;
    }
    const even = ids / strands;
    expect(Math.min(...counts) / even, `${strands} strands`).toBeGreaterThan(0.75);
    expect(Math.max(...counts) / even, `${strands} strands`).toBeLessThan(1.25);
  }
});
