/** Requests that are not events, at a relay that need not have a lane of the vendor's. */
import { expect, test } from "vitest";
import type { ClusterEnvironment } from "../../src/cluster/cluster-environment.ts";
import { ExchangeWorld } from "./lib/exchange-world.ts";

const REQUEST = { method: "GET", path: "/users/u", body: new Uint8Array(0), type: undefined } as const;

async function urlsOf(world: ExchangeWorld, relay: ClusterEnvironment): Promise<readonly string[]> {
  const answer = await relay.passThrough({ source: "app", vendor: "trophy" }, REQUEST, 1_000);
  expect(answer?.status).toBe(201);
  return world.urls.splice(0);
}

test("the vendor's first destination is asked, with a lane of its own here or without one", async () => {
  const world = new ExchangeWorld({ destinations: ["first", "second"], partitions: 1 });
  const one = await world.openOne();
  const two = await world.open("two");
  expect([one.shards.length, two.shards.length]).toEqual([1, 0]);
  for (const relay of [one, two]) expect(await urlsOf(world, relay)).toEqual(["http://first.test/users/u"]);
  expect(await two.passThrough({ source: "app", vendor: "getfluxly" }, REQUEST, 1_000)).toBeUndefined();
});
