import type { Finding } from "./finding.ts";
import { lineOf, type SourceFile, type Visited } from "./source-file.ts";

/** What a reader holds in the head at once, in lines. */
export const MAX_FUNCTION_LINES = 70;

const FUNCTIONS = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"]);

export interface FunctionLength {
  readonly file: string;
  readonly line: number;
  readonly lines: number;
}

/** The lengths of all functions and methods, the longest first. */
export function functionLengths(sources: readonly SourceFile[]): readonly FunctionLength[] {
  return sources
    .flatMap(({ path, text, nodes }) =>
      nodes.filter(({ node }) => FUNCTIONS.has(node.type)).map((visited) => lengthOf(path, text, visited)),
    )
    .toSorted((a, b) => b.lines - a.lines);
}

export function longFunctions(lengths: readonly FunctionLength[]): readonly Finding[] {
  return lengths
    .filter(({ lines }) => lines > MAX_FUNCTION_LINES)
    .map(({ file, line, lines }) => ({
      check: "functions",
      file,
      line,
      what: `a function of ${lines} lines`,
      remedy: `take it apart into functions of at most ${MAX_FUNCTION_LINES} lines`,
    }));
}

/** A method begins with its name, not with its parameters. */
function lengthOf(file: string, text: string, { node, parent }: Visited): FunctionLength {
  const { start } = parent?.type === "MethodDefinition" ? parent : node;
  const line = lineOf(text, start);
  return { file, line, lines: text.slice(start, node.end).split("\n").length };
}
