import { readdirSync, readFileSync } from "node:fs";

/** From the built files; nothing is read from anywhere else. */
const FOLDER = new URL("../corpus/", import.meta.url);

/** The files of a target's corpus, in the order of their names. */
export function readCorpus(target: string): readonly Buffer[] {
  const folder = new URL(`${target}/`, FOLDER);
  return readdirSync(folder)
    .sort()
    .map((name) => readFileSync(new URL(name, folder)));
}
