import type { ClusterLane } from "@waybill/relay";
import type { Tone } from "./terminal.ts";

const MODE_TONES: Readonly<Record<ClusterLane["mode"], Tone>> = {
  idle: "good",
  sending: "good",
  waiting: "warning",
  paused: "warning",
  halted: "error",
  failed: "error",
  closed: "quiet",
  unowned: "error",
  unknown: "quiet",
};

/** Of a lane's mode. A newer relay may have one that is not known here. */
export function modeTone(mode: ClusterLane["mode"]): Tone {
  return MODE_TONES[mode] ?? "plain";
}
