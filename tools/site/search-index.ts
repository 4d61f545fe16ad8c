/** What the search field finds: each section of each page. It is loaded when the field is used. */
import MiniSearch from "minisearch";
import { headingsOf, withoutCode } from "../markdown/anchors.ts";
import { placeOf } from "./catalogue.ts";
import { SEARCH_OPTIONS, type Searched } from "./search-options.ts";

export function searchIndex(pages: ReadonlyMap<string, string>): MiniSearch<Searched> {
  const index = new MiniSearch<Searched>(SEARCH_OPTIONS);
  for (const [file, markdown] of pages) index.addAll(sectionsOf(file, markdown));
  return index;
}

/** A section has the text up to the next heading, also what is in blocks of code. */
function sectionsOf(file: string, markdown: string): readonly Searched[] {
  const headings = headingsOf(markdown);
  const page = headings[0]?.text ?? file;
  const lines = markdown.split("\n");
  const starts = withoutCode(markdown)
    .split("\n")
    .flatMap((line, index) => (/^#{1,6} /.test(line) ? [index] : []));
  return headings.map(({ text, anchor, level }, index) => ({
    id: level === 1 ? placeOf(file) : `${placeOf(file)}#${anchor}`,
    page,
    heading: text,
    text: plain(lines.slice((starts[index] ?? 0) + 1, starts[index + 1]).join("\n")),
  }));
}

function plain(markdown: string): string {
  return markdown
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replaceAll(/[`*|#>]|---+/g, " ")
    .replaceAll(/\s+/g, " ")
    .trim();
}
