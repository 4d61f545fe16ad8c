import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Mutant {
  /** The behaviour that the defect takes out, as a short sentence. */
  readonly name: string;
  readonly file: string;
  /** Occurs in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /** The tests nearest to it: files or folders. */
  readonly tests: readonly string[];
}

export type OutOfDate = "is not there exactly once" | "its tests are gone";

/** Why a defect cannot be tried in the copy in `folder`: without its tests it would look found. */
export function outOfDateIn(folder: string, { file, find, tests }: Mutant): OutOfDate | undefined {
  const path = join(folder, file);
  if (!existsSync(path) || readFileSync(path, "utf8").split(find).length !== 2) return "is not there exactly once";
  return tests.every((test) => existsSync(join(folder, test))) ? undefined : "its tests are gone";
}
