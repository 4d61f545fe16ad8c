/** Texts by the room they take in a terminal, where a character may be two cells wide, or none. */
import stringWidth from "string-width";

const ELLIPSIS = "…";
/** Each of these takes one cell: most texts have no others, and need no look at each character. */
const NARROW = /^[\x20-\x7e]*$/;

/** How many cells a text takes. */
export function cellsOf(text: string): number {
  return NARROW.test(text) ? text.length : stringWidth(text);
}

/** `text`, at most `width` cells wide: what does not fit is replaced by an ellipsis. */
export function cut(text: string, width: number): string {
  if (cellsOf(text) <= width) return text;
  if (width < 1) return "";
  let kept = "";
  let used = ELLIPSIS.length;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    used += cellsOf(segment);
    if (used > width) break;
    kept += segment;
  }
  return kept.trimEnd() + ELLIPSIS;
}

/** The lines of a text, broken at spaces: each at most `width` cells wide where it can be. */
export function wrapped(text: string, width: number | undefined): readonly string[] {
  if (width === undefined) return [text];
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && cellsOf(longer) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}
