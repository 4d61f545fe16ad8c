/** The licences of the libraries that are inside of a package, which ask to go along with them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface Library {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** One section for each library that has one of `files`. **Errors**: an `Error` without a text. */
export function licencesOf(files: readonly string[]): string {
  const folders = new Set(files.map((file) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] as string));
  const sections = [...folders].map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Library;
    const texts = readdirSync(folder).filter((file) => /^(?:licen[cs]e|notice)/i.test(file));
    const whole = texts.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n");
    return { title: `${name} ${version} (${license})`, text: whole };
  });
  if (sections.length === 0) throw new Error("no library is inside, which cannot be");
  const sorted = sections.toSorted((one, other) => one.title.localeCompare(other.title, "en"));
  const line = "-".repeat(80);
  return [
    "This package has these libraries inside.\n",
    ...sorted.map(({ title, text }) => `${line}\n${title}\n${text === "" ? "" : `\n${text}\n`}`),
  ].join("\n");
}
