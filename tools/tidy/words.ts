import { BANNED_WORDS, type BannedWord, type Exception } from "./banned-words.ts";
import type { Finding } from "./finding.ts";
import { lineOf, type SourceFile, type TextFile } from "./source-file.ts";

/** A text to be read as prose. */
interface Passage {
  readonly text: string;
  /** Where it begins in its file. */
  readonly offset: number;
}

/** An identifier, a key, a field or a text without white space. */
interface Name {
  readonly text: string;
  readonly offset: number;
  /** From a text or prose, where a name of a vendor is not a field. */
  readonly isText: boolean;
}

interface Words {
  readonly names: readonly Name[];
  readonly passages: readonly Passage[];
}

const NAME = /[A-Za-z_$][\w$]*(?:-[\w$]+)*/g;
/** `camelCase` and `snake_case`: names, wherever they occur. */
const COMPOUND = /\b(?:\w*[a-z]\w*[A-Z]\w*|\w+_\w+)\b/g;
const SPAN = /`[^`\n]+`/g;
const TEXT_IN_JSON = /"((?:[^"\\\n]|\\.)*)"/g;

/** Banned words in a source: in identifiers, keys, texts and comments. */
export function wordsInSource(source: SourceFile): readonly Finding[] {
  const texts = source.nodes.flatMap(({ node, parent }) => textAt(source, node, parent));
  const comments = commentsOf(source);
  const names = source.nodes.flatMap(({ node, parent }): readonly Name[] => {
    if (node.type !== "Identifier" && node.type !== "PrivateIdentifier") return [];
    // `text.repeat(3)` is not a name of ours.
    const isCalled = parent?.type === "MemberExpression" && parent.property === node && source.text[node.end] === "(";
    return [{ text: isCalled ? `${node.name}(` : node.name, offset: node.start, isText: false }];
  });
  const inTexts = wordsOfTexts(texts);
  return findingsIn(source, {
    names: [...names, ...inTexts.names, ...comments.flatMap(namesInProse)],
    passages: [...inTexts.passages, ...comments.map(withoutSpans)],
  });
}

/** Banned words in Markdown; of code only the names count. */
export function wordsInMarkdown(file: TextFile): readonly Finding[] {
  const { text } = file;
  const code = [...text.matchAll(/^ *(```|~~~)[\s\S]*?^ *\1/gm)].map((match) => ({
    text: match[0],
    offset: match.index,
  }));
  // The target of a link is a file, whose name is checked where it is.
  const prose = code
    .reduce((rest, block) => blank(rest, block), text)
    .replaceAll(/\]\([^)\n]*\)/g, (target) => " ".repeat(target.length));
  const passage = { text: prose, offset: 0 };
  const names = [...code.flatMap(allNames), ...namesInProse(passage)];
  return findingsIn(file, { names, passages: [withoutSpans(passage)] });
}

/** Banned words in the keys and the texts of a JSON file. */
export function wordsInJson(file: TextFile): readonly Finding[] {
  const texts = [...file.text.matchAll(TEXT_IN_JSON)].map((match) => ({
    text: match[1] ?? "",
    offset: match.index + 1,
  }));
  return findingsIn(file, wordsOfTexts(texts));
}

export function wordsInPath(path: string): readonly Finding[] {
  const name = (path.split("/").at(-1) ?? "").replace(/\..*$/, "");
  return findingsIn({ path, text: "" }, { names: [{ text: name, offset: 0, isText: false }], passages: [] });
}

function findingsIn({ path, text }: TextFile, { names, passages }: Words): readonly Finding[] {
  return BANNED_WORDS.flatMap((banned) => [
    ...namedIn(banned, path, names).map(({ name, offset, times }) =>
      finding(banned, path, lineOf(text, offset), `\`${name}\`${times > 1 ? ` (${times} times)` : ""}`),
    ),
    ...passages.flatMap((passage) =>
      phrasesIn(banned, path, passage).map(({ start, end }) =>
        finding(banned, path, lineOf(text, start), `"${shown(text, start, end)}"`),
      ),
    ),
  ]);
}

function finding(banned: BannedWord, file: string, line: number, found: string): Finding {
  return { check: "words", file, line, what: `${banned.word}: ${found}`, remedy: `write: ${banned.write}` };
}

interface Named {
  readonly name: string;
  readonly offset: number;
  readonly times: number;
}

