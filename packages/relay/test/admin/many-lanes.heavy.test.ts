/** An operator with a thousand lanes: what is shown of them is cheap, whoever watches. */
import { request } from "node:http";
import { nodeClock } from "@waybill/node";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { destination, type RelayWorld, send, startWorld, until } from "../lib/world.ts";

const LANES = 1_000;
const OVERVIEW_MAX_MS = 40;

let world: RelayWorld;

beforeAll(async () => {
  const destinations = (url: string): Record<string, unknown> =>
    Object.fromEntries([...Array(LANES).keys()].map((n) => [`lane-${n}`, destination(url)]));
  world = await startWorld({ keep: true, inMemory: true, destinations });
  await world.post("/v1/track", { userId: "u", event: "E", messageId: "m" });
  // To look at all lanes again and again would be most of the work.
  await until(() => world.delivered.length >= LANES);
  await until(() => world.relay.accounts().lanes.every(({ account }) => account.delivered === 1));
}, 120_000);

/**
 * The least of at most `runs` in CPU time, where one is cheap enough no more: other processes run
 * on this machine too.
 */
async function leastCpuMs(runs: number, maxMs: number, run: () => Promise<unknown>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let n = 0; n < runs && least >= maxMs; n++) {
    const before = process.cpuUsage();
    await run();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1_000);
  }
  return least;
}

/** Bytes of an answer, which nobody parses: that would be the client's work. */
function bytesOf(path: string): Promise<number> {
  const { hostname, port } = new URL(world.relay.adminUrl);
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, path, agent: false }, (incoming) => {
      let bytes = 0;
      incoming.on("data", (chunk: Buffer) => (bytes += chunk.length));
      incoming.on("end", () => resolve(bytes));
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}

test("the overview of 1,000 lanes takes less than 40 ms, on a busy machine too", async () => {
  const { json } = await send(world.relay.adminUrl, "GET", "/v1/overview", "", {});
  expect(json).toHaveProperty(`environments.0.destinations.${LANES - 1}.account.delivered`, 1);
  expect(await bytesOf("/v1/overview")).toBeGreaterThan(100_000);
  expect(await leastCpuMs(60, OVERVIEW_MAX_MS, () => bytesOf("/v1/overview"))).toBeLessThan(OVERVIEW_MAX_MS);
});

test("all who watch share one computation, and no more is made than twice a second", async () => {
  const { hostname, port } = new URL(world.relay.adminUrl);
  const watchers = await Promise.all(
    [...Array(20).keys()].map(
      () =>
        new Promise<{ messages: () => readonly string[] }>((resolve, reject) => {
          let text = "";
          const outgoing = request({ hostname, port, path: "/v1/live", agent: false }, (incoming) => {
            incoming.on("data", (chunk) => (text += String(chunk)));
            incoming.on("error", () => undefined);
            resolve({ messages: () => text.split("\n\n").filter((one) => one.startsWith("event: overview")) });
          });
          outgoing.on("error", reject);
          outgoing.end();
          onTestFinished(() => void outgoing.destroy());
        }),
    ),
  );
  await until(() => watchers.every(({ messages }) => messages().length > 0));
  const began = nodeClock.monotonic();
  for (let n = 0; nodeClock.monotonic() - began < 2_000; n++) {
    await world.post("/v1/track", { userId: "u", event: "E", messageId: `live-${n}` });
    await new Promise((resolve) => void nodeClock.after(50, () => resolve(0), true));
  }
  const seen = watchers.map(({ messages }) => messages().slice(0, 3));
  expect(new Set(seen.map((messages) => messages.length)).size).toBe(1);
  // Of the same reading: the time in it is the same for all.
  expect(new Set(seen.map((messages) => messages[1]?.slice(0, 60))).size).toBe(1);
  const took = (nodeClock.monotonic() - began) / 1_000;
  for (const { messages } of watchers) expect(messages().length).toBeLessThanOrEqual(2 + 2 * took);
});
