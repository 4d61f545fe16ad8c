import { overlongComments } from "./comments.ts";
import { importCycles } from "./cycles.ts";
import type { Finding } from "./finding.ts";
import { functionLengths, longFunctions } from "./functions.ts";
import { importGraph, manifestOf } from "./import-graph.ts";
import { orphans } from "./orphans.ts";
import { overlongProse } from "./prose.ts";
import { isGenerated, type Tree } from "./tree.ts";
import { ownedExportsOf, vendorNames } from "./vendor-names.ts";
import { wordsInJson, wordsInMarkdown, wordsInPath, wordsInSource } from "./words.ts";

/** The figures; each is a number of findings but `files` and `longestFunctionLines`. */
export interface Figures {
  /** Sources that were looked at. */
  readonly files: number;
  readonly cycles: number;
  readonly orphans: number;
  readonly vendorNamesInRelay: number;
  readonly longestFunctionLines: number;
  readonly overlongCommentLines: number;
  readonly overlongProseLines: number;
  readonly bannedWords: number;
}

export interface Report {
  readonly figures: Figures;
  readonly findings: readonly Finding[];
}

const VENDORS_INDEX = "packages/vendors/src/index.ts";
const PACKAGE_SOURCE = /^packages\/[^/]+\/src\//;
/** The list itself, and the examples that its tests plant. */
const LIST_AND_PLANTED = /^tools\/tidy\/(?:banned-words\.ts|.*\.test\.ts)$/;

export function report({ paths, sources, markdown, json }: Tree, vendors: readonly string[]): Report {
  const manifests = json.filter(({ path }) => path.endsWith("package.json")).map(manifestOf);
  const graph = importGraph(sources, manifests);
  const index = sources.find(({ path }) => path === VENDORS_INDEX);
  if (index === undefined) throw new Error(`${VENDORS_INDEX} is not there`);
  const ownedExports = ownedExportsOf(index, vendors);
  const lengths = functionLengths(sources.filter(({ path }) => PACKAGE_SOURCE.test(path)));
  const isWritten = ({ path }: { readonly path: string }): boolean => !isGenerated(path);
  const hasWords = (file: { readonly path: string }): boolean => isWritten(file) && !LIST_AND_PLANTED.test(file.path);
  const groups = {
    cycles: importCycles(graph),
    orphans: orphans(graph, manifests),
    vendors: sources.flatMap((source) => vendorNames(source, { vendors, ownedExports })),
    comments: sources.filter(isWritten).flatMap(overlongComments),
    prose: markdown.filter(isWritten).flatMap(overlongProse),
    words: [
      ...paths.flatMap(wordsInPath),
      ...sources.filter(hasWords).flatMap(wordsInSource),
      ...markdown.filter(hasWords).flatMap(wordsInMarkdown),
      ...json.filter(hasWords).flatMap(wordsInJson),
    ],
  };
  return {
    figures: {
      files: sources.length,
      cycles: groups.cycles.length,
      orphans: groups.orphans.length,
      vendorNamesInRelay: groups.vendors.length,
      longestFunctionLines: lengths[0]?.lines ?? 0,
      overlongCommentLines: groups.comments.length,
      overlongProseLines: groups.prose.length,
      bannedWords: groups.words.length,
    },
    findings: [...Object.values(groups).flat(), ...longFunctions(lengths)],
  };
}
