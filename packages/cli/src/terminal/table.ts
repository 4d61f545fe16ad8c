/**
 * Tables of text: a line of titles, then a line for each row, columns two spaces apart and without
 * tabs. In a terminal a line fits its width: columns that may are left out, then texts are cut.
 */
import type { Painted, Terminal, Tone } from "./terminal.ts";
import { cellsOf, cut, wrapped } from "./widths.ts";

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  /** Numbers are easier to compare with their last digits below each other. Default `left`. */
  readonly align?: "left" | "right";
  readonly tone?: (row: Row) => Tone;
  /** The fewest characters it is cut to in a narrow terminal. Absent: it is never cut. */
  readonly min?: number;
  /** Left out where the terminal is too narrow for all; the highest first. Absent: never. */
  readonly leaveOut?: number;
  /** Where it is left out, its values are on lines of their own below their rows. */
  readonly below?: boolean;
}

const GAP = "  ";
const BELOW_INDENT = "  ";
/** In a cell without a value, so that programs count the same columns in each line. */
const NOTHING = "-";

/** Titles and rows, safe to print; no lines when there are no rows. */
export function tableLines<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  terminal: Terminal,
): readonly Painted[] {
  if (rows.length === 0) return [];
  const shown = columns
    .map((column) => measured(rows, column, terminal))
    // A column that has nothing to tell takes no room, but in a pipe, where programs count them.
    .filter(({ isEmpty }) => terminal.columns === undefined || !isEmpty);
  const fitting = terminal.columns === undefined ? shown : fitted(shown, terminal.columns);
  const below = shown.filter(
    (one) => one.column.below === true && !fitting.some(({ column }) => column === one.column),
  );
  const lines = [-1, ...rows.keys()].flatMap((row) => [
    lineOf(fitting, row, terminal),
    ...(row === -1 ? [] : below.flatMap((one) => belowLines(one, row, terminal))),
  ]);
  return lines as readonly string[] as readonly Painted[];
}

function belowLines<Row>(
  { cells, tones }: Measured<Row>,
  row: number,
  { paint, columns }: Terminal,
): readonly string[] {
  const text = cells[row] as string;
  if (text === NOTHING) return [];
  const width = columns === undefined ? undefined : columns - BELOW_INDENT.length;
  return wrapped(text, width).map((line) => BELOW_INDENT + paint(line, tones[row]));
}

interface Measured<Row> {
  readonly column: Column<Row>;
  readonly title: string;
  /** Made safe, not yet coloured. */
  readonly cells: readonly string[];
  readonly tones: readonly Tone[];
  readonly isEmpty: boolean;
  readonly width: number;
}

function measured<Row>(rows: readonly Row[], column: Column<Row>, { paint }: Terminal): Measured<Row> {
  const values = rows.map((row) => paint(column.value(row)) as string);
  const cells = values.map((value) => (value === "" ? NOTHING : value));
  return {
    column,
    title: column.title,
    cells,
    tones: rows.map((row) => column.tone?.(row) ?? "plain"),
    isEmpty: values.every((value) => value === ""),
    width: [column.title, ...cells].reduce((most, cell) => Math.max(most, cellsOf(cell)), 0),
  };
}

/** Leaves columns out until the rest fits, cut as far as it may be. */
function fitted<Row>(all: readonly Measured<Row>[], width: number): readonly Measured<Row>[] {
  let shown = all;
  for (;;) {
    const excess = widthOf(shown) - width;
    if (excess <= 0) return shown;
    const room = shown.reduce((sum, one) => sum + roomOf(one), 0);
    const last = shown.reduce((most, { column }) => Math.max(most, column.leaveOut ?? 0), 0);
    if (room >= excess || last === 0) return narrowed(shown, Math.min(excess, room));
    shown = shown.filter(({ column }) => column.leaveOut !== last);
  }
}

function widthOf(shown: readonly { readonly width: number }[]): number {
  return shown.reduce((sum, { width }) => sum + width, 0) + GAP.length * Math.max(0, shown.length - 1);
}

/** How much of its width a column can give. */
function roomOf<Row>({ column: { min, title }, width }: Measured<Row>): number {
  return min === undefined ? 0 : Math.max(0, width - Math.max(min, cellsOf(title)));
}

/** Takes `excess` characters, one by one, from the widest that can give. */
function narrowed<Row>(shown: readonly Measured<Row>[], excess: number): readonly Measured<Row>[] {
  const widths = shown.map(({ width }) => width);
  const left = shown.map(roomOf);
  for (let taken = 0; taken < excess; taken++) {
    let widest = -1;
    for (const [at, width] of widths.entries())
      if ((left[at] as number) > 0 && width > (widths[widest] ?? 0)) widest = at;
    if (widest === -1) break;
    (widths[widest] as number)--;
    (left[widest] as number)--;
  }
  return shown.map((one, at) => ({ ...one, width: widths[at] as number }));
}

/** Row -1 is that of the titles. */
function lineOf<Row>(shown: readonly Measured<Row>[], row: number, { paint }: Terminal): string {
  return shown
    .map(({ column, title, cells, tones, width }, at) => {
      const text = cut(row === -1 ? title : (cells[row] as string), width);
      const space = " ".repeat(Math.max(0, width - cellsOf(text)));
      const painted = paint(text, row === -1 ? "quiet" : (tones[row] as Tone));
      if (column.align === "right") return space + painted;
      // Nothing after the last column: a line that is copied ends with its text.
      return at === shown.length - 1 ? painted : painted + space;
    })
    .join(GAP)
    .trimEnd();
}
