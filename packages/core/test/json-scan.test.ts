import { JsonScanner, textEquals } from "@waybill/core";
import fc from "fast-check";
import { expect, test } from "vitest";

const WORDS = ["type", "writeKey", "api_key", "$identify", "a", "messageId"];

/** A text as JSON, each of its characters as itself or as an escape. */
const written = (text: string, escaped: readonly boolean[]): string =>
  [...text]
    .map((character, index) =>
      escaped[index % escaped.length] === true
        ? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
        : JSON.stringify(character).slice(1, -1),
    )
    .join("");

test("knows of any text whether it is a word, as a parser would, however it is escaped", () => {
  const texts = fc.oneof(
    fc.constantFrom(...WORDS, "typ", "types", "Type", ""),
    fc.string({ unit: "binary", maxLength: 12 }),
    fc.tuple(fc.constantFrom(...WORDS), fc.string({ maxLength: 2 })).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(texts, fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }), (text, escaped) => {
      const inside = text.includes("\ud800") ? JSON.stringify(text).slice(1, -1) : written(text, escaped);
      const bytes = Buffer.from(`"${inside}"`);
      const parsed = JSON.parse(bytes.toString()) as string;
      for (const word of WORDS)
        expect(textEquals(bytes, 1, bytes.length - 1, word), `${inside} ${word}`).toBe(parsed === word);
    }),
    { numRuns: 2_000 },
  );
});

test("escapes other than Unicode's are never a word, and a word is looked at no further than it can go", () => {
  const equals = (text: string, word: string): boolean =>
    textEquals(Buffer.from(text), 0, Buffer.byteLength(text), word);
  expect(equals("t\\u0079pe", "type")).toBe(true);
  expect(equals("\\u0074\\u0079\\u0070\\u0065", "type")).toBe(true);
  for (const text of ["ty\\/pe", "ty\\npe", "\\u0074", "type\\u0000", "typ\\u006", "\\u0054ype"])
    expect(equals(text, "type"), text).toBe(false);
  expect(equals(`type${"x".repeat(1e6)}`, "type")).toBe(false);
});

test("bare NaN and infinities are found in order, thousands of them, or refused", () => {
  const tokens = Array.from(
    { length: 10_000 },
    (_, index) => ["NaN", "Infinity", "-Infinity", "1"][index % 4] as string,
  );
  const text = `[${tokens.join(", ")}]`;
  const scanner = new JsonScanner(Buffer.from(text), { allowNonFinite: true });
  expect(scanner.value(0)).toBe(text.length);
  const found = Array.from({ length: scanner.nonFinite.length / 2 }, (_, index) =>
    text.slice(scanner.nonFinite[2 * index], scanner.nonFinite[2 * index + 1]),
  );
  expect(found).toEqual(tokens.filter((token) => token !== "1"));
  expect(new JsonScanner(Buffer.from(text), { allowNonFinite: false }).value(0)).toBe(-1);
  for (const wrong of ["Na", "NaNN", "nan", "Infinit", "-Inf", "--1", "tru", "nulls", "falsey"]) {
    const bytes = Buffer.from(`[${wrong}]`);
    expect(new JsonScanner(bytes, { allowNonFinite: true }).value(0), wrong).toBe(-1);
  }
});
