/** How ingest requests are counted: whose they are, by route and class of the status. */
import { expect, test } from "vitest";
import { BASIC, type RelayWorld, send, startWorld } from "../lib/world.ts";

const NAME = "waybill_ingest_request_duration_seconds_count";
const BODIES = "waybill_ingest_request_body_bytes_count";

async function countsOf({ relay }: RelayWorld, metric: string): Promise<Readonly<Record<string, number>>> {
  const { text } = await send(relay.adminUrl, "GET", "/metrics", "", {});
  const samples = text.matchAll(new RegExp(`^${metric}\\{(.*)\\} (\\d+)$`, "gm"));
  return Object.fromEntries(
    [...samples].map(([, labels = "", count]) => [labels.replaceAll(/\w+=|"/g, ""), Number(count)]),
  );
}

test("requests are counted for the source of their key, wherever it is, by route and class of the status", async () => {
  const world = await startWorld({
    sources: {
      web: { protocol: "segment", writeKeys: ["write-key"] },
      shop: { protocol: "posthog", writeKeys: ["shop-key"] },
      flags: { protocol: "launchdarkly", writeKeys: ["flag-key"], environmentId: "env-id" },
    },
  });
  const event = { userId: "u", event: "E" };
  await world.post("/v1/track", event);
  await world.post("/v1//track/", event);
  await world.post("/v1/batch", { no: "batch" });
  await world.post("/v1/batch", { batch: [{ type: "track", ...event }], writeKey: "write-key" }, {});
  await world.post("/s/test/web/v1/track", event);
  await world.post("/v1/track", event, { authorization: `Basic ${btoa("nobody:")}` });
  await world.post("/batch", { api_key: "shop-key", batch: [{ event: "E", distinct_id: "u", properties: {} }] }, {});
  await world.post("/batch", { api_key: "nobody", batch: [{ event: "E", distinct_id: "u" }] }, {});
  await world.post("/events/bulk/env-id", [], {});
  await world.post("/nowhere", {}, BASIC);
  await send(world.relay.intakeUrl, "GET", "/ready", "", {});
  expect(await countsOf(world, NAME)).toEqual({
    "test,web,/v1/track,2xx": 3,
    "test,web,/v1/batch,4xx": 1,
    "test,web,/v1/batch,2xx": 1,
    "test,shop,/batch,2xx": 1,
    "test,flags,/events/bulk/*,2xx": 1,
    ",,/v1/track,4xx": 1,
    ",,/batch,4xx": 1,
    ",,,4xx": 1,
  });
  // Those alone whose bodies were read to their end.
  expect(await countsOf(world, BODIES)).toEqual({ "test,web": 5, "test,shop": 1, "test,flags": 1, ",": 1 });
});

test("a reload keeps what was counted, and a source that is gone has no metrics", async () => {
  const world = await startWorld({
    sources: {
      web: { protocol: "segment", writeKeys: ["write-key"] },
      old: { protocol: "segment", writeKeys: ["old-key"] },
    },
  });
  await world.post("/v1/track", { userId: "u", event: "E" });
  await world.post("/v1/track", { userId: "u", event: "E" }, { authorization: `Basic ${btoa("old-key:")}` });
  const [environment, ...others] = world.config.environments;
  if (environment === undefined) throw new Error("it has one");
  const sources = environment.sources.filter(({ name }) => name === "web");
  const reloaded = await world.relay.reload({
    ...world.config,
    environments: [{ ...environment, sources }, ...others],
  });
  expect(reloaded).toMatchObject({ ok: true });
  await world.post("/v1/track", { userId: "u", event: "E" });
  expect(await countsOf(world, NAME)).toEqual({ "test,web,/v1/track,2xx": 2 });
});
