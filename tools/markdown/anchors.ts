/** Headings of a Markdown page and the anchors that GitHub, and our site, give them. */

export interface Heading {
  readonly level: number;
  readonly text: string;
  readonly anchor: string;
}

const FENCED = /^(`{3,}|~{3,})[^\n]*\n[\s\S]*?^\1`*$/gm;

/** The page with as many lines and without its blocks of code. */
export function withoutCode(markdown: string): string {
  return markdown.replaceAll(FENCED, (block) => block.replaceAll(/[^\n]/g, ""));
}

export function headingsOf(markdown: string): readonly Heading[] {
  const taken = new Map<string, number>();
  return [...withoutCode(markdown).matchAll(/^(#{1,6}) +(.+?) *#*$/gm)].map(([, hashes = "", written = ""]) => {
    const text = plainText(written);
    const anchor = anchorOf(text);
    const times = taken.get(anchor) ?? 0;
    taken.set(anchor, times + 1);
    return { level: hashes.length, text, anchor: times === 0 ? anchor : `${anchor}-${times}` };
  });
}

/** Of the first heading with that text. */
function anchorOf(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, "")
    .replaceAll(" ", "-");
}

function plainText(markdown: string): string {
  return markdown.replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll(/[`*]/g, "");
}

export interface Link {
  /** As it is written, without the anchor; empty for one within the page. */
  readonly target: string;
  readonly anchor: string | undefined;
  readonly line: number;
}

/** Links and images of a page, but for those with a scheme. */
export function linksOf(markdown: string): readonly Link[] {
  const text = withoutCode(markdown).replaceAll(/`[^`\n]*`/g, (code) => " ".repeat(code.length));
  return [...text.matchAll(/\]\(\s*([^)\s]+)[^)]*\)/g)].flatMap((match) => {
    const [target = "", anchor] = (match[1] as string).split("#", 2);
    if (/^\w+:/.test(target)) return [];
    return [{ target, anchor, line: text.slice(0, match.index).split("\n").length }];
  });
}
