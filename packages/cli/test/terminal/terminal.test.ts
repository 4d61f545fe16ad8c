/** Output in terminals of each width and in a pipe, with and without colours. */
import fc from "fast-check";
import stringWidth from "string-width";
import { expect, test } from "vitest";
import { type Column, tableLines } from "../../src/terminal/table.ts";
import { joined, PLAIN, type Terminal, terminalOf } from "../../src/terminal/terminal.ts";
import { agoText, bytesText, durationText, numberText, rateText } from "../../src/terminal/units.ts";
import { cut, wrapped } from "../../src/terminal/widths.ts";

const ESCAPE = "\u001b";

function terminal(columns: number | undefined, env: Record<string, string> = { NO_COLOR: "1" }): Terminal {
  const out = { isTTY: columns !== undefined, columns } as NodeJS.WriteStream;
  return terminalOf({ out, env });
}

test.each([
  [80, {}, true],
  [undefined, {}, false],
  [80, { NO_COLOR: "1" }, false],
  [80, { NO_COLOR: "" }, true],
  [80, { TERM: "dumb" }, false],
  [undefined, { FORCE_COLOR: "1" }, true],
  [undefined, { FORCE_COLOR: "", NO_COLOR: "1" }, true],
  [80, { FORCE_COLOR: "0" }, false],
] as const)("with %s columns and %j colours are %s", (columns, env, colours) => {
  expect(terminal(columns, env).paint("x", "error").includes(ESCAPE)).toBe(colours);
});

test("what is painted cannot steer the terminal", () => {
  const text = terminal(80, {}).paint(`${ESCAPE}[2J\nforged`, "good");
  expect(text).toBe(`${ESCAPE}[32m\\u001b[2J\\u000aforged${ESCAPE}[39m`);
  expect(joined([PLAIN.paint("a"), PLAIN.paint(""), PLAIN.paint("b")], ", ")).toBe("a, b");
});

test("a terminal that does not tell its width has 80 columns", () => {
  expect(terminal(0).columns).toBe(80);
  expect(terminal(120).columns).toBe(120);
  expect(terminal(undefined).columns).toBeUndefined();
});

interface Row {
  readonly name: string;
  readonly events: number;
  readonly why: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "name", value: ({ name }) => name, min: 6 },
  { title: "events", value: ({ events }) => numberText(events), align: "right" },
  { title: "extra", value: () => "extra", leaveOut: 1 },
  { title: "why", value: ({ why }) => why, min: 8, tone: () => "error" },
];
const ROWS: readonly Row[] = [
  { name: "production/segment", events: 18_220, why: "503 for the third time in a row" },
  { name: "日本語", events: 7, why: "" },
];

test("in a pipe nothing is cut, and each line has the same columns without tabs", () => {
  expect(tableLines(ROWS, COLUMNS, PLAIN)).toEqual([
    "name                events  extra  why",
    "production/segment  18,220  extra  503 for the third time in a row",
    "日本語                   7  extra  -",
  ]);
  expect(tableLines([], COLUMNS, PLAIN)).toEqual([]);
});

test("a narrow terminal gets shorter texts first, then fewer columns", () => {
  expect(tableLines(ROWS, COLUMNS, terminal(60))).toEqual([
    "name                events  extra  why",
    "production/segment  18,220  extra  503 for the third time i…",
    "日本語                   7  extra  -",
  ]);
  expect(tableLines(ROWS, COLUMNS, terminal(26))).toEqual([
    "name      events  why",
    "product…  18,220  503 for…",
    "日本語         7  -",
  ]);
});

test("a column without any value is left out of a terminal, not of a pipe", () => {
  const row = [{ name: "a", events: 1, why: "" }];
  expect(tableLines(row, COLUMNS, terminal(80))[0]).toBe("name  events  extra");
  expect(tableLines(row, COLUMNS, PLAIN)[1]).toBe("a          1  extra  -");
});

test("no line is wider than the terminal, whatever the rows have", () => {
  const row = fc.record({
    name: fc.string({ unit: "grapheme" }),
    events: fc.nat(),
    why: fc.string({ unit: "grapheme" }),
  });
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 5 }), fc.integer({ min: 40, max: 120 }), (rows, width) => {
      const lines = tableLines(rows, COLUMNS, terminal(width));
      expect(lines).toHaveLength(rows.length + 1);
      for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(width);
    }),
  );
});

test("texts are cut by the cells they take, and wrapped between words", () => {
  expect(cut("日本語です", 5)).toBe("日本…");
  expect(cut("abc", 3)).toBe("abc");
  expect(cut("abc", 0)).toBe("");
  expect(wrapped("one two three", 7)).toEqual(["one two", "three"]);
  expect(wrapped("one two three", undefined)).toEqual(["one two three"]);
});

test("numbers, rates, sizes and times read as a person would write them", () => {
  expect([numberText(1_234_567), rateText(0), rateText(0.01), rateText(1.25), rateText(1_234.5)]).toEqual([
    "1,234,567",
    "0",
    "<0.1",
    "1.3",
    "1,235",
  ]);
  expect([bytesText(512), bytesText(1_572_864), bytesText(5 * 1_024 ** 4)]).toEqual(["512 bytes", "1.5 MiB", "5 TiB"]);
  expect([durationText(0), durationText(61_000), durationText(5_400_000), durationText(86_400_000 * 3)]).toEqual([
    "0 s",
    "61 s",
    "90 min",
    "3 d",
  ]);
  expect([agoText(0, 1_000), agoText(0, 180_000), agoText(5_000, 0)]).toEqual(["now", "3 min ago", "now"]);
});
