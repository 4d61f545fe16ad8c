import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteWriter } from "../src/byte-writer.ts";

/** The same edits, made slowly. */
function edited(
  text: string,
  { nulls, cuts, replaced }: { nulls: number[][]; cuts: number[][]; replaced: number[] | undefined },
): string {
  const edits = [
    ...cuts.map(([start, end]) => ({ start: start as number, end: end as number, text: "", order: 0 })),
    ...(replaced === undefined
      ? []
      : [{ start: replaced[0] as number, end: replaced[1] as number, text: "<id>", order: 1 }]),
    ...nulls.map(([start, end]) => ({ start: start as number, end: end as number, text: "null", order: 2 })),
  ].toSorted((a, b) => a.start - b.start || a.order - b.order);
  let at = 0;
  let out = "";
  for (const edit of edits) {
    if (edit.start >= at) out += text.slice(at, edit.start) + edit.text;
    at = Math.max(at, edit.end);
  }
  return out + text.slice(at);
}

const pairs = (points: readonly number[]): number[][] => {
  const sorted = [...new Set(points)].toSorted((a, b) => a - b);
  return sorted.flatMap((start, index) =>
    index % 2 === 0 && sorted[index + 1] !== undefined ? [[start, sorted[index + 1] as number]] : [],
  );
};

test("makes the edits of a range as one would by hand, in whatever way they lie", () => {
  const places = fc.array(fc.nat(120), { maxLength: 10 }).map(pairs);
  fc.assert(
    fc.property(places, places, fc.option(fc.tuple(fc.nat(120), fc.nat(10))), (nulls, cuts, replacedAt) => {
      const text = Array.from({ length: 140 }, (_, index) => String.fromCharCode(97 + (index % 26))).join("");
      const replaced = replacedAt === null ? undefined : [replacedAt[0], replacedAt[0] + replacedAt[1] + 1];
      const bytes = Buffer.from(`##${text}##`);
      const shifted = (list: number[][]): number[] => list.flat().map((place) => place + 2);
      const writer = new ByteWriter(0);
      writer.text("é");
      const [start = 0, end = 0] = replaced ?? [];
      writer.copyEdited(
        bytes,
        2,
        142,
        { nonFinite: shifted(nulls), cuts: shifted(cuts) },
        replaced === undefined ? undefined : { start: start + 2, end: end + 2, text: "<id>" },
      );
      writer.byte(0x21);
      expect(Buffer.from(writer.take()).toString()).toBe(`é${edited(text, { nulls, cuts, replaced })}!`);
    }),
    { numRuns: 2_000 },
  );
});
