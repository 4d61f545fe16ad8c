/** In every test: a lane's mode changes only as the table of modes has it. */
import { Lane, type LaneMode, mayFollow } from "@waybill/core";
import { afterAll, afterEach, expect } from "vitest";

interface Modes {
  mode: LaneMode;
  setMode(mode: LaneMode, reason?: string): void;
}

const lanes = Lane.prototype as unknown as Modes;
const { setMode } = lanes;
let wrong: string[] = [];

lanes.setMode = function (mode, reason) {
  if (!mayFollow(this.mode, mode)) wrong.push(`${this.mode} -> ${mode}`);
  setMode.call(this, mode, reason);
};

afterEach(() => {
  const seen = wrong;
  wrong = [];
  expect(seen).toEqual([]);
});

// Files of tests may share a process.
afterAll(() => {
  lanes.setMode = setMode;
});
