/**
 * Destinations beside the vendors', and what each destination gets: filters, samples, redaction,
 * where it may be.
 */
import { createHmac } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { type ServerRequest, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { steadyClock } from "../lib/steady-clock.ts";
import { KEY, type RelayWorld, send, startWorld, until } from "../lib/world.ts";

const track = (messageId: string, event: string, more: object = {}): object => ({
  type: "track",
  messageId,
  event,
  userId: "u",
  ...more,
});

async function settled({ relay }: RelayWorld): Promise<void> {
  await until(() => relay.accounts().lanes.every(({ account }) => account.pending === 0));
}

/** A relay whose only destination is `http` at a server of ours. */
async function httpWorld(
  destination: object,
  more: object = {},
): Promise<RelayWorld & { readonly requests: ServerRequest[] }> {
  const requests: ServerRequest[] = [];
  const server = await startServer((request) => {
    requests.push(request);
    return { status: 200, headers: {}, body: "" };
  });
  onTestFinished(() => server.close());
  const world = await startWorld({
    destinations: () => ({
      hook: { vendor: "http", url: `${server.url}/in?x=1`, batch: { linger: "20ms" }, ...destination },
    }),
    ...more,
  });
  return { ...world, requests };
}

const textOf = ({ body }: ServerRequest): string => Buffer.from(body).toString();

test("http: a line per event, byte for byte, signed with the time, under headers of one's own", async () => {
  const world = await httpWorld({ headers: { "X-Own": "yes" }, signingSecret: "a-long-secret" });
  await world.post(
    "/v1/batch",
    '{"batch":[{"type":"track","messageId":"1","event":"E",\n"userId":"u","n":1.0}, {"type":"track","messageId":"2","event":"E","userId":"u"}]}',
  );
  await settled(world);
  const [request] = world.requests as [ServerRequest];
  expect(textOf(request)).toBe(
    '{"type":"track","messageId":"1","event":"E", "userId":"u","n":1.0}\n{"type":"track","messageId":"2","event":"E","userId":"u"}\n',
  );
  expect(request).toMatchObject({
    path: "/in?x=1",
    headers: {
      "content-type": "application/x-ndjson",
      "x-own": "yes",
      "idempotency-key": expect.stringMatching(/^hook\.[\da-f]{16}-0-2$/),
    },
  });
  const [, t, v1] = /^t=(\d+),v1=([\da-f]{64})$/.exec(request.headers["waybill-signature"] ?? "") ?? [];
  expect(v1).toBe(
    createHmac("sha256", "a-long-secret")
      .update(`${t}.${textOf(request)}`)
      .digest("hex"),
  );
});

test("http: the first batches of two relays with one configuration have different keys", async () => {
  const keys: (string | undefined)[] = [];
  for (const id of ["1", "2"]) {
    const world = await httpWorld({});
    await world.post("/v1/track", track(id, "E"));
    await settled(world);
    keys.push(world.requests[0]?.headers["idempotency-key"]);
  }
  expect(new Set(keys.map((key) => key?.replace(/\.[\da-f]{16}/, "")))).toEqual(new Set(["hook-0-1"]));
  expect(new Set(keys).size).toBe(2);
});

test("http: a JSON array", async () => {
  const world = await httpWorld({ format: "json" });
  await world.post("/v1/batch", { batch: [track("1", "A"), track("2", "B")] });
  await settled(world);
  expect(JSON.parse(textOf(world.requests[0] as ServerRequest))).toMatchObject([
    { messageId: "1" },
    { messageId: "2" },
  ]);
});

test("file: a line per event, rotated by size, appended to after a restart", async () => {
  const world = await startWorld({
    destinations: () => ({ emulator: { vendor: "segment", url: "http://127.0.0.1:9", writeKey: "k" } }),
  });
  await world.relay.stop();
  const path = `${world.directory}/out/events.ndjson`;
  const files = (): string[] => readdirSync(`${world.directory}/out`).toSorted((a, b) => a.localeCompare(b));
  const second = await startWorld({
    destinations: () => ({ file: { vendor: "file", path, rotateBytes: 600, batch: { linger: "1ms", maxEvents: 2 } } }),
  });
  for (let index = 0; index < 12; index++) {
    await second.post("/v1/track", track(`m-${index}`, "E"));
    await settled(second);
  }
  const lines = files().flatMap((file) => readFileSync(`${world.directory}/out/${file}`, "utf8").trimEnd().split("\n"));
  expect(files().length).toBeGreaterThan(1);
  expect(files()).toContain("events.ndjson");
  expect(files()[0]).toMatch(/^events-\d{4}-\d{2}-\d{2}T/);
  expect(lines.map((line) => (JSON.parse(line) as { messageId: string }).messageId)).toEqual(
    Array.from({ length: 12 }, (_, index) => `m-${index}`),
  );
  for (const file of files()) expect(readFileSync(`${world.directory}/out/${file}`).length).toBeLessThanOrEqual(600);
});

test("a filter leaves out types and names; what it lets pass keeps its bytes; the ledgers balance", async () => {
  const world = await httpWorld({
    filter: { types: ["track", "identify"], include: ["Order *", "Signed Up"], exclude: ["* Failed"] },
  });
  const passing = '{"type":"track","messageId":"1","event":"Order Completed","userId":"u","n":1.00}';
  await world.post(
    "/v1/batch",
    `{"batch":[${[passing, ...[track("2", "Order Failed"), track("3", "Debug"), track("4", "Signed Up"), { type: "page", messageId: "5", userId: "u" }, { type: "identify", messageId: "6", userId: "u" }].map((event) => JSON.stringify(event))].join(",")}]}`,
  );
  await settled(world);
  const lines = world.requests.map(textOf).join("").trimEnd().split("\n");
  expect(lines[0]).toBe(passing);
  expect(lines.map((line) => (JSON.parse(line) as { messageId: string }).messageId)).toEqual(["1", "4", "6"]);
  expect(world.relay.accounts().lanes[0]?.account).toMatchObject({
    accepted: 6,
    delivered: 3,
    dropped: 3,
    droppedByReason: { filtered: 3 },
    balanced: true,
  });
});

test("a sample is of users, the same at every relay, near its rate, and stamped", async () => {
  const world = await httpWorld({ sampleRate: 0.25 });
  for (let batch = 0; batch < 8; batch++)
    await world.post("/v1/batch", {
      batch: Array.from({ length: 250 }, (_, index) =>
        track(`m-${batch}-${index}`, "E", { userId: `user-${index * 2 + (batch % 2)}` }),
      ),
    });
  await settled(world);
  const events = world.requests
    .flatMap((request) => textOf(request).trimEnd().split("\n"))
    .map((line) => JSON.parse(line) as { userId: string; context: { sample_rate: number } });
  const users = new Map<string, number>();
  for (const { userId, context } of events) {
    users.set(userId, (users.get(userId) ?? 0) + 1);
    expect(context.sample_rate).toBe(0.25);
  }
  // Each user came four times: all or none.
  expect(new Set(users.values())).toEqual(new Set([4]));
  expect(users.size).toBeGreaterThan(500 * 0.18);
  expect(users.size).toBeLessThan(500 * 0.32);
  expect(world.relay.accounts().lanes[0]?.account.droppedByReason).toEqual({ sampled: 2_000 - events.length });
});

test("redacted fields are taken out, at any depth, and nothing else changes", async () => {
  const world = await httpWorld({ redact: ["properties.email", "context.device.id", "traits"] });
  await world.post(
    "/v1/track",
    track("1", "E", {
      properties: { email: "a@b.test", n: 1 },
      context: { device: { id: "x", kind: "phone" }, ip: "::1" },
    }),
  );
  await settled(world);
  const event = JSON.parse(textOf(world.requests[0] as ServerRequest)) as Record<string, unknown>;
  expect(event).toMatchObject({ properties: { n: 1 }, context: { device: { kind: "phone" }, ip: "::1" } });
  expect(JSON.stringify(event)).not.toContain("a@b.test");
  expect(JSON.stringify(event)).not.toContain('"x"');
});

test.each([
  "http://127.0.0.1:9",
  "http://localhost:9",
  "http://[::1]:9",
  "http://169.254.169.254",
  "http://10.0.0.1",
  "http://[::ffff:192.168.0.1]",
])("%s is refused as a destination unless private addresses are allowed; its events are kept", async (url) => {
  const world = await startWorld({
    destinations: () => ({
      inside: {
        vendor: "segment",
        url,
        writeKey: "k",
        backoff: { base: "5ms", max: "20ms" },
        batch: { linger: "1ms" },
      },
    }),
    extra: { network: { allowPrivateAddresses: false } },
  });
  await world.post("/v1/track", track("1", "E"));
  // It has a reason while it backs off, and none during its next attempt.
  let [lane] = world.relay.accounts().lanes;
  await until(() => {
    [lane] = world.relay.accounts().lanes;
    return lane?.reason !== undefined;
  });
  expect(lane?.lastError).toMatch(/: private_address \(network\.allowPrivateAddresses: true allows it\)$/);
  expect(lane?.reason).toContain("network.allowPrivateAddresses");
  expect(lane?.account.pending).toBe(1);
});

test("a key may send so many requests a second; beyond that 429 with Retry-After, other keys are not touched", async () => {
  const world = await startWorld({
    clock: steadyClock,
    sources: {
      web: { protocol: "segment", writeKeys: [KEY, "other"], maxRequestsPerSecond: 1, burst: 3 },
      mail: { protocol: "letter", writeKeys: ["lt"], maxRequestsPerSecond: 1, burst: 1 },
    },
  });
  const statuses: number[] = [];
  for (let index = 0; index < 5; index++)
    statuses.push((await world.post("/v1/track", track(`m-${index}`, "E"))).status);
  expect(statuses).toEqual([200, 200, 200, 429, 429]);
  expect((await world.post("/v1/track", track("x", "E"))).headers["retry-after"]).toBe("1");
  const other = { authorization: `Basic ${btoa("other:")}` };
  expect((await send(world.relay.intakeUrl, "POST", "/v1/track", track("y", "E"), other)).status).toBe(200);
  const postToMail = (): ReturnType<typeof send> =>
    send(world.relay.intakeUrl, "POST", "/v1/track", { userId: "u", event: "E" }, { authorization: "Bearer lt" });
  expect((await postToMail()).status).toBe(200);
  expect(await postToMail()).toMatchObject({ status: 429, json: { error: { code: "rate_limited" } } });
});
