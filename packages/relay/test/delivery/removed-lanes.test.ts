import { LaneState, newLaneState } from "@waybill/log";
import { SimDisk } from "@waybill/testing";
import { expect, test } from "vitest";
import { orphanedLanes } from "../../src/delivery/removed-lanes.ts";

/** Ten of the events from 5 on were settled out of their order. */
test.each([
  ["nothing is removed", 0, 35],
  ["less is removed than was settled", 9, 35],
  ["more is removed than was settled", 20, 30],
  ["all is removed", 50, 0],
])("events that wait for a removed destination are not taken for settled, where %s", async (_where, first, events) => {
  const disk = new SimDisk();
  const state = newLaneState({ first: 5, firstByte: 0, head: 5, headByte: 0 }, false);
  const lane = await LaneState.open(disk, "/data/lanes", "crm", () => ({ ...state, ahead: 10 }));
  await lane.write({ ...state, ahead: 10 });
  const log = { first, head: 50 };
  const lanes = await orphanedLanes({ directory: "/data", disk, log, isConfigured: () => false });
  expect(lanes).toEqual([{ destination: "crm", events }]);
});
