/** Stored events: one with what each vendor gets of it, and searches of a log without an index. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { type Answered, destination, type RelayWorld, send, startWorld, until } from "../lib/world.ts";

const SECRET = "a-secret-of-ours";

function get({ relay }: RelayWorld, path: string): Promise<Answered> {
  return send(relay.adminUrl, "GET", path, "", {});
}

const ARCHIVE = mkdtempSync(join(tmpdir(), "waybill-archive-"));
afterAll(() => rmSync(ARCHIVE, { recursive: true }));

const DESTINATIONS = (url: string): Record<string, unknown> => ({
  emulator: destination(url, { writeKey: SECRET }),
  quiet: destination(url, { writeKey: SECRET, filter: { exclude: ["Viewed"] } }),
  elsewhere: destination(url, { sources: ["other"] }),
  mixpanel: {
    vendor: "mixpanel",
    url,
    writeKey: SECRET,
    serviceAccount: { username: "robot", secret: SECRET, projectId: "7" },
  },
  posthog: { vendor: "posthog", url, writeKey: SECRET },
  hook: {
    vendor: "http",
    url: `${url}/${SECRET}?key=${SECRET}`,
    headers: { "x-api-key": SECRET },
    signingSecret: SECRET,
  },
  archive: { vendor: "file", path: `${ARCHIVE}/events.ndjson` },
});

const TWO_SOURCES = {
  web: { protocol: "segment", writeKeys: ["write-key"] },
  other: { protocol: "segment", writeKeys: ["other-key"] },
};

test("an event is shown as it was stored and as each vendor gets it, without any key", async () => {
  const world = await startWorld({ sources: TWO_SOURCES, destinations: DESTINATIONS });
  await world.post("/v1/track", { userId: "u-1", event: "Viewed", messageId: "m-1", properties: { n: 1.0 } });
  await world.arrived(1);
  const { status, text, json } = await get(world, "/v1/events/test/0");
  expect(status).toBe(200);
  expect(json).toMatchObject({
    environment: "test",
    position: 0,
    source: "web",
    type: "track",
    name: "Viewed",
    messageId: "m-1",
    userId: "u-1",
  });
  expect(JSON.parse(String(json["event"]))).toMatchObject({ messageId: "m-1" });
  const byName = new Map((json["destinations"] as Record<string, unknown>[]).map((one) => [one["name"], one]));
  expect(byName.get("emulator")).toMatchObject({ contentType: "application/json", why: null });
  expect(JSON.parse(String(byName.get("emulator")?.["sent"]))).toMatchObject({ batch: [{ messageId: "m-1" }] });
  expect(byName.get("quiet")).toMatchObject({ sent: null, why: "filtered" });
  expect(byName.get("elsewhere")).toMatchObject({ sent: null, why: "source" });
  for (const name of ["mixpanel", "posthog", "hook", "archive"])
    expect(byName.get(name), name).toMatchObject({ sent: expect.stringContaining("Viewed") as string, why: null });
  expect(text).not.toContain(SECRET);
});

test("what is shown is not sent", async () => {
  const world = await startWorld();
  await world.post("/v1/track", { userId: "u-1", event: "Viewed", messageId: "m-1" });
  await until(() => world.relay.accounts().lanes[0]?.account.delivered === 1);
  for (let look = 0; look < 5; look++) expect((await get(world, "/v1/events/test/0")).status).toBe(200);
  expect(world.delivered).toHaveLength(1);
  expect(world.relay.accounts().lanes[0]).toMatchObject({ attempts: 1, inFlight: 0 });
});

test("the settings of each destination are shown without any secret", async () => {
  const world = await startWorld({ sources: TWO_SOURCES, destinations: DESTINATIONS });
  for (const name of Object.keys(DESTINATIONS("http://127.0.0.1:1"))) {
    const { text, status, json } = await get(world, `/v1/lanes/test/${name}`);
    expect(status).toBe(200);
    expect(text).not.toContain(SECRET);
    expect(json).toMatchObject({ settings: { timeoutMs: 10_000, maxInFlight: 64, redact: [] } });
  }
  const { json } = await get(world, "/v1/lanes/test/hook");
  expect(json["settings"]).toMatchObject({
    url: expect.stringMatching(/^http:\/\/127.0.0.1:\d+\/…$/) as string,
    headers: { "x-api-key": "(secret)" },
    signingSecret: "(secret)",
    format: "ndjson",
  });
});

test("an event that is not there is unknown", async () => {
  const world = await startWorld();
  for (const path of ["/v1/events/test/0", "/v1/events/nowhere/0", `/v1/events/test/${Number.MAX_SAFE_INTEGER - 1}`])
    expect((await get(world, path)).status).toBe(404);
  expect((await get(world, "/v1/events/test/x")).status).toBe(400);
});

async function startSearched(): Promise<RelayWorld> {
  const world = await startWorld({ sources: TWO_SOURCES });
  const other = { authorization: `Basic ${btoa("other-key:")}` };
  const batch = [...Array(150).keys()].map((n) => ({
    type: n % 3 === 0 ? "identify" : "track",
    userId: `u-${n % 10}`,
    messageId: `s-${n}`,
    ...(n % 3 === 0 ? {} : { event: `Event ${n % 5}` }),
  }));
  await world.post("/v1/batch", { batch });
  await world.post("/v1/track", { anonymousId: "wanderer", event: 'Lönely/"one"', messageId: "s-odd" }, other);
  await until(() => world.relay.accounts().lanes[0]?.account.accepted === 151);
  return world;
}

test("a search finds by user, name, type, source and time, the oldest first", async () => {
  const world = await startSearched();
  const found = async (query: string): Promise<readonly Record<string, unknown>[]> => {
    const { status, json } = await get(world, `/v1/search?environment=test&${query}`);
    expect(status).toBe(200);
    expect(json).toMatchObject({ next: null, environment: "test" });
    expect(json["scannedBytes"]).toBeGreaterThan(0);
    return json["events"] as readonly Record<string, unknown>[];
  };
  const ofUser = await found("user=u-3");
  expect(ofUser).toHaveLength(15);
  expect(ofUser[0]).toMatchObject({ position: 3, source: "web", type: "identify", name: null, messageId: "s-3" });
  expect((await found("user=u-3&type=track")).every(({ type }) => type === "track")).toBe(true);
  expect((await found("name=Event%201&user=u-1")).map(({ messageId }) => messageId)).toEqual(
    [1, 11, 31, 41, 61, 71, 91, 101, 121, 131].map((n) => `s-${n}`),
  );
  for (const query of ["user=wanderer", "source=other", `name=${encodeURIComponent('Lönely/"one"')}`])
    expect(await found(query), query).toMatchObject([{ messageId: "s-odd", anonymousId: "wanderer", userId: null }]);
  expect(await found("user=u-3&since=2099-01-01")).toEqual([]);
  expect(await found("user=u-3&until=2000-01-01")).toEqual([]);
  expect(await found("user=nobody")).toEqual([]);
  // A part of another id is not the id.
  expect(await found("user=u-")).toEqual([]);
});

test("a search that finds more than 100 goes on where it ended, without a gap or a duplicate", async () => {
  const world = await startSearched();
  const positions: number[] = [];
  let query = "source=web";
  for (let page = 0; page < 3; page++) {
    const { json } = await get(world, `/v1/search?${query}`);
    positions.push(...(json["events"] as { position: number }[]).map(({ position }) => position));
    if (json["next"] === null) break;
    query = `source=web&from=${String(json["next"])}`;
  }
  expect(positions).toEqual([...Array(150).keys()]);
});

test("one environment need not be named, and one that is not there is unknown", async () => {
  const world = await startWorld();
  expect((await get(world, "/v1/search")).json).toMatchObject({ events: [], next: null, scannedBytes: 0 });
  expect((await get(world, "/v1/search?environment=nowhere")).status).toBe(404);
});
