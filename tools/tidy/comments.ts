import type { Finding } from "./finding.ts";
import { lineOf, type SourceFile } from "./source-file.ts";

/** Columns of comments and prose. */
export const MAX_COLUMNS = 100;

/** Read by a program that wants them on one line. */
const DIRECTIVE = /^\s*(?:\/\/|\/\*|\*)\s*(?:oxlint-|eslint-|biome-ignor[e]|@ts-|knip-|c8 |v8 )/;
/** A row of a table, which cannot be wrapped. */
const TABLE_ROW = /^\s*\*?\s*\|.*\|$/;

/** Lines of comments that go beyond {@link MAX_COLUMNS}, counted from the margin. */
export function overlongComments({ path, text, comments }: SourceFile): readonly Finding[] {
  return comments.flatMap(({ start, end }) => {
    const lineStart = text.lastIndexOf("\n", start - 1) + 1;
    const first = lineOf(text, start);
    return text
      .slice(lineStart, end)
      .split("\n")
      .flatMap((line, index) => {
        const own = index === 0 ? line.slice(start - lineStart) : line;
        return columnsOf(line) > MAX_COLUMNS && canBeWrapped(own) ? [finding(path, first + index, line)] : [];
      });
  });
}

export function columnsOf(line: string): number {
  return [...line].length;
}

function canBeWrapped(line: string): boolean {
  const words = line.replace(/^\s*(?:\/\*+|\*|\/\/)/, "").replace(/\*\/$/, "");
  return !DIRECTIVE.test(line) && !TABLE_ROW.test(line) && /\S\s+\S/.test(words);
}

function finding(file: string, line: number, text: string): Finding {
  const what = `a comment of ${columnsOf(text)} columns`;
  return { check: "comments", file, line, what, remedy: `wrap it at ${MAX_COLUMNS} columns` };
}
