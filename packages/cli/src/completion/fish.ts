import type { CompletedCommand, CompletedOption } from "./command-tree.ts";
import { pathText } from "./shell-text.ts";

/** One line for each command, option and argument. */
export function fishScript(commands: readonly CompletedCommand[]): string {
  const paths = commands.filter(({ path }) => path.length > 0).map((command) => quoted(pathText(command)));
  return `# Completion of waybill for fish: waybill completion fish | source
function __waybill_at
    set -l at ''
    for word in (commandline -opc)[2..-1]
        if contains -- "$at $word" ${paths.join(" ")}
            set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
# Names from the relay; none where it does not answer at once.
function __waybill_destinations
    waybill completion destinations 2>/dev/null
end
complete -c waybill -f
${commands.flatMap(commandLines).join("\n")}
`;
}

function commandLines(command: CompletedCommand): readonly string[] {
  const at = `complete -c waybill -n ${quoted(`__waybill_at ${quoted(pathText(command))}`)}`;
  const named = command.commands.map(({ name, description }) => `-a ${quoted(name)} -d ${quoted(description)}`);
  const options = command.options.map(optionText);
  return [...named, ...argumentTexts(command), ...options].map((text) => `${at} ${text}`);
}

function argumentTexts({ argument }: CompletedCommand): readonly string[] {
  if (argument === "none") return [];
  if (argument === "file") return ["-F"];
  return [argument === "destination" ? "-a '(__waybill_destinations)'" : `-a ${quoted(argument.join(" "))}`];
}

function optionText({ names, description, value }: CompletedOption): string {
  const flags = names.map((name) => (name.startsWith("--") ? `-l ${name.slice("--".length)}` : `-s ${name.slice(1)}`));
  return [...flags, valueText(value), `-d ${quoted(description)}`].filter((part) => part !== "").join(" ");
}

function valueText(value: CompletedOption["value"]): string {
  if (value === undefined) return "";
  if (value === "file") return "-r -F";
  return typeof value === "string" ? "-x" : `-x -a ${quoted(value.join(" "))}`;
}

/** In single quotes fish takes a backslash before a quote or a backslash as an escape. */
function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
