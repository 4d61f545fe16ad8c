import type { Argument, Command, Option } from "commander";
import { LANE } from "../command.ts";

/** What a place of the command line can hold; `none` where only the person knows. */
export type Completes = "destination" | "file" | "none" | readonly string[];

export interface CompletedOption {
  /** `--json`, and a short one where there is one. */
  readonly names: readonly string[];
  readonly description: string;
  /** Of its value; `undefined`: it takes none. */
  readonly value: Completes | undefined;
}

export interface CompletedCommand {
  /** `["lanes", "show"]`; empty for the program. */
  readonly path: readonly string[];
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly CompletedOption[];
  readonly argument: Completes;
}

/** Groups that list where no command of theirs is named. */
const LISTING_GROUPS: ReadonlySet<string> = new Set(["lanes"]);

/** Every command that help shows, the program first. */
export function commandTree(program: Command): readonly CompletedCommand[] {
  return nodesOf(program, []);
}

function nodesOf(command: Command, path: readonly string[]): readonly CompletedCommand[] {
  const help = command.createHelp();
  const inner = help.visibleCommands(command);
  const listing = LISTING_GROUPS.has(command.name()) ? inner.filter((one) => one.name() === "list") : [];
  const options = [command, ...listing].flatMap((one) => help.visibleOptions(one));
  const node: CompletedCommand = {
    path,
    commands: inner.map((one) => ({ name: one.name(), description: firstPart(help.subcommandDescription(one)) })),
    options: [...new Map(options.map((option) => [option.long, option])).values()].map(optionOf),
    argument: completesOf(command.registeredArguments[0]),
  };
  return [node, ...inner.flatMap((one) => nodesOf(one, [...path, one.name()]))];
}

function optionOf(option: Option): CompletedOption {
  return {
    names: [option.long, option.short].filter((name) => name !== undefined),
    description: firstPart(option.description),
    value: option.required || option.optional ? valueOf(option) : undefined,
  };
}

function valueOf({ argChoices, flags }: Option): Completes {
  if (argChoices !== undefined) return argChoices;
  return /<(?:file|directory)>/.test(flags) ? "file" : "none";
}

function completesOf(argument: Argument | undefined): Completes {
  if (argument === undefined) return "none";
  if (argument.argChoices !== undefined) return argument.argChoices;
  const name = argument.name();
  if (`<${name}>` === LANE) return "destination";
  return /file|directory/.test(name) ? "file" : "none";
}

/** Up to the first semicolon or full stop: a list of completions has one line for each. */
function firstPart(description: string): string {
  return /^[^;.]*/.exec(description)?.[0] ?? "";
}
