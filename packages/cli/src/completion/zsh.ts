import type { CompletedCommand, CompletedOption, Completes } from "./command-tree.ts";
import { optionsWithValue, pathText, patterns, quoted, valuePatterns } from "./shell-text.ts";

/** Works when it is sourced after compinit, and as the file _waybill in a directory of fpath. */
export function zshScript(commands: readonly CompletedCommand[]): string {
  return `#compdef waybill
# Completion of waybill for zsh: source <(waybill completion zsh), after compinit
_waybill() {
  local at= kind=none index url=$WAYBILL_ADMIN_URL token=$WAYBILL_ADMIN_TOKEN
  local -a names options found
  for ((index = 2; index < CURRENT; index++)); do
    case "$at \${words[index]}" in
      (${patterns(commands.filter(({ path }) => path.length > 0).map(pathText))})
        at="$at \${words[index]}" ;;
    esac
    case "\${words[index]}" in
      (--admin) url=\${words[index+1]} ;;
      (--admin=*) url=\${words[index]#--admin=} ;;
      (--token) token=\${words[index+1]} ;;
      (--token=*) token=\${words[index]#--token=} ;;
    esac
  done
  case "$at \${words[CURRENT-1]}" in
${optionsWithValue(commands).map(valueCase).join("\n")}
  esac
  case "$at" in
${commands.map(commandCase).join("\n")}
  esac
  if [[ \${words[CURRENT]} == -* ]]; then
    _describe -o option options
    return
  fi
  case "$kind" in
    (destination)
      found=(\${(f)"$(WAYBILL_ADMIN_URL=$url WAYBILL_ADMIN_TOKEN=$token \${words[1]} completion destinations 2>/dev/null)"})
      compadd -a found ;;
    (file) _files ;;
    (*) (( \${#names} )) && _describe command names ;;
  esac
}
if [[ $funcstack[1] == _waybill ]]; then _waybill "$@"; else compdef _waybill waybill; fi
`;
}

function commandCase(command: CompletedCommand): string {
  const { argument, commands, options } = command;
  const names =
    typeof argument === "string"
      ? commands.map(({ name, description }) => described(name, description))
      : argument.map(quoted);
  const kind = typeof argument === "string" ? argument : "none";
  const shown = options.flatMap((option) => option.names.map((name) => described(name, option.description)));
  return `    (${quoted(pathText(command))})
      names=(${names.join(" ")})
      options=(${shown.join(" ")})
      kind=${kind} ;;`;
}

/** A name and what it is; names have no colons. */
function described(name: string, description: string): string {
  return quoted(`${name}:${description}`);
}

function valueCase([command, option]: readonly [CompletedCommand, CompletedOption]): string {
  return `    (${valuePatterns(command, option)}) ${valueReply(option.value)}return ;;`;
}

function valueReply(value: Completes | undefined): string {
  if (value === "file") return "_files; ";
  return value === undefined || typeof value === "string" ? "" : `compadd ${value.map(quoted).join(" ")}; `;
}
