import type { LaneMode } from "./lane-types.ts";

const MAY_FOLLOW: Readonly<Record<LaneMode, readonly LaneMode[]>> = {
  idle: ["sending"],
  sending: ["idle", "waiting", "halted"],
  waiting: ["sending"],
  halted: ["sending"],
  paused: ["idle"],
  failed: ["sending"],
  closed: [],
};
/** Any mode but closed and itself goes there. */
const ALWAYS: readonly LaneMode[] = ["paused", "failed", "closed"];

/** Whether a lane may go from the one mode to the other: lane.ts tells when it does. */
export function mayFollow(from: LaneMode, to: LaneMode): boolean {
  return ALWAYS.includes(to) ? from !== to && from !== "closed" : MAY_FOLLOW[from].includes(to);
}
