/** Each check is given a small fault and has to find it, and something near to it that is none. */
import { expect, test } from "vitest";
import { PAGES } from "../generate-docs.ts";
import { BANNED_WORDS } from "./banned-words.ts";
import { overlongComments } from "./comments.ts";
import { importCycles } from "./cycles.ts";
import type { Finding } from "./finding.ts";
import { functionLengths, longFunctions, MAX_FUNCTION_LINES } from "./functions.ts";
import { importGraph, manifestOf } from "./import-graph.ts";
import { orphans } from "./orphans.ts";
import { overlongProse } from "./prose.ts";
import { lineOf, parseSource, type SourceFile } from "./source-file.ts";
import { GENERATED, isGenerated } from "./tree.ts";
import { ownedExportsOf, vendorNames } from "./vendor-names.ts";
import { partsOf, wordsInJson, wordsInMarkdown, wordsInPath, wordsInSource } from "./words.ts";

const source = (path: string, text: string): SourceFile => parseSource({ path, text });
const sourcesOf = (texts: Readonly<Record<string, string>>): readonly SourceFile[] =>
  Object.entries(texts).map(([path, text]) => source(path, text));
const found = (findings: readonly Finding[]): readonly string[] =>
  findings.map(({ file, line, what }) => `${file}:${line} ${what}`);
const LONG = "word ".repeat(25).trim();

const MANIFEST = manifestOf({
  path: "packages/a/package.json",
  text: JSON.stringify({
    name: "@waybill/a",
    exports: { ".": { "@waybill/source": "./src/index.ts" }, "./sub": { "@waybill/source": "./src/sub.ts" } },
    imports: { "#host": { "@waybill/source": { node: "./src/node.ts", default: "./src/web.ts" } } },
    bin: { a: "./dist/main.js" },
    scripts: {},
  }),
});

test("an import cycle is found through imports of types, re-exports, import() and names of packages", () => {
  const cyclesOf = (texts: Readonly<Record<string, string>>): readonly string[] =>
    found(importCycles(importGraph(sourcesOf(texts), [MANIFEST])));
  const a = "packages/a/src/index.ts";
  const b = "packages/a/src/sub.ts";
  for (const back of [
    'import type { A } from "./index.ts";',
    'export type { A } from "./index.ts";',
    'export * from "@waybill/a";',
    'type A = typeof import("./index.ts");\nawait import("./index.ts");',
  ])
    expect(cyclesOf({ [a]: '// first\nimport { B } from "@waybill/a/sub";', [b]: back }), back).toEqual([
      `${a}:2 an import cycle: ${a}, ${b}`,
    ]);
  expect(cyclesOf({ [a]: 'import { B } from "./sub.ts";', [b]: "export const B = 1;" })).toEqual([]);
  expect(
    cyclesOf({
      "x/1.ts": 'import "./2.ts"; import "./4.ts";',
      "x/2.ts": 'import "./3.ts";',
      "x/3.ts": 'import "./1.ts";',
      "x/4.ts": 'import "./5.ts";',
      "x/5.ts": 'import "./4.ts"; import "./3.ts";',
    }),
  ).toEqual(["x/1.ts:1 an import cycle: x/1.ts, x/2.ts, x/3.ts, x/4.ts, x/5.ts"]);
  // A program that starts another one does not import it.
  expect(
    cyclesOf({ "x/a.ts": 'new Worker(new URL("./b.js", import.meta.url));', "x/b.ts": 'import "./a.ts";' }),
  ).toEqual([]);
});

test("a file that nothing imports is found, and a source that only tests import", () => {
  const sources = sourcesOf({
    "packages/a/src/index.ts": 'import "#host"; import "./used.ts";',
    "packages/a/src/sub.ts": "",
    "packages/a/src/main.ts": 'new Worker(new URL("./worker.js", import.meta.url));',
    "packages/a/src/worker.ts": "",
    "packages/a/src/node.ts": "",
    "packages/a/src/web.ts": "",
    "packages/a/src/used.ts": "",
    "packages/a/src/lost.ts": 'import "./lost-too.ts";',
    "packages/a/src/lost-too.ts": "",
    "packages/a/src/tested.ts": "",
    "packages/a/test/a.test.ts": 'import "../src/tested.ts"; import "./lib/help.ts";',
    "packages/a/test/lib/help.ts": "",
    "benchmarks/main.ts": "new URL(`./children/${name}.js`, import.meta.url);",
    "benchmarks/children/load.ts": "",
    "benchmarks/left.ts": "",
    "examples/one.ts": "",
  });
  const root = manifestOf({ path: "package.json", text: '{"scripts":{"bench":"node benchmarks/dist/main.js"}}' });
  const manifests = [root, MANIFEST];
  expect(found(orphans(importGraph(sources, manifests), manifests))).toEqual([
    "packages/a/src/lost.ts:1 a file that nothing imports",
    "packages/a/src/lost-too.ts:1 a file that nothing imports",
    "packages/a/src/tested.ts:1 a source that only tests import",
    "benchmarks/left.ts:1 a file that nothing imports",
  ]);
});

