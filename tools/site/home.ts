/** The first page: what Waybill is, and the pages for each of the three readers. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Marked } from "marked";
import { INDEX, placeOf, ROOT, type Section } from "./catalogue.ts";
import { escape, relativeTo } from "./render.ts";

/** The first bold line of the README is what Waybill is, the paragraph after it why. */
export function homePage(sections: readonly Section[]): string {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const [, what = "", why = ""] = /^\*\*([^*]+)\*\*\n\n([^]*?)\n\n/m.exec(readme) ?? [];
  const to = (file: string): string => relativeTo(placeOf(INDEX), placeOf(file));
  // What the first section has is above the lists.
  const lists = sections.slice(1).map(
    ({ title, groups }) => `<section class="reader"><h2>${escape(title)}</h2>
${groups.map((group) => `${group.title === "" ? "" : `<h3>${escape(group.title)}</h3>`}<ul>${group.entries.map((entry) => `<li><a href="${to(entry.file)}">${escape(entry.title)}</a>${entry.about === "" ? "" : `<span>${inline(entry.about)}</span>`}</li>`).join("")}</ul>`).join("\n")}
</section>`,
  );
  return `<div class="what">
<h1>${escape(what)}</h1>
<p>${inline(why.replace(/ It has two parts:$/, ""))}</p>
<p class="actions"><a class="first" href="${to("docs/guide/tutorial.md")}">Start: the tutorial, ten minutes</a>
<a href="${to("README.md")}">What it is</a></p>
<pre tabindex="0"><code>npx @waybill/relay dev   <span class="hljs-comment"># a relay with sample events, to look at</span></code></pre>
</div>
<div class="readers">${lists.join("\n")}</div>
`;
}

/** Descriptions have links to pages that their own lists have. */
function inline(markdown: string): string {
  return new Marked().parseInline(markdown.replaceAll(/\[([^\]]+)\]\([^)]*\)/g, "$1"), { async: false });
}
