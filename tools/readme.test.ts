/**
 * Pages are found from an index, each package has its README, and the READMEs' programs print what
 * they say.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { transformSync } from "esbuild";
import { expect, test } from "vitest";
import { headingsOf, type Link, linksOf as linksIn } from "./markdown/anchors.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const folders = readdirSync(join(ROOT, "packages"));
/**
 * Its program needs a relay at the usual port; `examples/track.ts` is the same and is run by its
 * own test.
 */
const NOT_RUN = ["client"];

function pagesUnder(folder: string): string[] {
  return readdirSync(join(ROOT, folder)).flatMap((name) => {
    const path = `${folder}/${name}`;
    if (statSync(join(ROOT, path)).isDirectory()) return pagesUnder(path);
    return name.endsWith(".md") ? [path] : [];
  });
}

/** Files that a page links to, from the root; not those of the web. */
function linksOf(page: string): readonly (Link & { readonly file: string })[] {
  return linksIn(read(page)).map((link) => ({
    ...link,
    file: link.target === "" ? page : relative(ROOT, join(ROOT, dirname(page), link.target)),
  }));
}

const filesLinkedFrom = (page: string): readonly string[] => linksOf(page).map(({ file }) => file);

test("docs/README.md links to each page of the docs, docs/adr/README.md to each decision", () => {
  const pages = pagesUnder("docs");
  const [decisions, others] = [true, false].map((isDecision) =>
    pages.filter((page) => /^docs\/adr\/\d/.test(page) === isDecision && page !== "docs/README.md"),
  ) as [string[], string[]];
  expect(decisions.length).toBeGreaterThan(9);
  expect(others.length).toBeGreaterThan(10);
  expect(others.filter((page) => !filesLinkedFrom("docs/README.md").includes(page))).toEqual([]);
  expect(decisions.filter((page) => !filesLinkedFrom("docs/adr/README.md").includes(page))).toEqual([]);
});

const OTHER_PAGES = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "CHANGELOG.md",
  "benchmarks/README.md",
];

test("every link of a page leads to a file that is there, and to a heading that it has", () => {
  const pages = [...OTHER_PAGES, ".changeset/README.md", ...pagesUnder("docs")];
  pages.push(...folders.map((folder) => `packages/${folder}/README.md`));
  if (existsSync(join(ROOT, "deploy"))) pages.push(...pagesUnder("deploy"));
  const links = pages.flatMap((page) => linksOf(page).map((link) => ({ page, ...link })));
  expect(links.length).toBeGreaterThan(100);
  expect(links.filter(({ anchor }) => anchor !== undefined).length).toBeGreaterThan(20);
  expect(links.filter((link) => !isThere(link)).map(nameOf)).toEqual([]);
});

function isThere({ file, anchor }: Pick<ReturnType<typeof linksOf>[number], "file" | "anchor">): boolean {
  if (!existsSync(join(ROOT, file))) return false;
  if (anchor === undefined || !file.endsWith(".md")) return true;
  return headingsOf(read(file)).some((heading) => heading.anchor === anchor);
}

function nameOf({ page, line, target, anchor }: Link & { readonly page: string }): string {
  return `${page}:${line}: ${target}${anchor === undefined ? "" : `#${anchor}`}`;
}

test("links and anchors are found as GitHub makes them", () => {
  const page = [
    "# `waybill log` and *more*",
    "## [A link](b.md), twice!",
    "## A link, twice!",
    "```sh",
    "# not a heading [x](y.md)",
    "```",
    "[one](a/b.md#it) `[code](c.md)` ![image](d.png) [web](https://e.test/) [here](#there)",
  ].join("\n");
  expect(headingsOf(page).map(({ anchor }) => anchor)).toEqual([
    "waybill-log-and-more",
    "a-link-twice",
    "a-link-twice-1",
  ]);
  expect(linksIn(page)).toEqual([
    { target: "b.md", anchor: undefined, line: 2 },
    { target: "a/b.md", anchor: "it", line: 7 },
    { target: "d.png", anchor: undefined, line: 7 },
    { target: "", anchor: "there", line: 7 },
  ]);
});

test("each package has a README with its name and what package.json says of it", () => {
  expect(folders.length).toBeGreaterThan(7);
  for (const folder of folders) {
    const { name, description } = JSON.parse(read(`packages/${folder}/package.json`)) as Record<string, string>;
    const readme = read(`packages/${folder}/README.md`);
    expect(readme.split("\n")[0]).toBe(`# ${name}`);
    expect(readme).toContain(description);
  }
});

test("every script that CONTRIBUTING.md, a README or the workflow names is there", () => {
  const { scripts } = JSON.parse(read("package.json")) as { readonly scripts: Readonly<Record<string, string>> };
  const pages = [
    "README.md",
    "CONTRIBUTING.md",
    ".github/PULL_REQUEST_TEMPLATE.md",
    ...folders.map((f) => `packages/${f}/README.md`),
  ];
  const named = pages.flatMap((page) =>
    [...read(page).matchAll(/npm run (?:-s )?([a-z][a-z-]*)/g)].map(([, name]) => name),
  );
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter((name) => !Object.hasOwn(scripts, name as string))).toEqual([]);
  expect(read(".github/workflows/check.yml")).toContain("- run: .ci/run\n");
});

/** What a program promises to print: the text after `// =>`, line by line. */
function promisedBy(program: string): string[] {
  return [...program.matchAll(/\/\/ => (.*)$/gm)].map(([, text]) => text as string);
}

const programs = folders.flatMap((folder) => {
  const [, program] = /```ts\n([\s\S]*?)```/.exec(read(`packages/${folder}/README.md`)) ?? [];
  return program === undefined || NOT_RUN.includes(folder) ? [] : [{ folder, program }];
});

test("there are programs to run", () => expect(programs.length).toBeGreaterThan(4));

test.concurrent.each(programs)(
  "the program in the README of $folder prints what it promises",
  async ({ folder, program }) => {
    // Inside the repository, so that the packages are found; they are the built ones.
    const file = join(ROOT, "build/readme", `${folder}.mjs`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, transformSync(program, { loader: "ts" }).code);
    const { stdout } = await promisify(execFile)(process.execPath, [file]);
    expect(promisedBy(program).length).toBeGreaterThan(0);
    expect(stdout.trimEnd().split("\n")).toEqual(promisedBy(program));
  },
);
