/**
 * What a page tells its reader to do, in its order. In a page's Markdown:
 *
 *   ```sh              commands, run as they are
 *   ```sh again        commands that a reader repeats until they print the output that follows
 *   ```sh background   a command that runs on, in a terminal of its own
 *   ```yaml file=NAME  a file to write, in any language
 *   ```text output     what the commands before it print; `…` is any text, also of several lines
 *   ```sh example      not run: it is what a reader may do instead
 */

export type Step =
  | { readonly kind: "run" | "again" | "background" | "output"; readonly text: string; readonly line: number }
  | { readonly kind: "file"; readonly name: string; readonly text: string; readonly line: number };

const FENCE = /^```(\w+)(?: (.*))?\n([\s\S]*?)^```$/gm;

/** Blocks without any of these marks are not steps, unless they are `sh`. */
export function stepsOf(page: string): readonly Step[] {
  return [...page.matchAll(FENCE)].flatMap((match): readonly Step[] => {
    const [, language = "", mark = "", text = ""] = match;
    const line = page.slice(0, match.index).split("\n").length;
    if (mark.startsWith("file=")) return [{ kind: "file", name: mark.slice("file=".length), text, line }];
    if (mark === "again" || mark === "background" || mark === "output") return [{ kind: mark, text, line }];
    return language === "sh" && mark === "" ? [{ kind: "run", text, line }] : [];
  });
}

/**
 * Whether `printed` has the lines of `expected` in their order. `…` is any text, as a line of its
 * own any lines or none; several spaces are any number of them.
 */
export function isAsPrinted(printed: string, expected: string): boolean {
  const pattern = `\n${expected.trim()}\n`
    .replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll(/ {2,}/g, " +")
    .replaceAll(/\n…(?=\n)/g, "(?:\n[^]*)?")
    .replaceAll("…", "[^]*?");
  return new RegExp(`^${pattern}$`).test(`\n${printed.replaceAll("\r", "").trim()}\n`);
}
