/**
 * Mixpanel as a destination, against its emulator: what becomes of each event and of each profile
 * update.
 */
import {
  type Attempt,
  type Batch,
  createSender,
  fullJitter,
  type Outcome,
  type SendContext,
  TextBatch,
} from "@waybill/core";
import { emulators, SeededRandom, SimNetwork, VirtualClock } from "@waybill/testing";
import { testVendor } from "@waybill/testing/suites";
import { adapterOf } from "@waybill/vendors/registry";
import { expect, test } from "vitest";
import { type MixpanelSettings, mixpanelProtocol } from "../../src/mixpanel/outbound.ts";

const version = "1.2.3";
const origin = "http://mixpanel.test";
const DAY_MS = 86_400_000;
const START_MS = 1_700_000_000_000;
type Emulator = emulators.MixpanelEmulator;

const insertIds = (emulator: Emulator): string[] =>
  emulator.events.map(({ properties }) => String((properties as { $insert_id: unknown }).$insert_id));

const eventOf = ($insert_id: string, properties: object = {}): string =>
  JSON.stringify({ event: "E", properties: { time: 1_000_000_000, distinct_id: "u", $insert_id, ...properties } });

testVendor("mixpanel", {
  origin,
  adapter: adapterOf("mixpanel"),
  url: `${origin}/`,
  emulator(clock) {
    const emulator = new emulators.MixpanelEmulator({ clock, tokens: ["right"] });
    return {
      handle: emulator.handle,
      fail: (failure) => emulator.fail(failure),
      ids: () => insertIds(emulator),
    };
  },
  event: (messageId, bytes = 0) => eventOf(messageId, { p: "x".repeat(bytes) }),
});

interface World {
  readonly clock: VirtualClock;
  readonly network: SimNetwork;
  readonly emulator: Emulator;
  readonly attempts: Attempt[];
  send(texts: readonly string[], metadata?: string): Promise<readonly Outcome[]>;
}

function setUp(options: emulators.MixpanelEmulatorOptions = {}, settings: Partial<MixpanelSettings> = {}): World {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const network = new SimNetwork({ clock, random });
  const emulator = new emulators.MixpanelEmulator({ clock, tokens: ["right"], ...options });
  network.serve(origin, emulator.handle);
  const sender = createSender({
    protocol: mixpanelProtocol({ url: origin, token: "right", version, ...settings }),
    runtime: { clock, random, transport: network.transport },
    timeoutMs: 5_000,
    backoff: fullJitter(1_000, 60_000),
    maxAttempts: Number.POSITIVE_INFINITY,
  });
  const attempts: Attempt[] = [];
  const never = new AbortController().signal;
  const context: SendContext = {
    soon: never,
    now: never,
    watch: { attempted: (attempt) => void attempts.push(attempt), waiting: () => undefined, resumed: () => undefined },
  };
  const send = async (texts: readonly string[], metadata = "mixpanel"): Promise<readonly Outcome[]> => {
    let outcomes: readonly Outcome[] | undefined;
    void sender.send(batchOf(texts, metadata), context).then((result) => {
      outcomes = result;
    });
    await clock.until(() => outcomes !== undefined);
    return outcomes as unknown as readonly Outcome[];
  };
  return { clock, network, emulator, attempts, send };
}

function batchOf(texts: readonly string[], metadata = "mixpanel"): Batch {
  const sizes = texts.map((text) => Buffer.byteLength(text));
  return new TextBatch({ key: "k", metadata, oldestAtMs: START_MS, texts, sizes });
}

function count(outcomes: readonly Outcome[], status: Outcome["status"]): number {
  return outcomes.filter((outcome) => outcome.status === status).length;
}

test.each(["$insert_id", "insert_id"] as const)(
  "two refused events of fifty are rejected with their reason, and nothing is sent again (%s)",
  async (recordId) => {
    const { emulator, send } = setUp({ recordId });
    const texts = Array.from({ length: 50 }, (_, index) =>
      eventOf(`id-${index}`, index === 7 ? { distinct_id: "null" } : index === 9 ? { time: "soon" } : {}),
    );
    const outcomes = await send(texts);
    expect(count(outcomes, "delivered")).toBe(48);
    expect(outcomes[7]).toEqual({
      status: "rejected",
      reason: "properties.distinct_id: 'properties.distinct_id' is invalid: null",
    });
    expect(outcomes[9]).toMatchObject({ status: "rejected" });
    expect(emulator.requests).toBe(1);
    expect(emulator.raw).toHaveLength(48);
  },
);

