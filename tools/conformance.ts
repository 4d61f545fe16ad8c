/**
 * docs/conformance.md: from the titles of the tests, each item of each vendor's list, and where it
 * is shown; from seeds/, what each of the five original systems does, where it is done here, and
 * the tests that show it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { GETFLUXLY } from "./seeds/getfluxly.ts";
import { LAUNCHDARKLY } from "./seeds/launchdarkly.ts";
import { LETTER } from "./seeds/letter.ts";
import type { Seed } from "./seeds/seed.ts";
import { TROPHY } from "./seeds/trophy.ts";
import { VALUED } from "./seeds/valued.ts";

export const SEEDS: readonly Seed[] = [LETTER, GETFLUXLY, TROPHY, VALUED, LAUNCHDARKLY];
/** What tells the cases of one test apart. */
const CASE = / \((?:%[sdi][ ,]*)+\)/;

const ROOT = fileURLToPath(new URL("..", import.meta.url));

interface List {
  readonly vendor: string;
  readonly what: string;
  /** Folders of the tests, and how a title begins; the first group is the number. */
  readonly folders: readonly string[];
  readonly title: RegExp;
  /** Numbers of the list: each must have a test. */
  readonly items: readonly string[];
}

const numbers = (count: number, prefix = ""): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);

const CLIENT = "packages/client/test/vendors";
const RELAY = "packages/relay/test";
export const LISTS: readonly List[] = [
  {
    vendor: "Letter",
    what: "the client against the vendor's emulator",
    folders: [CLIENT],
    title: /\[letter (\d+)\] (.*)/,
    items: numbers(12),
  },
  {
    vendor: "GetFluxly",
    what: "the client against the vendor's emulator",
    folders: [CLIENT],
    title: /\[getfluxly (\d+)\] (.*)/,
    items: numbers(11),
  },
  {
    vendor: "Trophy",
    what: "the client, and the vendor's own SDK, against the emulator",
    folders: [CLIENT],
    title: /\[trophy (\d+)\] (.*)/,
    items: numbers(11),
  },
  {
    vendor: "Valued",
    what: "the client; the tests of the vendor's own gem",
    folders: [CLIENT],
    title: /\[valued (\d+)\] (.*)/,
    items: numbers(27),
  },
  {
    vendor: "LaunchDarkly",
    what: "the event publisher; the tests of the original's package",
    folders: [CLIENT],
    title: /\[launchdarkly (\d+)\] (.*)/,
    items: numbers(12),
  },
  {
    vendor: "LaunchDarkly",
    what: "the relay; the tests of the original's package and routes",
    folders: [RELAY, "packages/vendors/test/launchdarkly"],
    title: /\[launchdarkly-relay (\d+)\] (.*)/,
    items: numbers(27),
  },
  {
    vendor: "Segment",
    what: "the relay between clients and the vendor's emulator",
    folders: [RELAY],
    title: /^(6\.\d+(?: and 6\.\d+)?): (.*)/,
    items: numbers(23, "6."),
  },
];

export interface Shown {
  readonly number: string;
  readonly title: string;
  readonly file: string;
}

export function shownBy({ folders, title }: List): readonly Shown[] {
  return folders.flatMap((folder) =>
    readdirSync(`${ROOT}/${folder}`, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".test.ts"))
      .flatMap((file) => shownIn(`${folder}/${file}`, title)),
  );
}

function shownIn(file: string, title: RegExp): readonly Shown[] {
  const text = readFileSync(`${ROOT}/${file}`, "utf8");
  return [...text.matchAll(/^test(?:\.each)?\([\s\S]*?(?=^test|$(?![\s\S]))/gm)].flatMap(([block]) => {
    const found = /(["'`])((?:\[[a-z-]+ \d+\] |6\.\d+)(?:(?!\1)[^\\\n])*)\1/.exec(block);
    const match = found === null ? null : title.exec(found[2] as string);
    return match === null ? [] : [{ number: match[1] as string, title: match[2] as string, file }];
  });
}

export function conformancePage(): string {
  const sections = LISTS.map((list) => {
    const shown = shownBy(list).toSorted((a, b) => order(a.number) - order(b.number));
    const rows = shown.map(
      ({ number, title, file }) =>
        `| ${number} | ${cell(title.replace(CASE, ""))} | [${file.split("/").at(-1)}](../${file}) |`,
    );
    return [`## ${list.vendor}: ${list.what}`, "", "| | what is shown | by |", "|---|---|---|", ...rows, ""];
  });
  return [
    "# Conformance",
    "",
    "What each vendor's protocol asks for, item by item, and the test that shows it. Generated from the titles of the tests by `npm run docs`; a test fails when an item has none.",
    "",
    ...sections.flat(),
    ...SEEDS.flatMap(seedSection),
  ].join("\n");
}

function seedSection({ system, lines }: Seed): readonly string[] {
  const rows = lines.map(({ behaviour, code, tests, differs }) => {
    const said = differs === undefined ? behaviour : `${behaviour} *Here: ${differs}*`;
    const shown = tests.map((test) => `${cell(titleOf(test).replace(CASE, ""))} (${link(test)})`);
    return `| ${cell(said)} | ${link(code)} | ${shown.join("<br>")} |`;
  });
  return [`## ${system}: the original, line by line`, "", "| behaviour | code | tests |", "|---|---|---|", ...rows, ""];
}

function titleOf(reference: string): string {
  return reference.slice(reference.indexOf("#") + 1);
}

function link(reference: string): string {
  const file = reference.slice(0, reference.indexOf("#"));
  return `[${file.split("/").slice(-2).join("/")}](../${file})`;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

/** What a line of a seed refers to and is not there. */
export function missing({ lines }: Seed): readonly string[] {
  return lines.flatMap(({ code, tests }) =>
    [code, ...tests].filter((reference) => {
      const [file = ""] = reference.split("#", 1);
      return !readFileSync(`${ROOT}/${file}`, "utf8").includes(titleOf(reference));
    }),
  );
}

function order(number: string): number {
  return Number(/\d+$/.exec(number.split(" ")[0] as string)?.[0]);
}
