import type { CompletedCommand, Completes } from "./command-tree.ts";
import { optionsWithValue, pathText, patterns, quoted, valuePatterns } from "./shell-text.ts";

/** For bash from 3.2 on; nothing of bash-completion is needed. */
export function bashScript(commands: readonly CompletedCommand[]): string {
  return `# Completion of waybill for bash: source <(waybill completion bash)
_waybill() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  local at= commands= options= kind=none index name
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$at \${COMP_WORDS[index]}" in
      ${patterns(commands.filter(({ path }) => path.length > 0).map(pathText))})
        at="$at \${COMP_WORDS[index]}" ;;
    esac
  done
  case "$at $before" in
${valueCases(commands).join("\n")}
  esac
  case "$at" in
${commands.map(commandCase).join("\n")}
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$current")); return ;;
  esac
  case "$kind" in
    destination)
      while IFS= read -r name; do
        case "$name" in "$current"*) COMPREPLY+=("$name") ;; esac
      done < <(_waybill_destinations) ;;
    file) _waybill_files ;;
    *) COMPREPLY=($(compgen -W "$commands" -- "$current")) ;;
  esac
}
_waybill_files() {
  local name
  while IFS= read -r name; do COMPREPLY+=("$name"); done < <(compgen -f -- "$current")
  compopt -o filenames 2>/dev/null
}
# Names from the relay that the line names; none where it does not answer at once.
_waybill_destinations() {
  local url=$WAYBILL_ADMIN_URL token=$WAYBILL_ADMIN_TOKEN
  [[ $COMP_LINE =~ --admin[=\\ ]+([^\\ ]+) ]] && url=\${BASH_REMATCH[1]}
  [[ $COMP_LINE =~ --token[=\\ ]+([^\\ ]+) ]] && token=\${BASH_REMATCH[1]}
  WAYBILL_ADMIN_URL=$url WAYBILL_ADMIN_TOKEN=$token "\${COMP_WORDS[0]}" completion destinations 2>/dev/null
}
complete -F _waybill waybill
`;
}

function commandCase(command: CompletedCommand): string {
  const { argument, commands, options } = command;
  const names = typeof argument === "string" ? commands.map(({ name }) => name) : argument;
  const kind = typeof argument === "string" ? argument : "none";
  const optionNames = options.flatMap((option) => option.names);
  return `    ${quoted(pathText(command))}) commands=${quoted(names.join(" "))} options=${quoted(optionNames.join(" "))} kind=${kind} ;;`;
}

/** Those that are answered alike in one line. */
function valueCases(commands: readonly CompletedCommand[]): readonly string[] {
  const byReply = new Map<string, string[]>();
  for (const [command, option] of optionsWithValue(commands)) {
    const reply = valueReply(option.value);
    byReply.set(reply, [...(byReply.get(reply) ?? []), valuePatterns(command, option)]);
  }
  return [...byReply].map(([reply, found]) => `    ${found.join("|")}) ${reply}return ;;`);
}

function valueReply(value: Completes | undefined): string {
  if (value === "file") return "_waybill_files; ";
  if (value === undefined || typeof value === "string") return "";
  return `COMPREPLY=($(compgen -W ${quoted(value.join(" "))} -- "$current")); `;
}
