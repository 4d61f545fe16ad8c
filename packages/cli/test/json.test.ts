import { expect, test } from "vitest";
import { runHere } from "./lib/command.ts";

/** What they print is not a result, or is not for a program to read. */
const WITHOUT: ReadonlyMap<string, string> = new Map([
  ["relay", "its log lines are JSON in any case"],
  ["completion", "prints a script for a shell"],
]);

/** The commands below one, by its help: each as an array of its names. */
async function commandsBelow(words: readonly string[]): Promise<readonly (readonly string[])[]> {
  const { out } = await runHere([...words, "--help"]);
  const [, list = ""] = /\nCommands:\n([\s\S]*?)(?:\n\n|$)/.exec(out) ?? [];
  const names = [...list.matchAll(/^ {2}([a-z][a-z-]*)/gm)].map(([, name]) => name as string);
  const below = names.filter((name) => name !== "help").map((name) => [...words, name]);
  if (below.length === 0) return [words];
  return (await Promise.all(below.map(commandsBelow))).flat();
}

test("every command has --json", async () => {
  const commands = await commandsBelow([]);
  expect(commands.length).toBeGreaterThan(18);
  const without: string[] = [];
  for (const words of commands) {
    if (WITHOUT.has(words[0] as string)) continue;
    const { out } = await runHere([...words, "--help"]);
    if (!/^ {2}--json /m.test(out)) without.push(words.join(" "));
  }
  expect(without).toEqual([]);
});
