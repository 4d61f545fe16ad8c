/** What is around the text of each page: the head, the navigation, the search. */
import { INDEX, placeOf, type Section } from "./catalogue.ts";
import { escape, type Rendered, relativeTo } from "./render.ts";

export interface LayoutOptions {
  readonly file: string;
  readonly page: Pick<Rendered, "title" | "html" | "headings">;
  readonly sections: readonly Section[];
  readonly version: string;
}

/** Nothing from another host, and nothing within a page that could run. */
const POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'";
const DEEPEST_IN_OUTLINE = 3;
const SHORTEST_OUTLINE = 2;

export function layout({ file, page, sections, version }: LayoutOptions): string {
  const place = placeOf(file);
  const to = (target: string): string => relativeTo(place, target) || "index.html";
  const title = file === INDEX ? "Waybill" : `${page.title} · Waybill`;
  return `<!doctype html>
<html lang="en" data-root="${escape(to("index.html").replace(/index\.html$/, ""))}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${escape(title)}</title>
<link rel="icon" href="${to("icon.svg")}">
<link rel="stylesheet" href="${to("site.css")}">
<script src="${to("theme.js")}"></script>
<script src="${to("site.js")}" defer></script>
</head>
<body>
<a class="skip" href="#text">To the text</a>
<header>
<button class="menu" type="button" aria-label="Navigation" aria-expanded="false" aria-controls="navigation" hidden>☰</button>
<a class="name" href="${to("index.html")}"><img src="${to("icon.svg")}" alt="" width="24" height="24">Waybill <small>${escape(version)}</small></a>
<div class="search" hidden>
<input type="search" placeholder="Search" aria-label="Search these pages" role="combobox" aria-expanded="false" aria-controls="found" aria-autocomplete="list" autocomplete="off" spellcheck="false">
<kbd>/</kbd>
<ul id="found" role="listbox" aria-label="Pages found" hidden></ul>
</div>
<button class="theme" type="button" aria-label="Dark or light" hidden>◐</button>
</header>
<div class="frame${file === INDEX ? " home" : ""}">
<nav id="navigation" aria-label="Pages">
${sections.map((section) => sectionNavigation(section, file)).join("\n")}
</nav>
<main id="text">
<article>
${page.html}</article>
${file === INDEX ? "" : neighbours(sections, file)}
</main>
${file === INDEX ? "" : outline(page)}
</div>
</body>
</html>
`;
}

function sectionNavigation({ title, groups }: Section, file: string): string {
  const isOpen = groups.some(({ entries }) => entries.some((entry) => entry.file === file));
  const lists = groups.map(({ title: group, entries }) => {
    const links = entries.map((entry) => {
      const current = entry.file === file ? ' aria-current="page"' : "";
      return `<li><a href="${relativeTo(placeOf(file), placeOf(entry.file))}"${current}>${escape(entry.title)}</a></li>`;
    });
    return `${group === "" ? "" : `<h3>${escape(group)}</h3>`}<ul>${links.join("")}</ul>`;
  });
  return `<details${isOpen || file === INDEX ? " open" : ""}><summary>${escape(title)}</summary>${lists.join("")}</details>`;
}

function outline({ headings }: LayoutOptions["page"]): string {
  const shown = headings.filter(({ level }) => level > 1 && level <= DEEPEST_IN_OUTLINE);
  if (shown.length < SHORTEST_OUTLINE) return "";
  const items = shown.map(
    ({ level, anchor, text }) => `<li class="level-${level}"><a href="#${anchor}">${escape(text)}</a></li>`,
  );
  return `<aside aria-label="On this page"><h2>On this page</h2><ul>${items.join("")}</ul></aside>`;
}

function neighbours(sections: readonly Section[], file: string): string {
  const all = sections.flatMap(({ groups }) => groups.flatMap(({ entries }) => entries));
  const at = all.findIndex((entry) => entry.file === file);
  if (at === -1) return "";
  const link = (entry: (typeof all)[number] | undefined, rel: "prev" | "next"): string =>
    entry === undefined
      ? "<span></span>"
      : `<a rel="${rel}" href="${relativeTo(placeOf(file), placeOf(entry.file))}"><small>${rel === "prev" ? "Before" : "Next"}</small>${escape(entry.title)}</a>`;
  return `<nav class="neighbours" aria-label="Next pages">${link(all[at - 1], "prev")}${link(all[at + 1], "next")}</nav>`;
}
