/**
 * The configuration's text as a YAML document, with limits: it is read while the relay serves.
 * Messages never quote the text, which has secrets in it.
 */
import { type Document, isScalar, LineCounter, type ParsedNode, parseDocument, visit } from "yaml";
import { CONFIG_MAX_BYTES, type ConfigText } from "./config-text.ts";
import { ConfigError, type ConfigFault } from "./faults.ts";

export interface Parsed {
  readonly document: Document;
  readonly lines: LineCounter;
}

/**
 * Levels of lists and maps, and columns of indentation: ours has eight. The parser goes down a call
 * per level.
 */
const DEPTH_MAX = 200;
const FAULTS_MAX = 100;

/** **Errors**: one {@link ConfigError} with every fault. */
export function parseText({ file, text }: ConfigText): Parsed {
  const whole = (message: string): ConfigError => new ConfigError([{ file, line: 0, column: 0, path: "", message }]);
  if (Buffer.byteLength(text) > CONFIG_MAX_BYTES) throw whole(`has more than ${CONFIG_MAX_BYTES} bytes`);
  if (text.includes("\0")) throw whole("is not a text file");
  if (isTooDeep(text)) throw whole(`is nested more than ${DEPTH_MAX} levels deep`);
  const lines = new LineCounter();
  // The parser compares each key of a map with each other one.
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false });
  const faults = [...syntaxFaults(document, lines, { file, text }), ...duplicateKeys(document, lines, file)];
  if (faults.length > 0) throw new ConfigError(faults);
  return { document, lines };
}

/** Counts brackets wherever they are, and what a line begins with: never less than the depth. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  for (const character of text) {
    if (character === "[" || character === "{") depth += 1;
    else if ((character === "]" || character === "}") && depth > 0) depth -= 1;
    if (depth > DEPTH_MAX) return true;
  }
  return text.split("\n").some((line) => (/^[\s?:-]*/.exec(line)?.[0].length ?? 0) > DEPTH_MAX);
}

/** What is not YAML. One fault a line: those after the first are mostly its consequences. */
function syntaxFaults(
  document: Document.Parsed<ParsedNode>,
  lines: LineCounter,
  { file, text }: ConfigText,
): ConfigFault[] {
  const faults = new Map<number, ConfigFault>();
  const textLines = text.split("\n");
  for (const error of document.errors) {
    const { line, col } = lines.linePos(error.pos[0]);
    if (faults.has(line)) continue;
    if (faults.size === FAULTS_MAX) break;
    const unquoted = /[^"']\$\{/.test(textLines[line - 1] ?? "");
    faults.set(line, {
      file,
      line,
      column: col,
      path: "",
      // What follows is quoted from the file.
      message: error.message.replace(/(?::| %)[^]*$/, ""),
      ...(unquoted ? { hint: 'put quotes around a reference: "${NAME}"' } : {}),
    });
  }
  return [...faults.values()];
}

function duplicateKeys(document: Document, lines: LineCounter, file: string): ConfigFault[] {
  const faults: ConfigFault[] = [];
  visit(document, {
    Map(_key, map) {
      const seen = new Set<unknown>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        if (seen.has(name) && faults.length < FAULTS_MAX) {
          const { line, col } = lines.linePos(key.range?.[0] ?? 0);
          faults.push({ file, line, column: col, path: "", message: "Map keys must be unique" });
        }
        seen.add(name);
      }
    },
  });
  return faults;
}
