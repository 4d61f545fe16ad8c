/** What the relay tells of single events is true, whatever became of them. */
import { LaneState, type LaneStateValue, NO_FATES } from "@waybill/log";
import { nodeDisk, nodeRuntime } from "@waybill/node";
import { type ReplayView, startRelay, type Trace, type TraceDestination } from "@waybill/relay";
import { startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { BASIC, destination, JSON_TYPE, type RelayWorld, send, startWorld, until } from "../lib/world.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };
const track = (messageId: string, more: object = {}): object => ({
  type: "track",
  event: "Kept",
  userId: "u",
  messageId,
  ...more,
});

async function ask<T>({ relay }: Pick<RelayWorld, "relay">, path: string): Promise<T> {
  const answer = await send(relay.adminUrl, "GET", path, "", {});
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
  return answer.json as T;
}

async function outcomesOf(world: Pick<RelayWorld, "relay">, id: string): Promise<readonly TraceDestination[]> {
  return (await ask<Trace>(world, `/v1/trace/${id}`)).events[0]?.destinations ?? [];
}

function settled({ relay }: Pick<RelayWorld, "relay">): Promise<void> {
  return until(() => relay.accounts().lanes.every(({ account }) => account.pending === 0));
}

test("what a filter, a sample or a missing translation left out is dropped, with its reason, and in no attempt", async () => {
  const world = await startWorld({
    destinations: (url) => ({
      filtered: destination(url, { filter: { include: ["Kept"] } }),
      sampled: destination(url, { sampleRate: 1e-9 }),
      letter: { ...destination(url), vendor: "letter" },
    }),
  });
  await world.post("/v1/batch", {
    batch: [
      track("kept"),
      track("left", { event: "Left out" }),
      track("last"),
      { type: "page", userId: "u", messageId: "page" },
    ],
  });
  await settled(world);
  const check = async (from: Pick<RelayWorld, "relay">): Promise<void> => {
    const [filtered, sampled] = await outcomesOf(from, "left");
    expect(filtered).toMatchObject({ outcome: "dropped", reason: "filtered", attempts: [] });
    expect(sampled).toMatchObject({ outcome: "dropped", reason: "sampled", attempts: [] });
    expect((await outcomesOf(from, "kept"))[0]).toMatchObject({ outcome: "delivered", attempts: [{ status: 200 }] });
    expect((await outcomesOf(from, "page"))[2]).toMatchObject({ outcome: "dropped", reason: "unsupported" });
  };
  await check(world);
  await world.relay.stop();
  const relay = await startRelay(world.config, { logger: silent as never });
  onTestFinished(() => relay.stop());
  await check({ relay });
});

test("a lane whose fates are lost says so in /metrics, and its trace does not guess", async () => {
  const world = await startWorld();
  await world.post("/v1/batch", { batch: [track("one"), track("two")] });
  await settled(world);
  const metric = async (from: Pick<RelayWorld, "relay">): Promise<string> =>
    /waybill_lane_unknown_fates\{.*\} (\S+)/.exec(
      (await send(from.relay.adminUrl, "GET", "/metrics", "", {})).text,
    )?.[1] ?? "";
  expect(await metric(world)).toBe("0");
  await world.relay.stop();
  // As a state whose fates were given up for want of room: it claims nothing about the events
  // before its cursor.
  const state = await LaneState.open<LaneStateValue>(
    nodeDisk,
    `${world.config.dataDirectory}/test/lanes`,
    "emulator",
    () => {
      throw new Error("there is a state");
    },
  );
  const lost = { from: state.initial.position, runs: [], before: NO_FATES };
  await state.write({ ...state.initial, fates: lost });
  await state.close();
  const relay = await startRelay(world.config, { logger: silent as never });
  onTestFinished(() => relay.stop());
  expect(await metric({ relay })).toBe("2");
  expect((await outcomesOf({ relay }, "one"))[0]).toMatchObject({ outcome: "unknown" });
});

test("an attempt says how many events its request held, and is listed only for those", async () => {
  const world = await startWorld({
    destinations: (url) => ({ emulator: destination(url, { filter: { include: ["Kept"] } }) }),
  });
  world.emulator.refuse((event) => event["bad"] === true);
  await world.post("/v1/batch", {
    batch: [track("a"), track("x", { event: "Other" }), track("b"), track("c", { bad: true })],
  });
  await settled(world);
  // The vendor refuses the request as a whole; halves find the event at fault.
  const requests = async (id: string): Promise<readonly (readonly number[])[]> =>
    ((await outcomesOf(world, id))[0]?.attempts ?? []).map(({ first, count }) => [first, count]);
  expect(await requests("a")).toEqual([
    [0, 3],
    [0, 1],
  ]);
  expect(await requests("b")).toEqual([
    [0, 3],
    [2, 2],
    [2, 1],
  ]);
  expect(await requests("c")).toEqual([
    [0, 3],
    [2, 2],
    [3, 1],
  ]);
  expect((await outcomesOf(world, "a"))[0]).toMatchObject({ outcome: "delivered" });
  expect((await outcomesOf(world, "x"))[0]).toMatchObject({ outcome: "dropped", attempts: [] });
  expect((await outcomesOf(world, "c"))[0]).toMatchObject({ outcome: "rejected" });
});

test("an event that is delivered while it is traced is not shown as delivered without an attempt", async () => {
  let answer: (() => void) | undefined;
  const vendor = await startServer(async () => {
    await new Promise<void>((resolve) => (answer = resolve));
    return { status: 200, headers: {}, body: "{}" };
  });
  onTestFinished(() => vendor.close());
  const world = await startWorld({ destinations: () => ({ slow: destination(vendor.url) }) });
  await world.relay.stop();
  let isTraced = false;
  const delivered = (): boolean => relay.accounts().lanes[0]?.account.delivered === 1;
  const list = async (path: string): Promise<readonly string[]> => {
    const names = await nodeDisk.list(path);
    if (!isTraced || !path.endsWith("/attempts/slow")) return names;
    answer?.();
    await until(delivered);
    return names;
  };
  const runtime = { ...nodeRuntime(), disk: { ...nodeDisk, list } };
  const relay = await startRelay(world.config, { logger: silent as never, runtime });
  onTestFinished(() => relay.stop());
  await send(relay.intakeUrl, "POST", "/v1/track", track("one"));
  await until(() => answer !== undefined);
  isTraced = true;
  expect(await outcomesOf({ relay }, "one")).toMatchObject([{ outcome: "pending", attempts: [] }]);
  expect(await outcomesOf({ relay }, "one")).toMatchObject([{ outcome: "delivered", attempts: [{ status: 200 }] }]);
});

test("a dead letter that was sent again is delivered, after the retry", async () => {
  const world = await startWorld();
  world.emulator.refuse((event) => event["bad"] === true);
  await world.post("/v1/batch", { batch: [track("fine"), track("bad", { bad: true })] });
  await settled(world);
  expect((await outcomesOf(world, "bad"))[0]).toMatchObject({ outcome: "rejected", deadLetter: { state: "waiting" } });
  world.emulator.recover();
  world.emulator.refuse(() => false);
  await send(world.relay.adminUrl, "POST", "/v1/dead-letters/test/emulator/retry", "", JSON_TYPE);
  let bad: TraceDestination | undefined;
  await until(async () => {
    [bad] = await outcomesOf(world, "bad");
    return bad?.outcome === "delivered" && bad.replays[0]?.outcome === "delivered";
  });
  expect(bad).toMatchObject({
    outcome: "delivered",
    deliveredByRetryAtMs: expect.any(Number) as number,
    deadLetter: { state: "retried" },
  });
  expect(bad?.replays).toMatchObject([{ outcome: "delivered", attempts: [{ status: 200 }] }]);
});

test("a replay has an outcome of its own for each event that it chose", async () => {
  const world = await startWorld({
    destinations: (url) => ({ emulator: destination(url, { filter: { include: ["Kept"] } }) }),
  });
  await world.post("/v1/batch", {
    batch: [track("a"), track("b", { event: "Other" }), { type: "page", userId: "u", messageId: "p" }],
  });
  await settled(world);
  const body = { destination: "emulator", type: "track" };
  const begun = await send(world.relay.adminUrl, "POST", "/v1/replays/test", body, JSON_TYPE);
  expect(begun.status).toBe(202);
  await until(() => world.relay.accounts().replays[0]?.state === "done");
  const { id } = begun.json as unknown as ReplayView;
  expect((await outcomesOf(world, "a"))[0]?.replays).toMatchObject([{ replay: id, outcome: "delivered" }]);
  expect((await outcomesOf(world, "b"))[0]?.replays).toMatchObject([
    { replay: id, outcome: "dropped", reason: "filtered", attempts: [] },
  ]);
  expect((await outcomesOf(world, "p"))[0]?.replays).toEqual([]);
});

test("an event is found by its receipt or position, with or without an id", async () => {
  const world = await startWorld();
  const answer = await world.post("/v1/batch", { batch: [track("one"), { type: "track", event: "E", userId: "u" }] });
  const receipt = String(answer.headers["waybill-receipt"]);
  expect(receipt).toBe("test/0+2");
  await settled(world);
  const found = await ask<Trace>(world, `/v1/receipts/${receipt.replace("+", "%2B")}`);
  expect(found.events).toMatchObject([
    { position: 0, event: { messageId: "one" }, destinations: [{ outcome: "delivered" }] },
    { position: 1, destinations: [{ outcome: "delivered" }] },
  ]);
  expect((await ask<Trace>(world, "/v1/receipts/test/1")).events).toHaveLength(1);
  expect((await send(world.relay.adminUrl, "GET", "/v1/receipts/test/7", "", {})).status).toBe(404);
  expect((await send(world.relay.adminUrl, "GET", "/v1/receipts/test/x", "", {})).status).toBe(400);
});

test("PostHog's ids are found", async () => {
  const world = await startWorld({
    sources: { hog: { protocol: "posthog", writeKeys: ["phc_key"] } },
  });
  const uuid = "0198c0de-7a11-4c3e-9f00-5d3c6ad2b1aa";
  const batch = [{ event: "seen", distinct_id: "u", properties: {}, uuid }];
  const answer = await world.post("/s/hog/batch/", { api_key: "phc_key", batch }, {});
  expect(answer.status).toBe(200);
  await settled(world);
  expect((await outcomesOf(world, uuid))[0]).toMatchObject({ outcome: "delivered" });
});

test("what was never stored, or is not any more, is not found, and the answer says where the log begins", async () => {
  const world = await startWorld();
  await world.post("/v1/track", track("one"), BASIC);
  const answer = await send(world.relay.adminUrl, "GET", "/v1/trace/nobody", "", {});
  expect(answer.status).toBe(404);
  expect(answer.text).toMatch(/the log of test begins at \d{4}-/);
});
