/** Which pages the site has, where each is, and how a reader finds it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { withoutCode } from "../markdown/anchors.ts";

export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));
/** Its lists are the navigation. */
export const INDEX = "docs/README.md";

export interface Section {
  readonly title: string;
  readonly groups: readonly Group[];
}

export interface Group {
  /** Empty where the section has one group alone. */
  readonly title: string;
  readonly entries: readonly Entry[];
}

export interface Entry {
  readonly title: string;
  /** Of the page in the repository. */
  readonly file: string;
  /** What the index tells of it; Markdown. */
  readonly about: string;
}

/** Every page of Markdown that the repository has for readers, from its root. */
export function pageFiles(): readonly string[] {
  const packages = readdirSync(join(ROOT, "packages")).map((name) => `packages/${name}/README.md`);
  const top = readdirSync(ROOT).filter((name) => name.endsWith(".md"));
  const deploy = existsSync(join(ROOT, "deploy")) ? markdownUnder("deploy") : [];
  const inNavigation = navigation().flatMap(({ groups }) => groups.flatMap(({ entries }) => entries));
  const all = new Set([
    ...top,
    ...packages,
    ...deploy,
    ...markdownUnder("docs"),
    ...inNavigation.map(({ file }) => file),
  ]);
  all.delete(INDEX);
  return [...all];
}

function markdownUnder(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .map((name) => posix.join(folder, name.replaceAll("\\", "/")))
    .filter((file) => file.endsWith(".md"))
    .toSorted();
}

/** Where a page is on the site: `guide/tutorial.html`. */
export function placeOf(file: string): string {
  if (file === INDEX) return "index.html";
  if (file === "README.md") return "overview.html";
  const inDocs = file.replace(/^docs\//, "").replace(/^packages\/([^/]+)\/README\.md$/, "packages/$1.md");
  return inDocs
    .replace(/(^|\/)README\.md$/, "$1index.md")
    .replace(/\.md$/, ".html")
    .toLowerCase();
}

/** From the headings, lists and links of the index. */
export function navigation(index: string = readFileSync(join(ROOT, INDEX), "utf8")): readonly Section[] {
  const [, ...parts] = withoutCode(index).split(/^## /m);
  return parts.map((part) => {
    const [title = "", ...rest] = part.split("\n");
    const groups: { title: string; entries: Entry[] }[] = [{ title: "", entries: [] }];
    for (const block of rest.join("\n").split(/\n(?=\S)/)) {
      const text = block.replaceAll(/\s+/g, " ").trim();
      if (text.startsWith("- ")) groups.at(-1)?.entries.push(...entriesOf(text.slice(2)));
      else if (text.endsWith(":")) groups.push({ title: text.slice(0, -1), entries: [] });
    }
    return { title: title.trim(), groups: groups.filter(({ entries }) => entries.length > 0) };
  });
}

/** `[In a server](a.md) and [in a function](b.md): how`. */
function entriesOf(item: string): readonly Entry[] {
  const links = [...item.matchAll(/\[([^\]]+)\]\(([^)#]+)\)/g)];
  const last = links.at(-1);
  const about = last === undefined ? "" : item.slice(last.index + last[0].length).replace(/^[:,.]? */, "");
  return links.map(([, title = "", target = ""], index) => ({
    title: title.charAt(0).toUpperCase() + title.slice(1),
    file: posix.join(posix.dirname(INDEX), target),
    about: index === links.length - 1 ? about : "",
  }));
}
