/** Texts by the room they take in a terminal, where a character may be two cells wide, or none. */
import stringWidth from "string-width";

const ELLIPSIS = "…";

/** `text`, at most `width` cells wide: what does not fit is replaced by an ellipsis. */
export function cut(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  if (width < 1) return "";
  let kept = "";
  let used = ELLIPSIS.length;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    used += stringWidth(segment);
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
    if (line !== "" && stringWidth(longer) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}