test("an answer whose counts do not add up sends the others again; a list without places goes by ids", () => {
  const { classify } = mixpanelProtocol({ token: "t", version });
  const batch = batchOf(["a", "b", "c"].map((id) => eventOf(id)));
  const answer = (body: object): ReturnType<typeof classify> =>
    classify({ status: 400, headers: {}, body: JSON.stringify(body) }, batch, 0);
  const failed = { index: 1, field: "f", message: "m" };
  const rejected = { status: "rejected", reason: "f: m" };
  expect(answer({ num_records_imported: 1, failed_records: [failed] })).toMatchObject([
    { status: "retryable" },
    rejected,
    { status: "retryable" },
  ]);
  for (const name of ["$insert_id", "insert_id"]) {
    const byId = { [name]: "c", field: "f", message: "m" };
    expect(answer({ num_records_imported: 2, failed_records: [byId] })).toMatchObject([
      { status: "delivered" },
      { status: "delivered" },
      rejected,
    ]);
  }
  // Nobody's: halves find out.
  for (const list of [[{ field: "f" }], [{ index: 3 }], [{ index: -1 }], [null], "no list"])
    expect(answer({ num_records_imported: 2, failed_records: list })).toHaveProperty("split");
  const body = JSON.stringify({ failed_records: [failed] });
  expect(classify({ status: 400, headers: {}, body, cut: true }, batch, 0)).toHaveProperty("split");
  const fewer = classify({ status: 200, headers: {}, body: '{"num_records_imported":1}' }, batch, 0);
  expect(fewer).toEqual(new Array(3).fill({ status: "delivered" }));
});

test("events of any age arrive, and the open path would have thrown them away", async () => {
  const { clock, emulator, send } = setUp();
  await clock.advance(30 * DAY_MS);
  const time = clock.now() - 6 * DAY_MS;
  expect(await send([eventOf("a", { time })])).toEqual([{ status: "delivered" }]);
  expect(emulator.events).toHaveLength(1);
  const body = new TextEncoder().encode(JSON.stringify({ event: "E", properties: { token: "right", time } }));
  await emulator.handle({ method: "POST", path: "/track", headers: {}, body });
  expect(emulator.dropped).toMatchObject([{ reason: "too_old" }]);
});

test("a rate limit of a rolling minute is waited for with backoff, one request at a time", async () => {
  const { clock, emulator, attempts, send } = setUp({ eventsPerMinute: 10 });
  const startedAt = clock.monotonic();
  expect(count(await send(Array.from({ length: 10 }, (_, index) => eventOf(`a-${index}`))), "delivered")).toBe(10);
  expect(count(await send(Array.from({ length: 10 }, (_, index) => eventOf(`b-${index}`))), "delivered")).toBe(10);
  expect(clock.monotonic() - startedAt).toBeGreaterThanOrEqual(60_000);
  expect(attempts.filter(({ status }) => status === 429).length).toBeLessThan(20);
  expect(emulator.events).toHaveLength(20);
});

test("a service account sends with its project; a wrong one halts", async () => {
  const account = { username: "name", secret: "s:ü", projectId: "7" };
  const right = setUp({ tokens: [], serviceAccounts: [account] }, { serviceAccount: account });
  // The emulator splits at the first colon, as Basic does.
  const [outcome] = await right.send([eventOf("a")]);
  expect(outcome?.status).toBe("halted");
  const plain = { username: "name", secret: "secret", projectId: "7" };
  const other = setUp({ tokens: [], serviceAccounts: [plain] }, { serviceAccount: plain });
  expect(await other.send([eventOf("a")])).toEqual([{ status: "delivered" }]);
  expect(other.emulator.posts[0]?.path).toBe("/import?strict=1&project_id=7");
});