test("a function above the limit is found, of any kind", () => {
  const body = (lines: number): string => `{\n${"x();\n".repeat(lines - 2)}}`;
  const long = MAX_FUNCTION_LINES + 1;
  for (const text of [
    `function f() ${body(long)}`,
    `class C {\n  f() ${body(long)}\n}`,
    `class C {\n  #f() ${body(long)}\n}`,
    `const f = async () => ${body(long)};`,
    `const o = { f() ${body(long)} };`,
  ])
    expect(longFunctions(functionLengths([source("a.ts", text)])), text.slice(0, 30)).toHaveLength(1);
  const [longest] = functionLengths([source("a.ts", `\nfunction f() ${body(MAX_FUNCTION_LINES)}`)]);
  expect(longest).toEqual({ file: "a.ts", line: 2, lines: MAX_FUNCTION_LINES });
  expect(longFunctions([longest as NonNullable<typeof longest>])).toEqual([]);
});

test("a comment beyond 100 columns is found in any kind of comment, and what cannot be wrapped is not", () => {
  const linesOf = (text: string): readonly number[] => overlongComments(source("a.ts", text)).map(({ line }) => line);
  expect(linesOf(`// ${LONG}`)).toEqual([1]);
  expect(linesOf(`const a = 1;\n/**\n * ${LONG}\n * short\n * ${LONG} */`)).toEqual([3, 5]);
  expect(linesOf(`const a = 1; /* ${LONG} */`)).toEqual([1]);
  expect(linesOf(`const text = "// ${LONG}";`)).toEqual([]);
  expect(linesOf(`// ${"é".repeat(90)} a`)).toEqual([]);
  expect(linesOf(`// https://vendor.test/${"a".repeat(100)}`)).toEqual([]);
  expect(linesOf(`// biome-ignore lint: ${LONG}`)).toEqual([]);
  expect(linesOf(`/**\n * | ${LONG} |\n */`)).toEqual([]);
});

test("prose beyond 100 columns is found in Markdown, and tables, code and lone links are not", () => {
  const linesOf = (text: string): readonly number[] => overlongProse({ path: "a.md", text }).map(({ line }) => line);
  const link = `https://vendor.test/${"a".repeat(100)}`;
  expect(linesOf(`short\n${LONG}\n- ${LONG}\n> ${LONG}\n# ${LONG}`)).toEqual([2, 3, 4, 5]);
  expect(linesOf(`| ${LONG} |\n\`\`\`\n${LONG}\n\`\`\`\n[a](${link})\n- ${link}\n[a]: ${link}`)).toEqual([]);
  expect(linesOf(`\`\`\`\n${LONG}\n\`\`\`\n${LONG}`)).toEqual([4]);
});

test("the relay names a vendor by a text, a key or an import of what is its own", () => {
  const vendors = ["segment", "trophy"];
  const index = source(
    "packages/vendors/src/index.ts",
    'export { A } from "./trophy/a.ts"; export { trophyB } from "./all.ts"; export { C } from "./c.ts";',
  );
  const ownedExports = ownedExportsOf(index, vendors);
  expect([...ownedExports]).toEqual(["A", "trophyB"]);
  const linesOf = (text: string, path = "packages/relay/src/a.ts"): readonly number[] =>
    vendorNames(source(path, text), { vendors, ownedExports }).map(({ line }) => line);
  const faults = [
    'const a = "trophy";',
    "const a = `segment`;",
    'type A = "segment" | "x";',
    "const a = { trophy: 1 };",
    'switch (a) {\n  case "trophy":\n}',
    'import { A, C } from "@waybill/vendors";',
    'import type { trophyB } from "@waybill/vendors";',
    'export { A } from "@waybill/vendors";',
    'import { C } from "@waybill/vendors/trophy";',
  ];
  for (const fault of faults) expect(linesOf(fault), fault).toHaveLength(1);
  const fine = ['import { C } from "@waybill/vendors";', 'const a = x["segment"];', "const a = { segment };"];
  for (const text of [...fine, "// trophy", 'const a = "trophy and more";']) expect(linesOf(text), text).toEqual([]);
  for (const path of ["packages/relay/src/launchdarkly/a.ts", "packages/core/src/a.ts"])
    expect(linesOf(faults.join("\n"), path), path).toEqual([]);
});

