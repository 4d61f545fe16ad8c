/**
 * `npm run -s tidy [-- --json-line] [--only words,comments] [path prefix…]`: what a machine can see
 * of the order of the repository, each finding with its file, its line and what to do. The last
 * line is one JSON object of figures; they are of the whole repository whatever is printed. Exit 1
 * while there are findings.
 */
import { parseArgs } from "node:util";
import { VENDORS } from "@waybill/vendors/registry";
import { CHECKS, type Check, type Finding } from "./finding.ts";
import { report } from "./report.ts";
import { GENERATED, ROOMS, readTree } from "./tree.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { "json-line": { type: "boolean", default: false }, only: { type: "string", default: CHECKS.join(",") } },
});
const only = values.only.split(",");
const unknown = only.filter((name) => !CHECKS.includes(name as Check));
if (unknown.length > 0) {
  process.stderr.write(`tidy: ${unknown.join(", ")}: not a check; there are ${CHECKS.join(", ")}\n`);
  process.exit(2);
}
const { figures, findings } = report(readTree(), VENDORS);
if (!values["json-line"]) print(findings.filter(isChosen));
process.stdout.write(`${JSON.stringify(figures)}\n`);
if (findings.length > 0) process.exitCode = 1;

function isChosen({ check, file }: Finding): boolean {
  return only.includes(check) && (positionals.length === 0 || positionals.some((prefix) => file.startsWith(prefix)));
}

function print(chosen: readonly Finding[]): void {
  const sorted = chosen.toSorted((a, b) => compare(a.file, b.file) || a.line - b.line);
  for (const check of CHECKS) {
    const found = sorted.filter((one) => one.check === check);
    if (!only.includes(check)) continue;
    process.stdout.write(`${check}: ${found.length}\n`);
    for (const { file, line, what, remedy } of found) process.stdout.write(`  ${file}:${line} ${what}; ${remedy}\n`);
  }
  process.stdout.write(
    `looked at ${figures.files} sources, and Markdown and JSON, in ${ROOMS.join(", ")} and beside;\n`,
  );
  process.stdout.write(`generated files are left out of comments, prose and words: ${GENERATED.join(", ")}\n`);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
