/**
 * Which commands there are, and the one that is called: a start reads the code of no other one.
 * Help, completion and a command that is unknown need them all.
 */
import type { AddCommand } from "./command.ts";

type Load = () => Promise<AddCommand>;

/** By the word after `waybill`, in the order of its help. */
export const COMMANDS: Readonly<Record<string, Load>> = {
  dev: async () => (await import("./commands/dev.ts")).addDevCommand,
  relay: async () => (await import("./commands/relay.ts")).addRelayCommand,
  send: async () => (await import("./commands/send.ts")).addSendCommand,
  status: async () => (await import("./commands/status.ts")).addStatusCommand,
  lanes: async () => (await import("./commands/lanes.ts")).addLanesCommand,
  "pause|resume|probe": async () => (await import("./commands/steer.ts")).addSteerCommands,
  rotate: async () => (await import("./commands/rotate.ts")).addRotateCommand,
  reload: async () => (await import("./commands/reload.ts")).addReloadCommand,
  tail: async () => (await import("./commands/tail.ts")).addTailCommand,
  trace: async () => (await import("./commands/trace.ts")).addTraceCommand,
  "dead-letters": async () => (await import("./commands/dead-letters.ts")).addDeadLettersCommand,
  replay: async () => (await import("./commands/replay.ts")).addReplayCommand,
  config: async () => (await import("./commands/config.ts")).addConfigCommand,
  log: async () => (await import("./commands/log.ts")).addLogCommand,
  "upgrade-check": async () => (await import("./commands/upgrade-check.ts")).addUpgradeCheckCommand,
};

/** Describes all the others. */
const COMPLETION: Load = async () => (await import("./commands/completion.ts")).addCompletionCommand;

/** What adds the command that `argv` (with node and script first) calls, or all of them. */
export async function loadCommands([, , name]: readonly string[]): Promise<readonly AddCommand[]> {
  const called = Object.entries(COMMANDS).find(([names]) => names.split("|").includes(name ?? ""));
  return Promise.all(
    called === undefined ? [...Object.values(COMMANDS), COMPLETION].map((load) => load()) : [called[1]()],
  );
}
