import type { LaneMode } from "@waybill/relay";
import type { Tone } from "./terminal.ts";

const MODE_TONES: Readonly<Record<LaneMode, Tone>> = {
  idle: "good",
  sending: "good",
  waiting: "warning",
  paused: "warning",
  halted: "error",
  failed: "error",
  closed: "quiet",
};

/** Of a lane's mode. A newer relay may have one that is not known here. */
export function modeTone(mode: LaneMode): Tone {
  return MODE_TONES[mode] ?? "plain";
}
