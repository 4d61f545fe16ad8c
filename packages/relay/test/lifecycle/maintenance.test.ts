import { WaybillError } from "@waybill/core";
import { VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { Maintenance } from "../../src/lifecycle/maintenance.ts";

interface Passes {
  readonly maintenance: Maintenance;
  readonly clock: VirtualClock;
  readonly did: string[];
  readonly errors: unknown[];
}

function maintained(sync: () => Promise<void> = () => Promise.resolve()): Passes {
  const did: string[] = [];
  const errors: unknown[] = [];
  const clock = new VirtualClock(0);
  const environment = {
    name: "e",
    sync: () => {
      did.push("sync");
      return sync();
    },
    retain: () => {
      did.push("retain");
      return Promise.resolve(0);
    },
  };
  const plan = { opened: new Map([["e", environment]]), config: { retention: {} } };
  const log = { write: (code: string, fields: object) => errors.push({ code, ...fields }) };
  return { maintenance: new Maintenance({ plan, clock, log } as never), clock, did, errors };
}

test("cursors are synced every second, space is given back every ten", async () => {
  const { maintenance, clock, did } = maintained();
  maintenance.start();
  for (let second = 0; second < 11; second++) await clock.advance(1_000);
  expect(did).toEqual(["retain", ...new Array<string>(9).fill("sync"), "retain"]);
});

test("a pass that fails is logged, and the next one comes", async () => {
  const { maintenance, clock, did, errors } = maintained(() =>
    Promise.reject(new WaybillError("WAYBILL_DISK", "Cannot write: EIO")),
  );
  maintenance.start();
  for (let second = 0; second < 4; second++) await clock.advance(1_000);
  expect(did).toHaveLength(4);
  expect(errors).toEqual(new Array(3).fill({ code: "maintenance_failed", error: "Cannot write: EIO" }));
});

test("passes never overlap, and a stop waits for the one that is running and begins no other", async () => {
  let end = (): void => undefined;
  const { maintenance, clock, did } = maintained(() => new Promise((resolve) => (end = resolve)));
  maintenance.start();
  for (let second = 0; second < 5; second++) await clock.advance(1_000);
  expect(did).toEqual(["retain", "sync"]);
  let isStopped = false;
  const stopping = maintenance.stop().then(() => (isStopped = true));
  await clock.advance(1_000);
  expect(isStopped).toBe(false);
  end();
  await stopping;
  await clock.advance(5_000);
  expect(did).toEqual(["retain", "sync"]);
});
