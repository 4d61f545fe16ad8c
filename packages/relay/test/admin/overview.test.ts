/** The overview of a running relay: its numbers, its problems, its live stream. */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { WaybillError } from "@waybill/core";
import { nodeClock } from "@waybill/node";
import type { Overview, RecentAttempt } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { destination, type RelayWorld, send, startWorld, until } from "../lib/world.ts";

async function overviewOf({ relay }: RelayWorld): Promise<Overview> {
  const { status, json } = await send(relay.adminUrl, "GET", "/v1/overview", "", {});
  expect(status).toBe(200);
  return json as unknown as Overview;
}

interface FakeVendor {
  readonly url: string;
  answer: { status: number; retryAfter?: string };
  requests: number;
}

async function startVendor(status: number): Promise<FakeVendor> {
  const vendor = { url: "", answer: { status }, requests: 0 } as FakeVendor & { url: string };
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      vendor.requests += 1;
      const { status: code, retryAfter } = vendor.answer;
      response.writeHead(code, retryAfter === undefined ? {} : { "retry-after": retryAfter }).end("{}");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  vendor.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return vendor;
}

const SLOW = { backoff: { base: "60s", max: "60s" } };

test("sources and destinations are shown with what came in, what went out and what waits", async () => {
  const world = await startWorld({
    destinations: (url) => ({ emulator: destination(url), some: destination(url, { sources: ["web"] }) }),
  });
  const batch = [...Array(20).keys()].map((n) => ({ type: "track", userId: "u", event: "E", messageId: `o-${n}` }));
  await world.post("/v1/batch", { batch });
  await world.post("/v1/track", { userId: "u", event: "E" }, { authorization: `Basic ${btoa("wrong:")}` });
  await until(async () => {
    const [environment] = (await overviewOf(world)).environments;
    const source = environment?.sources[0];
    return source?.lastSeenAt !== null && (environment?.destinations[0]?.eventsPerSecondOut ?? 0) > 0;
  });
  const { environments, problems, ready, unknownSourceRequestsByReason } = await overviewOf(world);
  expect(ready).toBe(true);
  expect(environments[0]).toMatchObject({
    name: "test",
    sources: [{ name: "web", protocol: "segment", acceptedTotal: 20, refusedByReason: {} }],
    destinations: [
      {
        name: "emulator",
        vendor: "segment",
        waitingEvents: 0,
        oldestAt: null,
        lossAt: null,
        account: { delivered: 20 },
      },
      { name: "some", sources: ["web"] },
    ],
  });
  expect(environments[0]?.sources[0]?.eventsPerSecond).toBeGreaterThan(0);
  expect(unknownSourceRequestsByReason).toEqual({ unauthorized: 1 });
  await until(async () => (await overviewOf(world)).problems.length > 0 || problems.length > 0);
  expect((await overviewOf(world)).problems).toMatchObject([{ code: "key_unknown", severity: "warning" }]);
});

test("it is known since when the events of a paused lane wait", async () => {
  const world = await startWorld();
  const lane = "/v1/lanes/test/emulator";
  const oldestAt = async (): Promise<number | null | undefined> =>
    (await overviewOf(world)).environments[0]?.destinations[0]?.oldestAt;
  await send(world.relay.adminUrl, "POST", `${lane}/pause`, "", {});
  expect(await oldestAt()).toBeNull();
  const before = nodeClock.now();
  await world.post("/v1/track", { userId: "u", event: "First" });
  const after = nodeClock.now();
  await world.post("/v1/track", { userId: "u", event: "Second" });
  await until(async () => ((await oldestAt()) ?? 0) >= before - 1);
  expect(await oldestAt()).toBeLessThanOrEqual(after + 1);
  await send(world.relay.adminUrl, "POST", `${lane}/resume`, "", {});
  await world.arrived(2);
  await until(async () => (await oldestAt()) === null);
});

test("a key that is refused, dead letters and a reload that failed are the problems of a running relay", async () => {
  const vendor = await startVendor(401);
  const world = await startWorld({
    destinations: (url) => ({ refused: destination(vendor.url), emulator: destination(url) }),
    reloadConfig: () => Promise.reject(new WaybillError("WAYBILL_CONFIG", "waybill.yaml:3:1 listen: is wrong")),
  });
  world.emulator.refuse(() => true);
  await world.post("/v1/track", { userId: "u", event: "E" });
  await send(world.relay.adminUrl, "POST", "/v1/reload", "", {});
  await until(async () => {
    const { problems } = await overviewOf(world);
    return problems.length === 3 && problems[0]?.since !== null;
  });
  const { problems, environments } = await overviewOf(world);
  expect(problems.map(({ code }) => code)).toEqual(["key_refused", "reload_failed", "dead_letters"]);
  expect(problems[0]).toMatchObject({
    destination: "refused",
    what: expect.stringMatching(/^refused refuses the key since \d\d:\d\d UTC \(401.*\); 1 event is kept\.$/) as string,
  });
  expect(environments[0]?.destinations[0]).toMatchObject({
    mode: "halted",
    since: problems[0]?.since,
    waitingEvents: 1,
  });
});

test.each([
  ["halted", 401],
  ["failing", 503],
])("a probe tries a lane that is %s at once, long before its next attempt", async (_name, status) => {
  const vendor = await startVendor(status);
  const world = await startWorld({ destinations: () => ({ slow: destination(vendor.url, SLOW) }) });
  await world.post("/v1/track", { userId: "u", event: "E" });
  const probe = async (): Promise<number> =>
    (await send(world.relay.adminUrl, "POST", "/v1/lanes/test/slow/probe", "", {})).status;
  await until(() => vendor.requests > 0 && world.relay.accounts().lanes[0]?.inFlight === 0);
  const before = vendor.requests;
  vendor.answer = { status: 200 };
  await until(async () => (await probe()) === 202);
  await until(() => world.relay.accounts().lanes[0]?.account.delivered === 1);
  expect(vendor.requests).toBeLessThanOrEqual(before + 2);
  expect(await probe()).toBe(409);
});

test("a lane that a person has paused is not probed", async () => {
  const vendor = await startVendor(503);
  const world = await startWorld({ destinations: () => ({ slow: destination(vendor.url, SLOW) }) });
  await send(world.relay.adminUrl, "POST", "/v1/lanes/test/slow/pause", "", {});
  await world.post("/v1/track", { userId: "u", event: "E" });
  const probed = await send(world.relay.adminUrl, "POST", "/v1/lanes/test/slow/probe", "", {});
  expect(probed).toMatchObject({ status: 409, json: { code: "nothing_to_probe" } });
  expect(vendor.requests).toBe(0);
});

test("the last requests of a lane are listed, the newest first", async () => {
  const world = await startWorld();
  for (let n = 0; n < 3; n++) {
    await world.post("/v1/track", { userId: "u", event: "E", messageId: `r-${n}` });
    await world.arrived(n + 1);
  }
  await until(() => world.relay.accounts().lanes[0]?.account.delivered === 3);
  const { json } = await send(world.relay.adminUrl, "GET", "/v1/lanes/test/emulator/attempts", "", {});
  const attempts = json["attempts"] as readonly RecentAttempt[];
  expect(attempts.map(({ sequence }) => sequence)).toEqual([3, 2, 1]);
  expect(attempts[0]).toMatchObject({ status: 200, events: 1, delivered: 1, retryable: 0, reason: null });
  expect(attempts[0]?.bytes).toBeGreaterThan(50);
});
