import { expect, test } from "vitest";
import { SourceTrack } from "../../src/admin/live/sampler.ts";

test.each([
  // The disk is full: memory is not what is missing.
  ["log_full", 0],
  ["disk", 0],
  ["log_busy", 3],
  ["unavailable", 3],
])("a source whose requests are refused with %s is refused for memory %i times", (code, count) => {
  const track = new SourceTrack();
  for (const [refused, seconds] of [
    [0, 0],
    [3, 1],
  ] as const)
    track.note(undefined, { [code]: refused }, { nowMs: seconds * 1_000, monotonicMs: seconds * 1_000 });
  expect(track.refusedForMemory.events).toBe(count);
});
