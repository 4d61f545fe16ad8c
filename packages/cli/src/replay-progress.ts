import { sleep } from "@waybill/core";
import { nodeClock } from "@waybill/node";
import type { ReplayView } from "@waybill/relay";
import { type AdminOptions, callAdmin, understood } from "./admin-client.ts";
import { counted } from "./counted.ts";
import { EXIT, type Io, say, sayJson } from "./io.ts";
import { createProgress } from "./progress.ts";

const LOOK_MS = 500;
/** How a replay ended. */
export const OVER: readonly ReplayView["state"][] = ["done", "cancelled", "failed"];

export interface FollowOptions extends AdminOptions {
  readonly wait?: boolean;
  readonly json?: boolean;
}

/**
 * Says that a replay was started, as `more` ends the sentence, and with `wait` how it ended.
 * Returns the exit code.
 */
export async function followReplay(
  begun: ReplayView,
  options: FollowOptions & { readonly more?: string },
  io: Io,
): Promise<number> {
  const { json, wait, more = "" } = options;
  const events = understood(options, () => begun.account.accepted);
  if (json !== true) say(io, `Replay ${begun.id} sends ${counted(events, "event")}${more}.`);
  if (wait !== true) {
    if (json === true) sayJson(io, begun);
    return events === 0 ? EXIT.failed : EXIT.ok;
  }
  const ended = await waitForReplay(begun, options, io);
  if (json === true) sayJson(io, ended);
  else say(io, resultOf(ended));
  return events === 0 ? EXIT.failed : exitCodeOf(ended);
}

/** Those of all partitions, as {@link followReplay}. Returns the worst of their exit codes. */
export async function followReplays(
  { events, replays }: { readonly events: number; readonly replays: readonly ReplayView[] },
  options: FollowOptions,
  io: Io,
): Promise<number> {
  if (options.wait !== true) {
    if (options.json === true) sayJson(io, { events, replays });
    else {
      const by = counted(replays.length, "replay");
      say(io, `${counted(events, "event")} sent again by ${by}; waybill replay list shows how they go.`);
    }
    return events === 0 ? EXIT.failed : EXIT.ok;
  }
  let code: number = events === 0 ? EXIT.failed : EXIT.ok;
  for (const replay of replays) {
    const { partition } = replay.partitions?.[0] ?? {};
    const more = partition === undefined ? " again" : ` of partition ${partition} again`;
    code = Math.max(code, await followReplay(replay, { ...options, more }, io));
  }
  return code;
}

/**
 * Waits until a replay is over, with a bar on a terminal and a line whenever it stops or goes on;
 * to its last view. Ctrl-C ends the wait and not the replay.
 */
async function waitForReplay(begun: ReplayView, options: AdminOptions, io: Io): Promise<ReplayView> {
  const progress = createProgress(io, { total: begun.account.accepted, unit: "events" });
  const stop = new AbortController();
  io.onStop(() => stop.abort());
  let view = begun;
  let reportedUnanswered: string | undefined;
  const onUnanswered = (why: string): void => {
    reportedUnanswered = why;
  };
  try {
    while (!OVER.includes(view.state) && (await sleep(nodeClock, LOOK_MS, stop.signal))) {
      const before = troubleOf(view);
      const replays = await callAdmin(options, io, "listReplays", { reportedUnanswered, onUnanswered });
      view = replays.find(({ id }) => id === begun.id) ?? view;
      const { accepted, pending } = view.account;
      progress.update(accepted - pending, accepted - pending);
      const trouble = troubleOf(view);
      if (trouble !== undefined && trouble !== before) progress.tell(trouble);
    }
  } finally {
    progress.stop();
  }
  return view;
}

function troubleOf({ state, reason }: ReplayView): string | undefined {
  return state === "running" || OVER.includes(state)
    ? undefined
    : `The replay is ${state}${reason === undefined ? "" : `: ${reason}`}`;
}

/** What became of its events, in a sentence. */
function resultOf({ id, state, reason, account }: ReplayView): string {
  const { accepted, delivered, rejected, dropped, expired, pending } = account;
  const parts = Object.entries({ delivered, rejected, dropped, expired, pending })
    .filter(([name, count]) => count > 0 || name === "delivered")
    .map(([name, count]) => `${count} ${name}`);
  return `Replay ${id} is ${state}${reason === undefined ? "" : ` (${reason})`}: ${accepted} chosen, ${parts.join(", ")}.`;
}

/** 0 when all of its events were delivered, or left out on purpose. */
function exitCodeOf({ state, account }: ReplayView): number {
  return state === "done" && account.rejected + account.expired === 0 ? EXIT.ok : EXIT.failed;
}
