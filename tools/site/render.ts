/** A page of Markdown as HTML, with its links led to the site's pages. */
import { existsSync, statSync } from "node:fs";
import { join, posix } from "node:path";
import hljs from "highlight.js/lib/common";
import { Marked, type Tokens } from "marked";
import { type Heading, headingsOf } from "../markdown/anchors.ts";
import { placeOf, ROOT } from "./catalogue.ts";

export interface RenderOptions {
  /** The page in the repository. */
  readonly file: string;
  readonly markdown: string;
  /** Anchors of each page of the site. */
  readonly anchors: ReadonlyMap<string, ReadonlySet<string>>;
  /** Where files are shown that are not pages of the site. */
  readonly repositoryUrl: string;
}

export interface Rendered {
  readonly title: string;
  readonly html: string;
  readonly headings: readonly Heading[];
  /** Images that the page shows, from the repository's root. */
  readonly images: readonly string[];
  /** What is wrong with the page: links that lead nowhere, raw HTML. */
  readonly faults: readonly string[];
}

export function render({ file, markdown, anchors, repositoryUrl }: RenderOptions): Rendered {
  const headings = headingsOf(markdown);
  const images: string[] = [];
  const faults: string[] = [];
  let next = 0;
  const marked = new Marked();
  marked.use({
    renderer: {
      heading({ tokens, depth }: Tokens.Heading) {
        const anchor = headings[next++]?.anchor ?? "";
        const text = this.parser.parseInline(tokens);
        const link = depth === 1 ? "" : `<a class="anchor" href="#${anchor}" aria-label="Link to this section">#</a>`;
        return `<h${depth} id="${anchor}">${text}${link}</h${depth}>\n`;
      },
      link({ href, tokens }: Tokens.Link) {
        const target = hrefOf(href, { file, anchors, repositoryUrl });
        if (target === undefined) faults.push(`${file}: the link ${href} leads nowhere`);
        return `<a href="${escape(target ?? href)}">${this.parser.parseInline(tokens)}</a>`;
      },
      image({ href, text }: Tokens.Image) {
        const source = posix.join(posix.dirname(file), href);
        if (/^\w+:/.test(href) || !existsSync(join(ROOT, source))) faults.push(`${file}: there is no image ${href}`);
        images.push(source);
        const from = relativeTo(placeOf(file), imagePlaceOf(source));
        return `<img src="${escape(from)}" alt="${escape(text)}" loading="lazy">`;
      },
      code: codeBlock,
      table(token: Tokens.Table) {
        const row = (cells: readonly Tokens.TableCell[], tag: string): string =>
          `<tr>${cells.map((cell) => `<${tag}>${this.parser.parseInline(cell.tokens)}</${tag}>`).join("")}</tr>`;
        const isTitled = token.header.some(({ text }) => text !== "");
        const head = isTitled ? `<thead>${row(token.header, "th")}</thead>` : "";
        const rows = token.rows.map((cells) => row(cells, "td")).join("\n");
        return `<div class="table" tabindex="0" role="region" aria-label="Table"><table>${head}<tbody>${rows}</tbody></table></div>\n`;
      },
      html({ text }: Tokens.HTML | Tokens.Tag) {
        if (text === "<br>") return text;
        if (!/^\s*<!--[^]*-->\s*$/.test(text)) faults.push(`${file}: raw HTML: ${text.trim()}`);
        return "";
      },
    },
  });
  const html = marked.parse(markdown, { async: false });
  return { title: headings[0]?.text ?? file, html, headings, images, faults };
}

/** `file=NAME` is a file to write; `background` a terminal of its own; `output` what is printed. */
function codeBlock({ text, lang = "" }: Tokens.Code): string {
  const [language = "", mark = ""] = lang.split(" ");
  const code = hljs.getLanguage(language) === undefined ? escape(text) : hljs.highlight(text, { language }).value;
  const label = mark.startsWith("file=") ? mark.slice("file=".length) : (LABELS.get(mark) ?? "");
  const caption = label === "" ? "" : `<figcaption>${escape(label)}</figcaption>`;
  return `<figure class="code ${mark === "output" ? "output" : ""}">${caption}<pre tabindex="0"><code>${code}</code></pre></figure>\n`;
}

const LABELS: ReadonlyMap<string, string> = new Map([
  ["background", "in a terminal of its own"],
  ["again", "until it prints what follows"],
  ["output", "prints"],
]);

/** `undefined` for what is not there. */
function hrefOf(
  href: string,
  { file, anchors, repositoryUrl }: Pick<RenderOptions, "file" | "anchors" | "repositoryUrl">,
): string | undefined {
  if (/^\w+:/.test(href)) return href;
  const [path = "", anchor] = href.split("#", 2);
  const target = path === "" ? file : posix.join(posix.dirname(file), path).replace(/\/$/, "");
  const known = anchors.get(target);
  if (known !== undefined) {
    if (anchor !== undefined && !known.has(anchor)) return undefined;
    const to = path === "" ? "" : relativeTo(placeOf(file), placeOf(target));
    return anchor === undefined ? to : `${to}#${anchor}`;
  }
  if (!existsSync(join(ROOT, target))) return undefined;
  const kind = statSync(join(ROOT, target)).isDirectory() ? "tree" : "blob";
  return `${repositoryUrl}/${kind}/main/${target}${anchor === undefined ? "" : `#${anchor}`}`;
}

/** From one page of the site to another file of it. */
export function relativeTo(page: string, target: string): string {
  return posix.relative(posix.dirname(page), target);
}

export function imagePlaceOf(source: string): string {
  return `images/${posix.basename(source)}`;
}

export function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