test("events without a time get that of their batch, the same at every attempt", async () => {
  const { emulator, send } = setUp();
  const texts = ["a", "b"].map(($insert_id) =>
    JSON.stringify({ event: "E", properties: { distinct_id: "u", $insert_id } }),
  );
  emulator.fail({ kind: "resetAfter", times: 2 });
  expect(count(await send(texts, "mixpanel untimed"), "delivered")).toBe(2);
  expect(emulator.raw).toHaveLength(6);
  expect(emulator.events).toMatchObject([{ properties: { time: START_MS } }, { properties: { time: START_MS } }]);
  // Without it the vendor refuses them.
  expect(count(await send(texts), "rejected")).toBe(2);
});

test("profile updates go one a request with the destination's token, those of one profile in order", async () => {
  const { emulator, send } = setUp();
  const updates = [
    { $distinct_id: "u", $set: { a: 1 } },
    { $distinct_id: "v", $append: { l: 1 } },
    { $distinct_id: "u", $set: { a: 2 } },
    { $distinct_id: "u", $nothing: 1 },
    { $distinct_id: "u", $add: { n: 2 } },
  ].map((update) => JSON.stringify(update));
  const outcomes = await send(updates, "mixpanel engage");
  expect(outcomes.map(({ status }) => status)).toEqual([
    "delivered",
    "delivered",
    "delivered",
    "rejected",
    "delivered",
  ]);
  expect(emulator.requests).toBe(5);
  expect(Object.fromEntries(emulator.profiles.users)).toEqual({ u: { a: 2, n: 2 }, v: { l: [1] } });
  expect(emulator.profiles.updates[0]).toMatchObject({ $token: "right" });
  const group = JSON.stringify({ $group_key: "company", $group_id: "acme", $set: { size: 3 } });
  expect(await send([group], "mixpanel groups")).toEqual([{ status: "delivered" }]);
  expect(Object.fromEntries(emulator.profiles.groups)).toEqual({ "company:acme": { size: 3 } });
});

test("an addition that was cut after it was sent is not made again, and is shown as unknown; all else is sent again", async () => {
  const { emulator, network, clock, send } = setUp();
  const add = (id: string): string => JSON.stringify({ $distinct_id: id, $add: { n: 1 } });
  const set = JSON.stringify({ $distinct_id: "u", $set: { a: 1 } });
  emulator.fail({ kind: "resetAfter", times: 1 });
  const [unknown] = await send([add("u")], "mixpanel engage");
  expect(unknown).toMatchObject({ status: "rejected", reason: expect.stringContaining("unknown") as string });
  expect(emulator.profiles.users.get("u")).toEqual({ n: 1 });
  emulator.fail({ kind: "resetAfter", times: 1 });
  expect(await send([set], "mixpanel engage")).toEqual([{ status: "delivered" }]);
  // Refused, and answered: nothing has happened.
  emulator.fail({ kind: "status", status: 503, times: 2 });
  expect(await send([add("v")], "mixpanel engage")).toEqual([{ status: "delivered" }]);
  network.remove(origin);
  clock.after(10_000, () => network.serve(origin, emulator.handle));
  expect(await send([add("w")], "mixpanel engage")).toEqual([{ status: "delivered" }]);
  expect(Object.fromEntries(emulator.profiles.users)).toMatchObject({ u: { n: 1, a: 1 }, v: { n: 1 }, w: { n: 1 } });
});

test("a wrong token of a profile update halts nothing that the vendor says nothing about, a wrong path does", () => {
  const { classify } = mixpanelProtocol({ token: "t", version });
  const batch = batchOf(["{}"], "mixpanel engage");
  const of = (status: number, body: string): unknown => classify({ status, headers: {}, body }, batch, 0);
  expect(of(200, "1")).toEqual([{ status: "delivered" }]);
  expect(of(200, '{"status":1,"error":null}')).toEqual([{ status: "delivered" }]);
  expect(of(200, "0\n")).toMatchObject([{ status: "rejected" }]);
  expect(of(200, '{"status":0,"error":"no token"}')).toEqual([{ status: "rejected", reason: "200 no token" }]);
  expect(of(413, "")).toMatchObject([{ status: "rejected" }]);
  expect(of(429, "")).toMatchObject([{ status: "retryable" }]);
  for (const status of [301, 401, 403, 404]) expect(of(status, "")).toMatchObject([{ status: "halted" }]);
});
