/**
 * The house rules that a machine can check. Each test counts what it saw and fails when that was
 * too little, so that none of them can pass by looking at nothing.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { VENDORS } from "@waybill/vendors/registry";
import { expect, test } from "vitest";
import { MAX_FUNCTION_LINES } from "./tidy/functions.ts";
import { type Figures, report } from "./tidy/report.ts";
import { readTree } from "./tidy/tree.ts";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");

/** Which package may import which; arrows point down only. Everything else is forbidden. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "@waybill/core": [],
  "@waybill/vendors": ["@waybill/core"],
  "@waybill/node": ["@waybill/core"],
  "@waybill/log": ["@waybill/core"],
  "@waybill/log-kafka": ["@waybill/core", "@waybill/log"],
  waybill: ["@waybill/core", "@waybill/vendors", "@waybill/node", "@waybill/log"],
  "@waybill/testing": ["@waybill/core", "@waybill/vendors", "@waybill/log", "@waybill/log-kafka"],
  "@waybill/relay": ["@waybill/core", "@waybill/vendors", "@waybill/log", "@waybill/log-kafka", "@waybill/node"],
  "@waybill/cli": [
    "@waybill/core",
    "@waybill/vendors",
    "@waybill/log",
    "@waybill/log-kafka",
    "@waybill/node",
    "@waybill/relay",
    "@waybill/testing",
    "waybill",
  ],
  "@waybill/page": ["@waybill/relay"],
};
/** Packages that run anywhere: nothing of Node, nothing of the DOM beyond what `fetch` needs. */
const PURE = ["@waybill/core", "@waybill/vendors"];
/** The only places that may touch time and chance. */
const REAL_TIME = [
  "packages/node/src/",
  "packages/testing/src/",
  "packages/client/src/host/web-",
  "packages/page/src/browser/",
];
const FORBIDDEN_GLOBALS = /\b(?:Date\.now|Math\.random|setTimeout|setInterval|setImmediate)\s*\(|\bnew Date\(\)/;
const IMPURE_GLOBALS = /\b(?:process|Buffer|window|document|localStorage|XMLHttpRequest|navigator)\s*[.[(]/;
/** Packages that see what strangers send. */
const LOOKS_UP_UNTRUSTED = ["@waybill/core", "@waybill/vendors", "@waybill/relay"];
const MAX_FILE_LINES = 450;

interface Manifest {
  readonly name: string;
  readonly description: string;
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

interface Package {
  readonly folder: string;
  readonly manifest: Manifest;
  readonly files: readonly string[];
}

const packages: readonly Package[] = readdirSync(join(ROOT, "packages")).map((name) => {
  const folder = join(ROOT, "packages", name);
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
  return { folder, manifest, files: filesUnder(join(folder, "src")).filter((file) => /\.tsx?$/.test(file)) };
});
const sources = packages.flatMap(({ files }) => files);

test("sees the whole house", () => {
  expect(packages.length).toBe(Object.keys(MAY_IMPORT).length);
  expect(sources.length).toBeGreaterThan(60);
  for (const { manifest, files } of packages) expect(files.length, manifest.name).toBeGreaterThan(1);
});

test("imports point down only, are declared, and stay inside their package", () => {
  const faults: string[] = [];
  let seen = 0;
  for (const { folder, manifest, files } of packages) {
    for (const file of files) {
      for (const specifier of importsOf(readFileSync(file, "utf8"))) {
        seen += 1;
        const at = `${relative(ROOT, file)} imports ${specifier}`;
        if (specifier.startsWith(".")) {
          if (!resolve(dirname(file), specifier).startsWith(join(folder, "src")))
            faults.push(`${at}: leaves its package`);
        } else if (specifier.startsWith("node:")) {
          if (PURE.includes(manifest.name)) faults.push(`${at}: a pure package`);
        } else faults.push(...packageFaults(manifest, specifier, at));
      }
    }
  }
  expect(faults).toEqual([]);
  expect(seen).toBeGreaterThan(200);
});

test("time and chance come in through the runtime", () => {
  const faults = sources.filter((file) => {
    const path = relative(ROOT, file);
    if (REAL_TIME.some((prefix) => path.startsWith(prefix))) return false;
    return FORBIDDEN_GLOBALS.test(codeOf(file));
  });
  expect(faults.map((file) => relative(ROOT, file))).toEqual([]);
});

test("no name that a stranger may choose is looked up in a plain object", () => {
  const looked = packages.filter(({ manifest }) => LOOKS_UP_UNTRUSTED.includes(manifest.name));
  const files = looked.flatMap((one) => one.files).map((file) => ({ file, source: codeOf(file) }));
  const lookUps = lookUpsIn(files.map(({ source }) => source));
  expect(files.length).toBeGreaterThan(80);
  // It must know tables where there are some, and find what once ended the process.
  expect(lookUps.tables.size).toBeGreaterThan(15);
  expect(lookUpsIn([DANGEROUS]).of(DANGEROUS)).toEqual(["DECODERS[encoding.trim().toLowerCase()]"]);
  expect(
    files.flatMap(({ file, source }) => lookUps.of(source).map((found) => `${relative(ROOT, file)}: ${found}`)),
  ).toEqual([]);
});

test("pure packages use no global of Node or the DOM", () => {
  const pure = packages.filter(({ manifest }) => PURE.includes(manifest.name)).flatMap(({ files }) => files);
  expect(pure.length).toBeGreaterThan(15);
  expect(pure.filter((file) => IMPURE_GLOBALS.test(codeOf(file))).map((file) => relative(ROOT, file))).toEqual([]);
});

test("a package says the same of itself in package.json, index.ts and ARCHITECTURE.md", () => {
  const architecture = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");
  for (const { folder, manifest } of packages) {
    expect(readFileSync(join(folder, "src/index.ts"), "utf8").split("\n")[0]).toBe(`/** ${manifest.description} */`);
    expect(architecture).toContain(manifest.description);
  }
});

test("versions are pinned exactly", () => {
  const manifests = [
    ...packages.map(({ manifest }) => manifest),
    JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest,
  ];
  let seen = 0;
  for (const { name, dependencies, devDependencies } of manifests) {
    for (const [dependency, version] of Object.entries({ ...dependencies, ...devDependencies })) {
      seen += 1;
      expect(version, `${name} -> ${dependency}`).toMatch(/^(?:npm:@?[\w/.-]+@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/);
    }
  }
  expect(seen).toBeGreaterThan(20);
});

test("each runtime dependency has a line in an ADR", () => {
  const decisions = filesUnder(join(ROOT, "docs/adr"))
    .map((file) => readFileSync(file, "utf8"))
    .join("\n");
  for (const { manifest } of packages)
    for (const dependency of Object.keys(manifest.dependencies ?? {}))
      if (!(dependency in MAY_IMPORT))
        expect(decisions, `${manifest.name} -> ${dependency}`).toContain(`\`${dependency}\``);
});

test("files are named in kebab-case and stay short enough to hold in the head", () => {
  for (const file of sources) {
    expect(relative(ROOT, file)).toMatch(/\/[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9-]+)?\.tsx?$/);
    expect(readFileSync(file, "utf8").split("\n").length, relative(ROOT, file)).toBeLessThanOrEqual(MAX_FILE_LINES);
  }
});

test("no file carries a path of a machine, a registry host or a switched-off check without a reason", () => {
  const tracked = ["packages", "attack", "browser", "benchmarks", "simulation", "examples", "tools", "docs"].flatMap(
    (folder) => filesUnder(join(ROOT, folder)).filter((file) => /\.(?:ts|tsx|md|json|yaml|html|css)$/.test(file)),
  );
  const lock = join(ROOT, "package-lock.json");
  expect(tracked.length).toBeGreaterThan(100);
  // Written so that this file does not match itself.
  const machinePath = new RegExp(`(?<![\\w./-])/(?:${["work", "root", "home", "Users"].join("|")})/\\w`);
  for (const file of [...tracked, lock, join(ROOT, "README.md"), join(ROOT, "ARCHITECTURE.md")]) {
    const text = readFileSync(file, "utf8");
    expect(text, relative(ROOT, file)).not.toMatch(machinePath);
    expect(text.match(/(?:biome-ignore|oxlint-disable)[^\n:]*$/gm) ?? [], relative(ROOT, file)).toEqual([]);
  }
});

/** What `npm run -s tidy` counts must stay at these. */
const BARS: Readonly<Record<Exclude<keyof Figures, "files">, number>> = {
  cycles: 0,
  orphans: 0,
  vendorNamesInRelay: 0,
  longestFunctionLines: MAX_FUNCTION_LINES,
  overlongCommentLines: 0,
  overlongProseLines: 0,
  bannedWords: 0,
};

test("cycles, orphans, vendor names, long functions, long lines and banned words are within their bars", () => {
  const tree = readTree();
  const { figures, findings } = report(tree, VENDORS);
  expect(tree.sources.length).toBeGreaterThan(500);
  expect(tree.markdown.length).toBeGreaterThan(20);
  expect(tree.json.length).toBeGreaterThan(20);
  expect(tree.sources.flatMap(({ comments }) => comments).length).toBeGreaterThan(2_000);
  expect(tree.sources.flatMap(({ nodes }) => nodes).length).toBeGreaterThan(300_000);
  expect(figures.files).toBe(tree.sources.length);
  for (const [name, bar] of Object.entries(BARS)) {
    const figure = figures[name as keyof typeof BARS];
    expect(figure, `${name}: npm run -s tidy shows where`).toBeLessThanOrEqual(bar);
  }
  expect(findings.every(({ file, line, remedy }) => tree.paths.includes(file) && line > 0 && remedy !== "")).toBe(true);
});

/** How bodies were decoded once: `__proto__` ended the process, `constructor` never answered. */
const DANGEROUS = `
const DECODERS: Readonly<Record<string, Decode>> = { gzip: gunzip, "x-gzip": gunzip, deflate: inflate, br: brotliDecompress };
function decoderOf(encoding: string | undefined): Decode | undefined {
  return encoding === undefined || encoding === "identity" ? undefined : DECODERS[encoding.trim().toLowerCase()];
}
`;

interface LookUps {
  /** Names of variables, parameters and members whose type is an object with any keys. */
  readonly tables: ReadonlySet<string>;
  /**
   * Places where one is indexed by what is not a literal, and not guarded by `Object.hasOwn`; see
   * `own` in core.
   */
  of(source: string): readonly string[];
}

/**
 * Without a compiler: by the types as they are written. A number as an index is known by its name
 * or its arithmetic.
 */
function lookUpsIn(sources: readonly string[]): LookUps {
  const all = sources.join("\n");
  const aliases = [...all.matchAll(/\btype (\w+)(?:<[^=]*>)? = (?:Readonly<|Partial<)*Record<string,/g)].map(
    ([, name]) => name,
  );
  const open = `(?:Readonly<|Partial<)*(?:Record<string,|NodeJS\\.Dict<${aliases.map((name) => `|${name}\\b`).join("")})`;
  const declared = [...all.matchAll(new RegExp(`\\b(\\w+)\\??\\s*(?::|=>)\\s*${open}`, "g"))];
  const tables = new Set(declared.map(([, name]) => name as string));
  const isTable = (name: string | undefined, cast: string): boolean =>
    name === undefined ? new RegExp(open).test(cast) : tables.has(name);
  return {
    tables,
    of: (source) =>
      [...source.matchAll(INDEXED)].flatMap(({ 0: whole, 1: name, 2: cast = "", 3: written = "", index }) => {
        const key = written.trim();
        const isKnown = LITERAL.test(key) || ARITHMETIC.test(key) || NUMBER_NAME.test(key);
        const before = source.slice(Math.max(0, index - GUARD_CHARACTERS), index);
        // A key of another object of ours, or its own.
        const isOurs =
          /^\w+$/.test(key) && new RegExp(`const \\[?${key}\\b[^;]*? of Object\\.(?:keys|entries)`).test(before);
        const isGuarded = isOurs || (name !== undefined && before.includes(`Object.hasOwn(${name}, ${key})`));
        // A variable of that name may be of another type here.
        const isOther = new RegExp(`\\b(?:const|let) ${name}: (?!${open})`).test(source);
        const isWritten = /^\s*=[^=]/.test(source.slice(index + whole.length));
        return isKnown || isGuarded || isOther || isWritten || !isTable(name, cast) ? [] : [whole.trim()];
      }),
  };
}

/** `name[key]`, or `(… as Type)[key]`. */
const INDEXED = /(?:\b(\w+)|\bas ([^()]*(?:\([^()]*\))?[^()]*)\))(?:\?\.)?\[([^[\]]+(?:\[[^\]]*\][^[\]]*)*)\]/g;
const LITERAL = /^(?:"[^"]*"|'[^']*'|\d+|`[^`$]*`)$/;
const ARITHMETIC = /[-+*%]|<<|>>|^\d/;
const NUMBER_NAME =
  /(?:index|at|from|offset|slot|place|last|first|next|head|step|turn|column|lane|digit|byte|letter|count|start|end)$/i;
const GUARD_CHARACTERS = 160;

function packageFaults(manifest: Manifest, specifier: string, at: string): string[] {
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  const declared = { ...manifest.dependencies, ...manifest.peerDependencies };
  if (!(name in declared)) return [`${at}: not declared in its package.json`];
  if (name in MAY_IMPORT && !MAY_IMPORT[manifest.name]?.includes(name)) return [`${at}: not allowed by the table`];
  return [];
}

/** The module names of all static and dynamic imports and re-exports. */
function importsOf(source: string): string[] {
  return [...withoutComments(source).matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)["']([@\w./:-]+)["']/g)].map(
    (match) => match[1] as string,
  );
}

function codeOf(file: string): string {
  return withoutComments(readFileSync(file, "utf8"));
}

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|[^:"'`\\])\/\/.*$/gm, "$1");
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (name === "node_modules" || name === "dist" || name === "coverage") return [];
    return statSync(path).isDirectory() ? filesUnder(path) : [path];
  });
}
