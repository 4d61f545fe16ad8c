/** What the admin API tells of single events, and what it does with them again. */

import { nodeClock } from "@waybill/node";
import { type DeadLetterPage, type ReplayView, startRelay, type Trace } from "@waybill/relay";
import { SegmentEmulator, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { destination, JSON_TYPE, type RelayWorld, send, startWorld, until } from "../lib/world.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };
const track = (messageId: string, more: object = {}): object => ({
  type: "track",
  event: "E",
  userId: "u",
  messageId,
  ...more,
});

async function admin<T>(
  { relay }: Pick<RelayWorld, "relay">,
  method: string,
  path: string,
  body: unknown = "",
): Promise<T> {
  const answer = await send(relay.adminUrl, method, path, body, body === "" ? {} : JSON_TYPE);
  if (answer.status >= 400) throw new Error(`${answer.status} ${answer.text}`);
  return answer.json as T;
}

test("a trace tells where an event is, and per destination each attempt and the outcome", async () => {
  const world = await startWorld({
    destinations: (url) => ({ emulator: destination(url), away: destination("http://127.0.0.1:9") }),
  });
  world.emulator.fail({ kind: "status", status: 503, times: 1 });
  await world.post("/v1/batch", { batch: [track("other"), track("mine", { properties: { about: "other" } })] });
  let events: Trace["events"] = [];
  await until(async () => {
    events = (await admin<Trace>(world, "GET", "/v1/trace/mine")).events;
    const [sent, unsent] = events[0]?.destinations ?? [];
    return sent?.outcome === "delivered" && unsent?.attempts[0] !== undefined;
  });
  expect(events).toMatchObject([{ environment: "test", source: "web", position: 1, event: { messageId: "mine" } }]);
  const [emulator, away] = events[0]?.destinations ?? [];
  expect(emulator).toMatchObject({
    destination: "emulator",
    outcome: "delivered",
    attempts: [
      { first: 0, count: 2, status: 503, retryable: 2, reason: expect.stringContaining("503") as string },
      { first: 0, count: 2, status: 200, delivered: 2 },
    ],
  });
  expect(away).toMatchObject({ destination: "away", outcome: "pending" });
  expect(away?.attempts[0]).not.toHaveProperty("status");
  // The id is also in the properties of "mine", which is another event.
  expect((await admin<Trace>(world, "GET", "/v1/trace/other")).events).toHaveLength(1);
  expect((await send(world.relay.adminUrl, "GET", "/v1/trace/nobody", "", {})).status).toBe(404);
  expect((await send(world.relay.adminUrl, "GET", "/v1/trace/x?since=soon", "", {})).status).toBe(400);
});

test("a trace of an id that a great many events have tells a hundred, and that there are more", async () => {
  // What is a duplicate is decided per source.
  const keys = Array.from({ length: 101 }, (_, index) => `key-${index}`);
  const sources = keys.map((key) => [`web-${key}`, { protocol: "segment", writeKeys: [key] }] as const);
  const world = await startWorld({ sources: Object.fromEntries(sources) });
  const post = (key: string, event: object): unknown =>
    world.post("/v1/track", event, { authorization: `Basic ${btoa(`${key}:`)}` });
  for (const key of keys) await post(key, track("frequent"));
  await post("key-1", track("m-1"));
  const traced = await admin<Trace>(world, "GET", "/v1/trace/frequent");
  expect([traced.events.length, traced.isCut]).toEqual([100, true]);
  expect(await admin<Trace>(world, "GET", "/v1/trace/m-1")).not.toHaveProperty("isCut");
});

test("a trace outlives a restart", async () => {
  const world = await startWorld();
  await world.post("/v1/track", track("kept"));
  await world.arrived(1);
  await world.relay.stop();
  const relay = await startRelay(world.config, { logger: silent as never });
  onTestFinished(() => relay.stop());
  const { events } = await admin<Trace>({ relay }, "GET", "/v1/trace/kept");
  expect(events[0]?.destinations).toMatchObject([{ outcome: "delivered", attempts: [{ status: 200, delivered: 1 }] }]);
});

test("dead letters: listed, filtered, exported, discarded, and sent again with their own ledger", async () => {
  const world = await startWorld();
  world.emulator.refuse((event) => event["bad"] === true);
  const bad = (id: string): object => track(id, { bad: true, big: 1 });
  await world.post(
    "/v1/batch",
    `{"batch":[${JSON.stringify(bad("b1")).replace('"big":1', '"big":12345678901234567890')}]}`,
  );
  await world.post("/v1/batch", { batch: [track("good"), bad("b2"), bad("b3")] });
  await until(() => world.relay.accounts().lanes[0]?.account.rejected === 3);
  const path = "/v1/dead-letters/test/emulator";
  const first = await admin<DeadLetterPage>(world, "GET", `${path}?limit=2`);
  expect(first).toMatchObject({
    deadLetters: [
      { deadLetterId: 0, position: 0 },
      { deadLetterId: 1, position: 2 },
    ],
    next: 1,
  });
  expect(first.deadLetters[0]).toMatchObject({ state: "waiting", source: "web", event: { messageId: "b1" } });
  expect(first.deadLetters[0]?.reason).toContain("400");
  const named = await admin<DeadLetterPage>(world, "GET", `${path}?id=0`);
  expect(named.deadLetters[0]?.attempts?.length).toBeGreaterThan(0);
  const second = await admin<DeadLetterPage>(world, "GET", `${path}?limit=2&after=1`);
  expect(second.deadLetters.map(({ deadLetterId }) => deadLetterId)).toEqual([2]);
  expect(second.next).toBeUndefined();
  expect((await admin<DeadLetterPage>(world, "GET", `${path}?reason=nothing-like-it`)).deadLetters).toEqual([]);
  const exported = await send(world.relay.adminUrl, "GET", `${path}/export`, "", {});
  expect(exported.text.split("\n").filter((line) => line !== "")).toHaveLength(3);
  expect(exported.text).toContain('"big":12345678901234567890');

  expect(await admin(world, "POST", `${path}/discard?id=2`)).toEqual({ events: 1, discarded: 1 });
  world.emulator.refuse(() => false);
  const replay = await admin<ReplayView>(world, "POST", `${path}/retry`);
  expect(replay).toMatchObject({ of: "dead letters", account: { accepted: 2 } });
  await until(() => world.relay.accounts().replays[0]?.state === "done");
  expect(world.relay.accounts().replays[0]?.account).toMatchObject({ delivered: 2, pending: 0, balanced: true });
  expect(world.relay.accounts().lanes[0]).toMatchObject({
    account: { accepted: 4, delivered: 1, rejected: 3, balanced: true },
    deadLetters: { waiting: 0, retried: 2, discarded: 1, damaged: 0 },
  });
  expect(world.emulator.events.map(({ messageId }) => messageId).sort()).toEqual(["b1", "b2", "good"]);
  expect(world.delivered.join("\n")).toContain('"big":12345678901234567890');
  const traced = await admin<Trace>(world, "GET", "/v1/trace/b1");
  expect(traced.events[0]?.destinations[0]).toMatchObject({
    outcome: "delivered",
    deadLetter: { deadLetterId: 0, state: "retried" },
    replays: [{ replay: replay.id, attempts: [{ status: 200 }] }],
  });
  // All are dealt with: nothing is left to send.
  expect((await admin<ReplayView>(world, "POST", `${path}/retry`)).account.accepted).toBe(0);
});

test("a replay sends a part of the log to a destination that was not there then, with the same ids", async () => {
  const later = new SegmentEmulator({ clock: nodeClock, limits: "none" });
  const server = await startServer(later.handle);
  onTestFinished(() => server.close());
  const world = await startWorld({
    sources: {
      web: { protocol: "segment", writeKeys: ["write-key"] },
      app: { protocol: "segment", writeKeys: ["app-key"] },
    },
  });
  await world.post("/v1/batch", { batch: [track("1"), track("2", { event: "F" }), track("3")] });
  await world.post("/v1/batch", { batch: [track("4")] }, { authorization: `Basic ${btoa("app-key:")}` });
  await world.post("/v1/batch", { batch: [track("5")] });
  await world.arrived(5);
  const environments = world.config.environments.map((environment) => ({
    ...environment,
    destinations: environment.destinations.flatMap((one) => [one, { ...one, name: "later", url: server.url }]),
  }));
  const reloaded = await world.relay.reload({ ...world.config, environments });
  expect(reloaded.ok).toBe(true);
  const request = { destination: "later", source: "web", event: "E", since: 0 };
  expect(await admin(world, "POST", "/v1/replays/test", { ...request, dryRun: true })).toEqual({ events: 3 });
  expect(world.relay.accounts().replays).toEqual([]);
  await admin(world, "POST", "/v1/replays/test", request);
  await until(() => world.relay.accounts().replays[0]?.state === "done");
  expect(later.events.map(({ messageId }) => messageId)).toEqual(["1", "3", "5"]);
  expect(world.relay.accounts().replays[0]?.account).toMatchObject({ accepted: 3, delivered: 3, balanced: true });
  expect(world.relay.accounts().lanes[1]?.account).toMatchObject({ accepted: 0, delivered: 0, balanced: true });
  const trace = await admin<Trace>(world, "GET", "/v1/trace/1");
  expect(trace.events[0]?.destinations[1]).toMatchObject({
    outcome: "not_addressed",
    replays: [{ attempts: [{ delivered: 3 }] }],
  });
});

test.each([
  ["an unknown field", { destination: "emulator", sinse: 0 }, "There is no field sinse; did you mean since?"],
  ["no destination", {}, "The field destination is missing; it must be the name of a destination."],
  ["an unknown destination", { destination: "nobody" }, "no destination test/nobody", 404],
  [
    "a bad time",
    { destination: "emulator", since: "yesterday" },
    "The field since must be a time as ISO 8601 or in epoch milliseconds, not yesterday.",
  ],
  [
    "a bad rate",
    { destination: "emulator", eventsPerSecond: 0 },
    "The field eventsPerSecond must be a number from 0.001 to 1000000, not 0.",
  ],
  ["a body that is not JSON", "{", "The body is not JSON."],
])("a replay with %s is refused, saying what is wrong", async (_name, body, message, status = 400) => {
  const world = await startWorld();
  const answer = await send(world.relay.adminUrl, "POST", "/v1/replays/test", body, JSON_TYPE);
  expect(answer.status).toBe(status);
  expect(answer.text).toContain(message);
});
