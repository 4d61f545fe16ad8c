/**
 * References in the text values of a configuration: `${NAME}` and `${NAME:-default}` take a
 * variable of the environment, `${file:PATH}` the content of a file without the end of its last
 * line. `$${` stands for the text `${`.
 *
 * Offline, what is missing is noted in place of a fault, and gets a placeholder.
 */
import { readFileSync, statSync } from "node:fs";
import { nearest, own } from "@waybill/core";
import { type Document, type LineCounter, type Node, type Scalar, visit } from "yaml";
import type { ConfigFault } from "./faults.ts";

export interface ReferenceOptions {
  readonly document: Document;
  readonly lines: LineCounter;
  readonly file: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default: false. */
  readonly offline?: boolean;
}

/** A value with a reference that was not there. Its fault would be at this place. */
export interface OpenValue {
  readonly node: Scalar;
  readonly line: number;
  readonly column: number;
  /** Whether the reference is all of the value. */
  readonly isWhole: boolean;
}

export interface References {
  readonly faults: readonly ConfigFault[];
  /** Names of variables. */
  readonly used: ReadonlySet<string>;
  /** Where a value came from, for those that did: it may be a secret wherever it is. */
  readonly origins: ReadonlyMap<Node, string>;
  /** Never shown. */
  readonly fileValues: ReadonlySet<string>;
  readonly variableValues: ReadonlySet<string>;
  readonly open: readonly OpenValue[];
  /** What was missing, a line each. */
  readonly notChecked: readonly string[];
}

const REFERENCE = /\$?\$\{([^}]*)\}/g;
const FILE = "file:";
/** A key or a certificate has less. */
const FILE_MAX_BYTES = 64 * 1024;
const FROM_VARIABLE = "a value from the environment";
const FROM_FILE = "a value from a file";

type Found =
  | { readonly value: string }
  | { readonly message: string; readonly hint?: string; readonly missing?: string };

/** Puts the values in their places in the document. */
export function substitute(options: ReferenceOptions): References {
  const { document, lines, file, offline = false } = options;
  const faults: ConfigFault[] = [];
  const open: OpenValue[] = [];
  const notChecked: string[] = [];
  const used = new Set<string>();
  const origins = new Map<Node, string>();
  const fileValues = new Set<string>();
  const variableValues = new Set<string>();
  visit(document, {
    Scalar(key, node) {
      if (key === "key" || typeof node.value !== "string") return;
      const text = node.value;
      const { line, col: column } = lines.linePos(node.range?.[0] ?? 0);
      node.value = text.replaceAll(REFERENCE, (whole, inside: string) => {
        if (whole.startsWith("$$")) return whole.slice(1);
        const isFile = inside.startsWith(FILE);
        const found = isFile ? fileValue(inside.slice(FILE.length)) : variableValue(inside, options.env, used);
        origins.set(node, isFile ? FROM_FILE : FROM_VARIABLE);
        if ("value" in found) {
          (isFile ? fileValues : variableValues).add(found.value);
          return found.value;
        }
        const { message, hint, missing } = found;
        if (offline && missing !== undefined) {
          open.push({ node, line, column, isWhole: whole === text });
          notChecked.push(`${file}:${line}:${column}: ${missing}`);
          return placeholderOf(open.length);
        }
        faults.push({ file, line, column, path: "", message, ...(hint === undefined ? {} : { hint }) });
        return whole;
      });
    },
  });
  return { faults, used, origins, fileValues, variableValues, open, notChecked };
}

/** Each is another one, so that no two keys are the same. */
function placeholderOf(number: number): string {
  return `not-checked-${number}`;
}

function variableValue(inside: string, env: ReferenceOptions["env"], used: Set<string>): Found {
  const [, name, fallback] = /^([A-Za-z_]\w*)(?::-(.*))?$/s.exec(inside) ?? [];
  if (name === undefined) return { message: "a reference must be ${NAME}, ${NAME:-default} or ${file:PATH}" };
  used.add(name);
  const value = own(env, name) ?? fallback;
  if (value !== undefined) return { value };
  const near = nearest(name, Object.keys(env));
  return {
    message: `the environment has no ${name}`,
    missing: `the variable ${name} is not set`,
    ...(near === undefined ? {} : { hint: `did you mean \${${near}}?` }),
  };
}

/** Messages have the path and never the content. */
function fileValue(path: string): Found {
  if (path === "") return { message: "a reference to a file must be ${file:PATH}" };
  const hint = "it must be a file of one value that the relay may read";
  let bytes: Buffer;
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) return { message: `${path} is a directory`, hint };
    // A pipe or a device may never end.
    if (!stat.isFile()) return { message: `${path} is not a file`, hint };
    if (stat.size > FILE_MAX_BYTES) return { message: `${path} has more than ${FILE_MAX_BYTES} bytes`, hint };
    bytes = readFileSync(path);
  } catch (error) {
    const { code = "unknown" } = error as NodeJS.ErrnoException;
    const isMissing = code === "ENOENT" || code === "ENOTDIR";
    if (isMissing) return { message: `there is no file ${path}`, missing: `the file ${path} does not exist` };
    return { message: `${path} cannot be read: ${code}`, hint };
  }
  const text = bytes.toString().replace(/\r?\n$/, "");
  if (text === "") return { message: `${path} is empty`, hint };
  if (text.includes("\0") || text.includes("\ufffd")) return { message: `${path} is not a text in UTF-8`, hint };
  return { value: text };
}

/** A short text occurs in sentences by chance. */
const FILE_VALUE_MIN_CHARACTERS = 4;
const VARIABLE_VALUE_MIN_CHARACTERS = 8;

/** The same fault without what came from files and variables, wherever its sentences quote it. */
export function scrubbed(fault: ConfigFault, { fileValues, variableValues }: References): ConfigFault {
  const long = (values: ReadonlySet<string>, min: number): string[] =>
    [...values].filter(({ length }) => length >= min);
  const hidden = [
    ...long(fileValues, FILE_VALUE_MIN_CHARACTERS).map((value) => [value, FROM_FILE] as const),
    ...long(variableValues, VARIABLE_VALUE_MIN_CHARACTERS).map((value) => [value, FROM_VARIABLE] as const),
  ];
  const scrub = (text: string): string =>
    hidden.reduce((rest, [value, origin]) => rest.replaceAll(value, `(${origin})`), text);
  const { message, hint } = fault;
  return { ...fault, message: scrub(message), ...(hint === undefined ? {} : { hint: scrub(hint) }) };
}
