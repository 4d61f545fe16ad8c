/** Keys of batches before a cluster: whoever has a lane gives its batches the same ones. */
import { resolveEnvironment } from "@waybill/relay/headless";
import { expect, test } from "vitest";
import { openOn } from "./lib/environment.ts";
import { EVENTS, OnePartition } from "./lib/one-partition.ts";

test("a lane has an id of its own in the keys of its batches, which goes to who takes it over", async () => {
  const world = new OnePartition();
  const keys: string[] = [];
  let answers = false;
  const open = (name: string) =>
    openOn({
      clock: world.clock,
      broker: world.cluster.connect(name),
      partitions: 1,
      config: resolveEnvironment("test", {
        sources: { web: { protocol: "segment", writeKeys: ["in"] } },
        destinations: { hook: { vendor: "http", url: "http://hook.test", batch: { maxEvents: EVENTS } } },
      }),
      transport: ({ headers }) => {
        keys.push(headers["idempotency-key"] ?? "");
        return answers ? Promise.resolve({ status: 200, headers: {}, body: "" }) : new Promise(() => undefined);
      },
    });
  (await open("one")).start();
  const places = Array.from({ length: EVENTS }, (_, number) => number);
  await world.clock.advance(5_000);
  await world.store(places);
  await world.clock.until(() => keys.length === 1);
  world.cluster.isolate("one");
  answers = true;
  (await open("two")).start();
  await world.clock.until(() => keys.length === 2);
  expect(keys[0]).toMatch(/^hook\.0\.[\da-f]{16}-0-\d+$/);
  expect(keys[1]).toBe(keys[0]);
});
