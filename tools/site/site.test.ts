/** The site of the documentation: complete, without dead links, and without another host. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import MiniSearch from "minisearch";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildSite } from "./build.ts";
import { INDEX, navigation, pageFiles, placeOf, ROOT } from "./catalogue.ts";
import { SEARCH_OPTIONS } from "./search-options.ts";

const output = mkdtempSync(join(tmpdir(), "waybill-site-"));
const read = (place: string): string => readFileSync(join(output, place), "utf8");
let files: readonly string[] = [];
let pages: readonly string[] = [];

beforeAll(async () => {
  await buildSite({ output });
  files = readdirSync(output, { recursive: true, encoding: "utf8" });
  pages = files.filter((file) => file.endsWith(".html"));
}, 60_000);
afterAll(() => rmSync(output, { recursive: true, force: true }));

test("each page of Markdown has a place of its own", () => {
  const places = [INDEX, ...pageFiles()].map(placeOf);
  expect(new Set(places).size).toBe(places.length);
  expect(pages.toSorted()).toEqual(places.toSorted());
  expect(placeOf("docs/guide/tutorial.md")).toBe("guide/tutorial.html");
  expect(placeOf("packages/client/README.md")).toBe("packages/client.html");
  expect(placeOf("docs/adr/README.md")).toBe("adr/index.html");
});

test("the navigation has a part for whoever begins and one for each of the three readers", () => {
  const sections = navigation();
  expect(sections.map(({ title }) => title)).toEqual([
    "Start here",
    "Report events from an application",
    "Run a relay",
    "Work on Waybill",
  ]);
  const all = sections.flatMap(({ groups }) => groups.flatMap(({ entries }) => entries.map(({ file }) => file)));
  expect(all).toContain("docs/operating/outage.md");
  for (const place of all.map(placeOf)) {
    const current = read(place).match(/aria-current="page"/g) ?? [];
    expect(current.length, place).toBe(1);
  }
  const home = read("index.html");
  for (const place of all.map(placeOf)) expect(home).toContain(`href="${place}"`);
});

test("each link within the site leads to a file and an anchor that are there", () => {
  const anchors = new Map(
    pages.map((page) => [page, new Set([...read(page).matchAll(/ id="([^"]+)"/g)].map(([, id]) => id))]),
  );
  const dead: string[] = [];
  let checked = 0;
  for (const page of pages)
    for (const [, href = ""] of read(page).matchAll(/(?:href|src)="([^"]*)"/g)) {
      if (/^\w+:/.test(href)) continue;
      const [path = "", anchor] = href.replaceAll("&amp;", "&").split("#", 2);
      const target = path === "" ? page : posix.join(posix.dirname(page), path);
      const isThere = files.includes(target) && (anchor === undefined || anchors.get(target)?.has(anchor) === true);
      if (!isThere) dead.push(`${page}: ${href}`);
      checked++;
    }
  expect(checked).toBeGreaterThan(1_000);
  expect(dead).toEqual([]);
});

test("no page asks another host for anything, and each forbids it", () => {
  for (const page of pages) {
    const html = read(page);
    expect(html, page).toContain(`content="default-src 'none';`);
    expect(html.match(/<(?:script|img|link|iframe)\b[^>]*(?:src|href)="(?:\w+:)?\/\/[^>]*>/g) ?? [], page).toEqual([]);
    expect(html.match(/<script(?![^>]* src=)|<style| style="| on\w+="/g) ?? [], page).toEqual([]);
  }
  for (const asset of ["site.css", "site.js", "theme.js"])
    expect(read(asset)).not.toMatch(/https?:\/\/(?!www\.w3\.org)/);
});

test.each([
  ["a file that is not there", "[x](nowhere.md)", "the link nowhere.md leads nowhere"],
  ["an anchor that is not there", "[x](server.md#nothing)", "the link server.md#nothing leads nowhere"],
  ["an image that is not there", "![x](images/nothing.png)", "there is no image images/nothing.png"],
  ["an image of another host", "![x](https://host.test/x.png)", "there is no image https://host.test/x.png"],
  ["a word that is taken for a tag", "Bearer <token>", "raw HTML: <token>"],
])("%s fails the build", async (_, text, fault) => {
  const texts = new Map([["docs/guide/tutorial.md", `# Tutorial\n\n${text}\n`]]);
  await expect(buildSite({ output: join(output, "faulty"), texts })).rejects.toThrow(
    `docs/guide/tutorial.md: ${fault}`,
  );
});

test("files of the repository that are not pages are linked to where it is published", () => {
  const { repository } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    readonly repository: { readonly url: string };
  };
  const web = repository.url.replace(/^git\+/, "").replace(/\.git$/, "");
  expect(read("operating/config.html")).toContain(`href="${web}/blob/main/packages/relay/config.schema.json"`);
  expect(read("overview.html")).toContain(`href="${web}/tree/main/examples"`);
});

test.each([
  ["disk full", "operating/relay.html#the-disk-is-full-hangs-or-fails-to-sync"],
  ["backup", "operating/backup.html"],
  ["kubernets", "operating/kubernetes.html"],
  ["maxInFlight", "operating/config.html#destinations"],
])("the search for %j finds %s among the first", (query, place) => {
  const text = JSON.parse(/=(".*");\n$/s.exec(read("search-index.js"))?.[1] ?? "") as string;
  const found = MiniSearch.loadJSON(text, SEARCH_OPTIONS).search(query);
  expect(found.slice(0, 5).map(({ id }) => String(id))).toContain(place);
});