/** What each banned word looks like in a name and in prose. */
const PLANTED: Readonly<Record<string, { readonly name?: string; readonly prose?: string; readonly fine: string }>> = {
  door: { name: "doorOf", prose: "the door of a vendor", fine: "outdoors" },
  "words (of an event)": { name: "ownWords", prose: "in the vendor's own words", fine: "machine words of 64 bits" },
  "form (of an event)": {
    name: "storedForm",
    prose: "the form of an event",
    fine: "an HTML form; form data; a format",
  },
  "say, said (a translation)": {
    name: "sayEvent",
    prose: "each vendor says it in its language; it is said",
    fine: "the header says when",
  },
  book: { name: "bookOf", prose: "the book of a lane", fine: "bookkeeping" },
  "ring (of keys)": { name: "keyRing", prose: "a ring of keys", fine: "a ring buffer" },
  "repeat (a duplicate)": { name: "repeatOf", prose: "a repeat is known", fine: "a sender may repeat the request" },
  "ask, question (to a vendor)": { name: "askVendor", prose: "a question to a vendor", fine: "the question mark" },
  "letter (an id)": { name: "letter", prose: "the letters that wait", fine: "a dead letter; Letter is a vendor" },
  evidence: { name: "evidenceOf", prose: "as evidence", fine: "evident" },
  "accepts (noun)": { name: "accepts", prose: "the p99 of accepts", fine: "it accepts an event" },
  stands: { name: "standsAt", prose: "the key stands in the body", fine: "a stand-in; `*` stands for any text" },
  behind: { name: "behindOf", prose: "what comes behind it", fine: "behind a proxy; a lane that falls behind" },
  told: { name: "isTold", prose: "the sender is told", fine: "to tell" },
  twin: { name: "newTwin", prose: "the vendor's twin", fine: "between" },
  "engine (of delivery)": { prose: "the delivery engine", fine: "the log's engine; engine: kafka" },
  "is no X": { prose: "what is no\n * object", fine: "there is no key, and it is no longer there" },
};

test("each banned word is found in names and in prose, and its neighbours are not", () => {
  expect(Object.keys(PLANTED)).toEqual(BANNED_WORDS.map(({ word }) => word));
  const path = "packages/log/src/a.ts";
  const wordsIn = (text: string): readonly string[] =>
    wordsInSource(source(path, text)).map(({ what }) => what.slice(0, what.lastIndexOf(": ")));
  for (const [word, { name, prose, fine }] of Object.entries(PLANTED)) {
    if (name !== undefined) expect(wordsIn(`const ${name} = 1;`), name).toContain(word);
    if (name !== undefined) expect(wordsIn(`interface A { readonly ${name}: 1 }`), name).toContain(word);
    if (prose !== undefined) {
      expect(wordsIn(`/** ${prose} */`), prose).toContain(word);
      expect(wordsIn(`// ${prose.replace("\n *", "\n//")}`), prose).toContain(word);
      expect(wordsIn(`test(\`${prose.replace("\n *", "")}\`, () => 1);`), prose).toContain(word);
    }
    expect(wordsIn(`/** ${fine} */\nconst a = "${fine}";`), fine).not.toContain(word);
  }
});

test("banned words are found in files' names, keys of JSON, Markdown and names within texts", () => {
  expect(partsOf("#doorOf_the-DOORHandle2")).toEqual(["", "door", "of", "the", "door", "handle2"]);
  expect(found(wordsInPath("packages/a/src/door-intake.ts"))).toEqual([
    "packages/a/src/door-intake.ts:1 door: `door-intake`",
  ]);
  expect(found(wordsInJson({ path: "a.json", text: '{\n"door": 1, "b": "a twin of it" }' }))).toEqual([
    "a.json:2 door: `door`",
    'a.json:2 twin: "{ "door": 1, "b": "a twin of it" }"',
  ]);
  const text = "The door\n\n`twinOf(1)` is no\nobject; [see](door.md)\n\n```ts\nconst ring = 1; // told\n```\n";
  expect(found(wordsInMarkdown({ path: "a.md", text }))).toEqual([
    'a.md:1 door: "The door `twinOf(1)` is no object; [s"',
    "a.md:7 ring (of keys): `ring`",
    "a.md:7 told: `told`",
    "a.md:3 twin: `twinOf`",
    'a.md:3 is no X: "The door `twinOf(1)` is no object; [see](door.md) ```ts"',
  ]);
  const namesIn = (code: string): readonly string[] => found(wordsInSource(source("packages/log/src/a.ts", code)));
  expect(namesIn('count("waybill_door_total", "door/other");')).toEqual([
    "packages/log/src/a.ts:1 door: `door`",
    "packages/log/src/a.ts:1 door: `waybill_door_total`",
  ]);
  expect(namesIn("// A `doorOf` and\nfail('no doorOf is there'); // `a:door`")).toEqual([
    "packages/log/src/a.ts:1 door: `doorOf` (2 times)",
    "packages/log/src/a.ts:2 door: `door`",
  ]);
  expect(namesIn('import { a } from "./door.ts";\nexport const b = "x".repeat(3);')).toEqual([]);
  expect(namesIn("const { booksBalance } = figures;")).toEqual([]);
});

test("lines are counted from 1", () => {
  expect([0, 1, 2, 3].map((offset) => lineOf("a\nb\n", offset))).toEqual([1, 1, 2, 2]);
});

test("what is left out as generated is what the generators write", () => {
  expect(GENERATED.filter((path) => /^(?:deploy|docs)\/|\.schema\.json$/.test(path))).toEqual(
    Object.keys(PAGES).toSorted(),
  );
  expect(["packages/client/etc/index.api.md", "docs/errors.md"].filter(isGenerated)).toHaveLength(2);
  expect(["packages/client/README.md", "docs/errors.mdx", "docs/glossary.md"].filter(isGenerated)).toEqual([]);
});
