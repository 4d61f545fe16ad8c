import { columnsOf, MAX_COLUMNS } from "./comments.ts";
import type { Finding } from "./finding.ts";
import type { TextFile } from "./source-file.ts";

const FENCE = /^\s*(?:```|~~~)/;
const TABLE_ROW = /^\s*(?:> )?\|/;
/** Nothing but a link or an address, perhaps as an item of a list. */
const LINK_ONLY = /^\s*(?:[-*>] |\d+\. )?(?:\[[^\]]*\]: ?\S+|!?\[[^\]]*\]\([^)]*\)|<?https?:\S+>?)[.,;]?$/;

/** Lines of Markdown prose that go beyond {@link MAX_COLUMNS}; tables, code and lone links may. */
export function overlongProse({ path, text }: TextFile): readonly Finding[] {
  const found: Finding[] = [];
  let isCode = false;
  for (const [index, line] of text.split("\n").entries()) {
    if (FENCE.test(line)) isCode = !isCode;
    else if (!isCode && columnsOf(line) > MAX_COLUMNS && !TABLE_ROW.test(line) && !LINK_ONLY.test(line))
      found.push({
        check: "prose",
        file: path,
        line: index + 1,
        what: `a line of ${columnsOf(line)} columns`,
        remedy: line.startsWith("#") ? "shorten the heading" : `wrap it at ${MAX_COLUMNS} columns`,
      });
  }
  return found;
}
