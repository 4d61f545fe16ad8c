import { connect } from "node:net";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { nodeClock } from "@waybill/node";
import { startRelay } from "@waybill/relay";
import { SegmentEmulator, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { BASIC, configOf, destination, send, startWorld, until } from "../lib/world.ts";

let made = 0;
const track = (messageId = `r-${made++}`): object => ({ type: "track", event: "E", userId: "u", messageId });
const silent = { info() {}, warn() {}, error() {}, debug() {} } as never;

test.each([
  ["invalid JSON", "/v1/batch", "{", 400, "invalid_json"],
  ["not an object", "/v1/batch", "[1]", 400, "not_an_object"],
  ["no batch", "/v1/batch", "{}", 400, "batch_missing"],
  ["a batch that is not an array", "/v1/batch", '{"batch":1}', 400, "batch_not_array"],
  ["nothing at all", "/v1/batch", "", 400, "empty_body"],
  ["bytes that are not UTF-8", "/v1/track", Buffer.from([0x22, 0xff, 0x22]), 400, "invalid_utf8"],
  ["an unknown route", "/v2/batch", "{}", 404, "unknown_route"],
  ["only events that are refused", "/v1/batch", '{"batch":[{"type":"x"}]}', 400, "unknown_type"],
])("refuses %s with a stable code, stores nothing and goes on", async (_name, path, body, status, code) => {
  const { post, relay, arrived } = await startWorld();
  expect(await post(path, body)).toMatchObject({ status, json: { code, message: expect.any(String) as string } });
  expect(relay.accounts().lanes[0]?.account.accepted).toBe(0);
  expect((await post("/v1/track", track())).status).toBe(200);
  await arrived(1);
});

test("refuses a wrong method, naming the right one", async () => {
  const { relay } = await startWorld();
  const answer = await send(relay.intakeUrl, "GET", "/v1/batch", "");
  expect(answer).toMatchObject({
    status: 405,
    json: { code: "method_not_allowed" },
    headers: { allow: "POST, OPTIONS" },
  });
  expect(answer.headers["content-type"]).toBe("application/problem+json");
});

test("refuses a body above the limit, declared or not, and stores nothing", async () => {
  const { relay, post } = await startWorld({ extra: { limits: { bodyMaxBytes: "10KB" } } });
  expect(await post("/v1/batch", "x".repeat(20_000))).toMatchObject({ status: 413, json: { code: "body_too_large" } });
  const { hostname, port } = new URL(relay.intakeUrl);
  const socket = connect(Number(port), hostname);
  let text = "";
  socket.on("data", (chunk) => {
    text += String(chunk);
  });
  socket.on("error", () => undefined);
  socket.write(
    `POST /v1/batch HTTP/1.1\r\nhost: x\r\nauthorization: ${BASIC["authorization"]}\r\ntransfer-encoding: chunked\r\n\r\n`,
  );
  for (let chunk = 0; chunk < 20; chunk++) socket.write(`400\r\n${"y".repeat(1_024)}\r\n`);
  await until(() => text.includes("HTTP/1.1 413"));
  socket.destroy();
  expect(relay.accounts().lanes[0]?.account.accepted).toBe(0);
});

test.each([
  ["gzip", gzipSync],
  ["deflate", deflateSync],
  ["br", brotliCompressSync],
])("takes %s", async (encoding, compress) => {
  const { post, arrived } = await startWorld();
  expect(
    (
      await post("/v1/batch", compress(JSON.stringify({ batch: [track()] })), {
        ...BASIC,
        "content-encoding": encoding,
      })
    ).status,
  ).toBe(200);
  await arrived(1);
});

test("delivers to every destination; one that fails delays no other", async () => {
  const broken = new SegmentEmulator({ clock: nodeClock });
  const brokenServer = await startServer(broken.handle);
  onTestFinished(() => brokenServer.close());
  broken.fail({ kind: "hang" });
  const { post, arrived, relay } = await startWorld({
    destinations: (url) => ({ good: destination(url), broken: destination(brokenServer.url, { timeout: "100ms" }) }),
  });
  for (let index = 0; index < 50; index++) await post("/v1/batch", { batch: [track()] });
  await arrived(50);
  await until(() => relay.accounts().lanes[0]?.account.pending === 0);
  const [good, bad] = relay.accounts().lanes;
  expect(good?.account).toMatchObject({ accepted: 50, delivered: 50, balanced: true });
  expect(bad?.account).toMatchObject({ accepted: 50, delivered: 0, pending: 50, balanced: true });
  expect(bad?.oldestPendingMs).toBeTypeOf("number");
  expect(bad?.pendingBytes).toBeGreaterThan(0);
  broken.recover();
  await until(() => broken.received === 50);
});

test("one bad event becomes a dead letter with its reason and harms no other", async () => {
  const { post, emulator, arrived, relay } = await startWorld();
  emulator.fail({ kind: "partial", times: 1 });
  await post("/v1/batch", { batch: [track("d-0"), track("d-1"), track("d-2")] });
  await arrived(2);
  await until(() => relay.accounts().lanes[0]?.account.pending === 0);
  expect(relay.accounts().lanes[0]?.account).toMatchObject({ delivered: 2, rejected: 1, balanced: true });
});

test("401 halts only its lane and keeps its events; a corrected key in a reloaded configuration resumes it", async () => {
  const strict = new SegmentEmulator({ clock: nodeClock, writeKeys: ["old"] });
  const strictServer = await startServer(strict.handle);
  onTestFinished(() => strictServer.close());
  const destinations = (writeKey: string) => (url: string) => ({
    open: destination(url),
    strict: destination(strictServer.url, { writeKey }),
  });
  const { post, arrived, relay, directory, server } = await startWorld({ destinations: destinations("old") });
  await post("/v1/batch", { batch: [track()] });
  await until(() => strict.received === 1);
  strict.rotate(["new"]);
  for (let index = 0; index < 10; index++) await post("/v1/batch", { batch: [track()] });
  await arrived(11);
  await until(() => relay.accounts().lanes[1]?.mode === "halted");
  expect(relay.accounts().lanes[1]).toMatchObject({
    reason: expect.stringContaining("401") as string,
    account: { pending: 10, balanced: true },
  });
  await until(() => relay.accounts().lanes[0]?.account.pending === 0);
  const ready = (await (await fetch(`${relay.adminUrl}/ready`)).json()) as {
    ready: boolean;
    lanes: { mode: string }[];
  };
  expect(ready).toMatchObject({ ready: true, lanes: [{}, { mode: "halted" }] });
  expect(await relay.reload(configOf(directory, server.url, { destinations: destinations("new") }))).toMatchObject({
    ok: true,
    changed: ["test/strict changed"],
  });
  await until(() => relay.accounts().lanes[1]?.account.pending === 0);
  expect(relay.accounts().lanes[1]?.account).toMatchObject({
    accepted: 11,
    delivered: 11,
    rejected: 0,
    balanced: true,
  });
});

test("a reload adds and removes sources and destinations, and refuses what takes a restart as a whole", async () => {
  const { post, relay, directory, server, config } = await startWorld();
  const changed = configOf(directory, server.url, {
    sources: { web: { protocol: "segment", writeKeys: ["second"] } },
    destinations: (url) => ({ other: destination(url) }),
  });
  expect(await relay.reload(changed)).toEqual({
    ok: true,
    changed: ["test/other added", "test/emulator removed"],
    errors: [],
  });
  expect((await post("/v1/track", track())).status).toBe(401);
  expect((await post("/v1/track", track(), { authorization: `Basic ${btoa("second:")}` })).status).toBe(200);
  expect(await relay.reload({ ...config, strict: true })).toMatchObject({
    ok: false,
    errors: [expect.stringContaining("restart")],
  });
  expect(relay.accounts().lanes.map((lane) => lane.destination)).toEqual(["other"]);
});

test("what was accepted before a stop is delivered after the next start, and the ledgers go on", async () => {
  const { post, relay, emulator, config } = await startWorld();
  emulator.fail({ kind: "status", status: 503 });
  for (let index = 0; index < 30; index++) await post("/v1/batch", { batch: [track(), track()] });
  await relay.stop();
  emulator.recover();
  const again = await startRelay(config, { logger: silent });
  onTestFinished(() => again.stop());
  await until(() => emulator.received === 60);
  await until(() => again.accounts().lanes[0]?.account.pending === 0);
  expect(again.accounts().lanes[0]?.account).toMatchObject({ accepted: 60, delivered: 60, balanced: true });
});

test("a second relay on the same directory is refused with what to do", async () => {
  const { config } = await startWorld();
  await expect(startRelay(config, { logger: silent })).rejects.toMatchObject({
    code: "WAYBILL_LOG_LOCKED",
    hint: expect.stringContaining("directory") as string,
  });
});

test("an address in use is refused with what to do, and nothing is left open", async () => {
  const { config, relay, directory, server } = await startWorld();
  const taken = {
    ...configOf(`${directory}/other`, server.url),
    listen: { host: "127.0.0.1", port: Number(new URL(relay.intakeUrl).port) },
  };
  await expect(startRelay(taken, { logger: silent })).rejects.toMatchObject({
    code: "WAYBILL_LISTEN",
    hint: "Another process may use the port; choose another with listen.",
  });
  const retried = await startRelay({ ...taken, listen: config.listen }, { logger: silent });
  await retried.stop();
});

test("the start-up line names what listens, the log and the lanes", async () => {
  const { relay, directory } = await startWorld();
  for (const part of [relay.intakeUrl, relay.adminUrl, directory, "test/emulator"])
    expect(relay.summary).toContain(part);
  expect(relay.summary).not.toContain("\n");
});

test("/health, /ready and /metrics answer; the metrics carry a ledger that balances", async () => {
  const { relay, post, arrived } = await startWorld();
  await post("/v1/batch", { batch: [track(), track()] });
  await arrived(2);
  await until(() => {
    const [lane] = relay.accounts().lanes;
    return lane?.account.pending === 0 && lane.mode === "idle";
  });
  for (const origin of [relay.intakeUrl, relay.adminUrl]) expect((await fetch(`${origin}/health`)).status).toBe(200);
  expect(await (await fetch(`${relay.adminUrl}/ready`)).json()).toEqual({
    ready: true,
    components: [{ name: "log test", ready: true }],
    lanes: [{ environment: "test", destination: "emulator", mode: "idle" }],
  });
  // Where anyone may ask there are no names.
  expect(await (await fetch(`${relay.intakeUrl}/ready`)).json()).toEqual({
    ready: true,
    components: [{ name: "log", ready: true }],
  });
  const metrics = await (await fetch(`${relay.adminUrl}/metrics`)).text();
  const state = (name: string): number =>
    Number(new RegExp(`^waybill_lane_${name}\\{[^}]*\\} (\\d+)$`, "m").exec(metrics)?.[1]);
  expect(state("accepted_events_total")).toBe(2);
  expect(state("accepted_events_total")).toBe(
    state("delivered_events_total") +
      state("rejected_events_total") +
      state("dropped_events_total") +
      state("expired_events_total") +
      state("pending_events"),
  );
  for (const name of [
    "waybill_lane_pending_bytes",
    "waybill_lane_oldest_pending_seconds",
    "waybill_lane_balanced",
    "waybill_attempt_duration_seconds_count",
  ])
    expect(metrics).toContain(name);
});

test("the admin API asks for its token, but not for health and ready", async () => {
  const { relay } = await startWorld({ extra: { admin: { listen: "127.0.0.1:0", token: "a-long-token" } } });
  expect((await fetch(`${relay.adminUrl}/v1/accounts`)).status).toBe(401);
  expect(
    (await fetch(`${relay.adminUrl}/v1/accounts`, { headers: { authorization: "Bearer a-long-token" } })).status,
  ).toBe(200);
  expect((await fetch(`${relay.adminUrl}/ready`)).status).toBe(200);
});

test("an operator pauses a lane and resumes it; nothing is lost", async () => {
  const { relay, post, emulator, arrived } = await startWorld();
  const steer = (action: string): Promise<Response> =>
    fetch(`${relay.adminUrl}/v1/lanes/test/emulator/${action}`, { method: "POST" });
  expect((await steer("pause")).status).toBe(204);
  await post("/v1/track", track());
  expect(relay.accounts().lanes[0]).toMatchObject({ mode: "paused", account: { pending: 1 } });
  expect(emulator.received).toBe(0);
  await steer("resume");
  await arrived(1);
  expect((await fetch(`${relay.adminUrl}/v1/lanes/test/nope/pause`, { method: "POST" })).status).toBe(404);
});

test("tail shows durable events as they come", async () => {
  const { relay, post } = await startWorld();
  const controller = new AbortController();
  const response = await fetch(`${relay.adminUrl}/v1/tail?source=web`, { signal: controller.signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  expect((await reader?.read())?.value).toContain("listening");
  await post("/v1/batch", { batch: [track("t-1"), track("t-2")] });
  let text = "";
  await until(async () => {
    text += (await reader?.read())?.value ?? "";
    return text.includes("t-2");
  });
  expect(JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? "")).toMatchObject({
    environment: "test",
    source: "web",
    position: 0,
    event: { messageId: "t-1" },
  });
  controller.abort();
});
