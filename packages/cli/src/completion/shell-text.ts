import type { CompletedCommand, CompletedOption } from "./command-tree.ts";

/** A word that a POSIX shell takes as it is. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** ` lanes show`: how the scripts name a command; the program is the empty text. */
export function pathText({ path }: CompletedCommand): string {
  return path.map((name) => ` ${name}`).join("");
}

/** Patterns of a `case`: `' lanes'|' lanes show'`. */
export function patterns(texts: readonly string[]): string {
  return texts.map(quoted).join("|");
}

/** Of each command and option that takes a value: ` lanes list --mode`. */
export function valuePatterns(command: CompletedCommand, option: CompletedOption): string {
  return patterns(option.names.map((name) => `${pathText(command)} ${name}`));
}

/** The options that take a value. */
export function optionsWithValue(
  commands: readonly CompletedCommand[],
): readonly (readonly [CompletedCommand, CompletedOption])[] {
  return commands.flatMap((command) =>
    command.options.filter(({ value }) => value !== undefined).map((option) => [command, option] as const),
  );
}
