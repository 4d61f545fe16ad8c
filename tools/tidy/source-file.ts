import { type Comment, type EcmaScriptModule, type Node, parseSync, visitorKeys } from "oxc-parser";

/** Any file that is read as text. */
export interface TextFile {
  /** From the root of the repository, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** A TypeScript or JavaScript file and its syntax tree. */
export interface SourceFile extends TextFile {
  readonly comments: readonly Comment[];
  readonly module: EcmaScriptModule;
  readonly nodes: readonly Visited[];
}

export interface Visited {
  readonly node: Node;
  /** The nearest node around it; `undefined` for the program itself. */
  readonly parent: Node | undefined;
}

/** **Errors**: an `Error` for a text that is not valid TypeScript. */
export function parseSource({ path, text }: TextFile): SourceFile {
  const { program, module, comments, errors } = parseSync(path, text);
  const [error] = errors;
  if (error !== undefined) throw new Error(`${path}: ${error.message}`);
  return { path, text, comments, module, nodes: nodesOf(program) };
}

/** The number of the line, from 1. */
export function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) line += 1;
  return line;
}

function nodesOf(program: Node): readonly Visited[] {
  const found: Visited[] = [];
  const open: Visited[] = [{ node: program, parent: undefined }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    found.push(next);
    const parent = next.node;
    const members = parent as unknown as Readonly<Record<string, unknown>>;
    for (const key of visitorKeys[parent.type] ?? [])
      for (const child of [members[key]].flat()) if (isNode(child)) open.push({ node: child, parent });
  }
  return found;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}
