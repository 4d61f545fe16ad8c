import { type AdminOptions, withAdminOptions } from "../admin-client.ts";
import { callWithin } from "../admin-deadline.ts";
import type { AddCommand } from "../command.ts";
import { bashScript } from "../completion/bash.ts";
import { type CompletedCommand, commandTree } from "../completion/command-tree.ts";
import { fishScript } from "../completion/fish.ts";
import { zshScript } from "../completion/zsh.ts";
import { EXIT, type Io, say } from "../io.ts";

interface Shell {
  readonly script: (commands: readonly CompletedCommand[]) => string;
  /** Its start-up file. */
  readonly place: string;
  /** The line for that file. */
  readonly install: string;
}

const SHELLS: ReadonlyMap<string, Shell> = new Map([
  ["bash", { script: bashScript, place: "In ~/.bashrc", install: "source <(waybill completion bash)" }],
  ["zsh", { script: zshScript, place: "In ~/.zshrc, after compinit", install: "source <(waybill completion zsh)" }],
  ["fish", { script: fishScript, place: "In ~/.config/fish/config.fish", install: "waybill completion fish | source" }],
]);

/** A person waits for it at every key. */
const DEADLINE_MS = 700;
/** Nothing else goes to a shell, whatever answers in the place of a relay. */
const SAFE_NAME = /^[\w.-]+\/[\w.-]+$/;

export const addCompletionCommand: AddCommand = (program, io, finish) => {
  const group = program.command("completion").description("print a script with which a shell completes this command");
  for (const [name, { script, place, install }] of SHELLS)
    group
      .command(name)
      .description(`print the script for ${name}: commands, options, and names of destinations`)
      .addHelpText("after", `\n${place}:\n  ${install}\n\nExample:\n  waybill completion ${name}`)
      .action(() => {
        for (const line of script(commandTree(program)).trimEnd().split("\n")) say(io, line);
      });
  withAdminOptions(group.command("destinations", { hidden: true })).action(async (options: AdminOptions) => {
    finish(await printDestinations(options, io));
  });
};

/** Prints no reason: it would appear in the middle of the line that a person types. */
async function printDestinations(options: AdminOptions, io: Io): Promise<number> {
  try {
    const environments = await callWithin(options, io, "listEnvironments", { withinMs: DEADLINE_MS });
    const names = environments.flatMap(({ environment, destinations }) =>
      destinations.map(({ destination }) => `${environment}/${destination}`),
    );
    for (const name of names) if (SAFE_NAME.test(name)) say(io, name);
    return EXIT.ok;
  } catch {
    return EXIT.failed;
  }
}
