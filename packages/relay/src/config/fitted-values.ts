/**
 * Values for references that are missing, offline: which one a schema takes is found by trying.
 * What is wrong with such a value is not a fault of the file.
 */
import type { ConfigFault } from "./faults.ts";
import type { OpenValue } from "./references.ts";
import type { ParsedConfig } from "./types.ts";

export interface Checked {
  readonly config?: ParsedConfig;
  readonly faults: readonly ConfigFault[];
}

/** In the order in which they are tried: an address, a duration, a size, a count, a flag. */
const CANDIDATES: readonly ((number: number) => unknown)[] = [
  (number) => `https://not-checked-${number}.invalid`,
  (number) => `127.0.0.1:${number}`,
  () => "1h",
  () => "1MiB",
  () => 50,
  () => true,
];

/** Checks again with other values as long as that helps. */
export function fitted(open: readonly OpenValue[], check: () => Checked): Checked {
  const tried = new Map<OpenValue, number>();
  for (;;) {
    const checked = check();
    const isAt = ({ line, column }: OpenValue, fault: ConfigFault): boolean =>
      line === fault.line && column === fault.column;
    const faulty = open.filter((value) => checked.faults.some((fault) => isAt(value, fault)));
    const next = faulty.filter((value) => value.isWhole && (tried.get(value) ?? 0) < CANDIDATES.length);
    if (next.length === 0) {
      const faults = checked.faults.filter((fault) => !open.some((value) => isAt(value, fault)));
      return { ...checked, faults };
    }
    for (const value of next) {
      const at = tried.get(value) ?? 0;
      tried.set(value, at + 1);
      value.node.value = CANDIDATES[at]?.(open.indexOf(value) + 1);
    }
  }
}