/** Each name once, where it occurs first. */
function namedIn(banned: BannedWord, path: string, names: readonly Name[]): readonly Named[] {
  if (banned.within?.test(path) === false) return [];
  const found = new Map<string, Named>();
  for (const { text, offset, isText } of names) {
    const isBanned =
      (!isText && banned.names?.test(text.replace(/\($/, "")) === true) ||
      (banned.parts !== undefined && partsOf(text).some((part) => banned.parts?.includes(part)));
    if (!isBanned || isExcepted(banned.exceptions, path, text)) continue;
    const known = found.get(text);
    found.set(text, {
      name: text,
      offset: Math.min(offset, known?.offset ?? offset),
      times: 1 + (known?.times ?? 0),
    });
  }
  return [...found.values()];
}

/** `laneOf`, `LANE_OF`, `lane-of` and `#laneOf` are `lane` and `of`. */
export function partsOf(name: string): readonly string[] {
  return name.split(/[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/).map((part) => part.toLowerCase());
}

function isExcepted(exceptions: readonly Exception[] | undefined, path: string, name: string): boolean {
  return exceptions?.some(({ match, files }) => match.test(name) && files?.test(path) !== false) === true;
}

interface Found {
  readonly start: number;
  readonly end: number;
}

function phrasesIn(
  { phrases, exceptions = [] }: BannedWord,
  path: string,
  { text, offset }: Passage,
): readonly Found[] {
  if (phrases === undefined) return [];
  const excepted = exceptions
    .filter(({ files }) => files?.test(path) !== false)
    .flatMap(({ match }) => [...text.matchAll(phrasePattern(match))]);
  return [...text.matchAll(phrasePattern(phrases))].flatMap(({ 0: phrase, index }) => {
    const end = index + phrase.length;
    if (excepted.some((one) => one.index < end && one.index + one[0].length > index)) return [];
    return [{ start: offset + index, end: offset + end }];
  });
}

const patterns = new Map<RegExp, RegExp>();

/** A space in a pattern matches any white space, so that a phrase may go on in the next line. */
function phrasePattern(written: RegExp): RegExp {
  const known = patterns.get(written);
  if (known !== undefined) return known;
  const pattern = new RegExp(written.source.replaceAll(" ", "\\s+"), `${written.flags}g`);
  patterns.set(written, pattern);
  return pattern;
}

/** Characters of the text that are shown around a phrase. */
const AROUND = 30;

function shown(text: string, start: number, end: number): string {
  return text
    .slice(Math.max(0, start - AROUND), end + AROUND)
    .replaceAll(/\n\s*(?:\*|\/\/)? ?/g, " ")
    .replaceAll(/\s+/g, " ")
    .trim();
}

/** Comments as prose; lines of `//` that follow each other are one passage. */
function commentsOf({ text, comments }: SourceFile): readonly Passage[] {
  const passages: Passage[] = [];
  for (const { type, start, end } of comments) {
    const last = passages.at(-1);
    const lastEnd = last === undefined ? 0 : last.offset + last.text.length;
    const goesOn = last !== undefined && type === "Line" && /^[ \t]*\n[ \t]*$/.test(text.slice(lastEnd, start));
    if (goesOn) passages[passages.length - 1] = { text: text.slice(last.offset, end), offset: last.offset };
    else passages.push({ text: text.slice(start, end), offset: start });
  }
  return passages.map((passage) => ({
    offset: passage.offset,
    text: passage.text.replaceAll(/^\s*(?:\/\*\*?|\*\/|\*|\/\/)|\*\/$/gm, (marks) => marks.replaceAll(/[*/]/g, " ")),
  }));
}

function textAt({ text }: SourceFile, node: SourceFile["nodes"][number]["node"], parent: typeof node | undefined) {
  // The name of a module is a file's, which is checked where it is.
  if (parent?.type === "ImportDeclaration" || parent?.type.startsWith("Export")) return [];
  if (node.type === "Literal" && typeof node.value === "string")
    return [{ text: text.slice(node.start + 1, node.end - 1), offset: node.start + 1 }];
  if (node.type !== "TemplateLiteral") return [];
  const whole = { text: text.slice(node.start + 1, node.end - 1), offset: node.start + 1 };
  const holes = node.expressions.map(({ start, end }) => ({
    text: text.slice(start, end),
    offset: start - whole.offset,
  }));
  return [{ ...whole, text: holes.reduce((rest, hole) => blank(rest, hole), whole.text) }];
}

/** A text of several words is prose, and its compounds are names; any other holds names only. */
function wordsOfTexts(texts: readonly Passage[]): Words {
  const isProse = ({ text }: Passage): boolean => /\S\s+\S/.test(text);
  const prose = texts.filter(isProse);
  return {
    names: [...texts.filter((one) => !isProse(one)).flatMap(allNames), ...prose.flatMap(namesInProse)],
    passages: prose.map(withoutSpans),
  };
}

function allNames({ text, offset }: Passage): readonly Name[] {
  return [...text.matchAll(NAME)].map((match) => ({ text: match[0], offset: offset + match.index, isText: true }));
}

/** Each name in a code span, and compounds elsewhere. */
function namesInProse(passage: Passage): readonly Name[] {
  const { text, offset } = passage;
  const spans = [...text.matchAll(SPAN)].map((match) => ({ text: match[0], offset: offset + match.index }));
  const compounds = [...withoutSpans(passage).text.matchAll(COMPOUND)].map((match) => ({
    text: match[0],
    offset: offset + match.index,
    isText: true,
  }));
  return [...spans.flatMap(allNames), ...compounds];
}

/** `x` for each character of a code span: it stays a word of its sentence. */
function withoutSpans({ text, offset }: Passage): Passage {
  return { text: text.replaceAll(SPAN, (span) => `\`${"x".repeat(span.length - 2)}\``), offset };
}

function blank(text: string, { text: { length }, offset }: Passage): string {
  const covered = text.slice(offset, offset + length).replaceAll(/[^\n]/g, " ");
  return `${text.slice(0, offset)}${covered}${text.slice(offset + length)}`;
}
