/**
 * The conformance list of the Segment protocol, section 6, item by item, against a real relay
 * before an emulator.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { nodeClock } from "@waybill/node";
import { startRelay } from "@waybill/relay";
import { expect, test } from "vitest";
import { BASIC, destination, KEY, send, startWorld, until } from "../lib/world.ts";

let made = 0;
const id = (): string => `id-${made++}`;
const track = (messageId: string, more: object = {}): object => ({
  type: "track",
  event: "E",
  userId: "u",
  messageId,
  ...more,
});

test("6.1: every endpoint takes its events, answers 200 with success, and the type comes from the path when absent", async () => {
  const { post, emulator, arrived } = await startWorld();
  const types = ["identify", "track", "page", "screen", "group", "alias"];
  for (const type of types) {
    for (const path of [`/v1/${type}`, `/v1/${type.charAt(0)}`]) {
      const answer = await post(path, { messageId: id(), userId: "u" });
      expect([answer.status, answer.text]).toEqual([200, '{"success":true}']);
    }
  }
  for (const path of ["/v1/batch", "/v1/import", "/v1/b"])
    expect((await post(path, { batch: [track(id())] })).status).toBe(200);
  expect((await post("/v1/m", { series: [] })).status).toBe(200);
  await arrived(15);
  for (const type of types)
    expect(emulator.events.filter((event) => event.type === type).length).toBeGreaterThanOrEqual(2);
});

test("6.2: Basic with and without colon, writeKey in the body, both; a wrong or missing key is 401 with code and message", async () => {
  const { post, arrived } = await startWorld();
  const body = (): object => ({ batch: [track(id())] });
  expect((await post("/v1/batch", body(), BASIC)).status).toBe(200);
  expect((await post("/v1/batch", body(), { authorization: `Basic ${btoa(KEY)}` })).status).toBe(200);
  expect((await post("/v1/batch", { ...body(), writeKey: KEY }, {})).status).toBe(200);
  expect((await post("/v1/track", { ...track(id()), writeKey: KEY }, {})).status).toBe(200);
  expect((await post("/v1/batch", { ...body(), writeKey: KEY }, BASIC)).status).toBe(200);
  expect((await post("/v1/batch", { ...body(), writeKey: KEY }, { authorization: "Bearer oauth-token" })).status).toBe(
    200,
  );
  await arrived(6);
  for (const headers of [{ authorization: `Basic ${btoa("wrong:")}` }, { authorization: "Basic" }, {}]) {
    const answer = await post("/v1/batch", body(), headers as never);
    expect(answer.status).toBe(401);
    expect(answer.json).toMatchObject({ success: false, code: "unauthorized", message: expect.any(String) as string });
  }
  expect((await post("/v1/batch", { ...body(), writeKey: "wrong" }, {})).status).toBe(401);
});

test("6.3: the key in the header wins over the one in the body", async () => {
  const { post, relay } = await startWorld({
    sources: {
      web: { protocol: "segment", writeKeys: [KEY] },
      other: { protocol: "segment", writeKeys: ["other-key"] },
    },
  });
  await post("/v1/batch", { batch: [track(id())], writeKey: "other-key" });
  const accepted = Object.fromEntries(relay.accounts().sources.map((source) => [source.source, source.accepted]));
  expect(accepted).toEqual({ web: 1, other: 0 });
});

test("6.4: gzip under any content type; damaged or truncated gzip is 400, a bomb is stopped at the limit, unknown encodings are 415", async () => {
  const { post, emulator, arrived, relay } = await startWorld({ extra: { limits: { bodyMaxBytes: "1MiB" } } });
  const zipped = gzipSync(JSON.stringify({ batch: [track(id())] }));
  const headers = { ...BASIC, "content-encoding": "gzip" };
  expect(
    (await post("/v1/batch", zipped, { ...headers, "content-type": "application/x-www-form-urlencoded" })).status,
  ).toBe(200);
  expect(
    (
      await post("/v1/batch", gzipSync(JSON.stringify({ batch: [track(id())] })), {
        ...headers,
        "content-type": "application/json",
      })
    ).status,
  ).toBe(200);
  await arrived(2);
  const damaged = Buffer.from(zipped);
  damaged[15] = (damaged[15] as number) ^ 0xff;
  expect((await post("/v1/batch", damaged, headers)).json).toMatchObject({ code: "damaged_encoding" });
  expect(await post("/v1/batch", zipped.subarray(0, zipped.length - 12), headers)).toMatchObject({
    status: 400,
    json: { code: "damaged_encoding" },
  });
  const bomb = gzipSync(Buffer.alloc(50_000_000, 0x20));
  expect(bomb.length).toBeLessThan(100_000);
  expect(await post("/v1/batch", bomb, headers)).toMatchObject({ status: 413, json: { code: "body_too_large" } });
  expect(await post("/v1/batch", zipped, { ...BASIC, "content-encoding": "zip" })).toMatchObject({
    status: 415,
    json: { code: "unsupported_encoding" },
  });
  expect(emulator.received).toBe(2);
  expect(relay.accounts().lanes[0]?.account.accepted).toBe(2);
});

test("6.5: a body is read as JSON under text/plain, with a charset, and without a content type", async () => {
  const { post, arrived } = await startWorld();
  for (const type of ["text/plain", "text/plain;charset=UTF-8", "application/json; charset=utf-8", undefined])
    expect(
      (
        await post(
          "/v1/batch",
          { batch: [track(id())] },
          type === undefined ? BASIC : { ...BASIC, "content-type": type },
        )
      ).status,
    ).toBe(200);
  await arrived(4);
});

test("6.6: repeated and trailing slashes, the source's own prefix and a configured one", async () => {
  const { post, arrived } = await startWorld({
    sources: { web: { protocol: "segment", writeKeys: [KEY], prefix: "/prefix" } },
  });
  for (const path of ["//v1/batch", "/v1/batch/", "/prefix/v1/batch", "/s/web/v1/batch", "/v1/batch?x=1"])
    expect((await post(path, { batch: [track(id())] })).status, path).toBe(200);
  // A prefix names the source, and proves nothing: a key is needed all the same, and must be the
  // source's own.
  expect((await post("/s/web/v1/batch", { batch: [track(id())] }, {})).status).toBe(401);
  expect((await post("/s/web/v1/batch", { batch: [track(id())], writeKey: KEY }, {})).status).toBe(200);
  await arrived(6);
});

test("6.7: a mixed batch keeps its order; an item of unknown type is refused alone", async () => {
  const { post, emulator, arrived } = await startWorld();
  const types = ["identify", "track", "page", "screen", "group", "alias"];
  const batch = types.map((type, index) => ({ ...track(`mixed-${index}`), type }));
  const answer = await post("/v1/batch", { batch: [...batch.slice(0, 3), { type: "nope" }, ...batch.slice(3)] });
  expect(answer).toMatchObject({
    status: 200,
    json: { success: true, rejected: [{ index: 3, code: "unknown_type" }] },
  });
  await arrived(6);
  expect(emulator.events.map(({ messageId }) => messageId)).toEqual(batch.map((_, index) => `mixed-${index}`));
});

test("6.8: batch context and integrations travel beside the events, which keep their bytes; null ids and names are taken", async () => {
  const { post, delivered, arrived } = await startWorld();
  const event =
    '{"type":"page","messageId":"raw","userId":null, "anonymousId":"a","name":null,"category":null,"context":{"own":1.0}}';
  await post("/v1/batch", `{"context":{"library":{"name":"x"}},"batch":[${event}],"integrations":{"All": false}}`);
  await arrived(1);
  expect(delivered[0]).toMatch(/^\{"batch":\[/);
  expect(delivered[0]).toContain(`[${event}]`);
  expect(JSON.parse(delivered[0] as string)).toMatchObject({
    context: { library: { name: "x" } },
    integrations: { All: false },
  });
});

test("6.8: events of different metadata leave in requests of their own", async () => {
  const { post, delivered, arrived } = await startWorld({
    destinations: (url) => ({ emulator: destination(url, { batch: { linger: "200ms" } }) }),
  });
  for (const name of ["a", "a", "b"]) await post("/v1/batch", { context: { name }, batch: [track(id())] });
  await arrived(3);
  expect(
    delivered
      .map((body) => JSON.parse(body) as { batch: unknown[]; context: { name: string } })
      .map(({ batch, context }) => [context.name, batch.length]),
  ).toEqual([
    ["a", 2],
    ["b", 1],
  ]);
});

test("6.9: bare NaN and infinities are read as null; other broken JSON is 400 and nothing is stored", async () => {
  const { post, emulator, arrived, relay } = await startWorld();
  expect(
    (await post("/v1/batch", `{"batch":[{"type":"track","messageId":"${id()}","a":NaN,"b":[-Infinity,Infinity]}]}`))
      .status,
  ).toBe(200);
  await arrived(1);
  expect(emulator.events[0]?.event).toMatchObject({ a: null, b: [null, null] });
  for (const broken of [
    "",
    "{",
    '{"batch":[}',
    "batch",
    '{"batch":[{"type":"track"}]}}',
    '{"batch":[{"a":undefined}]}',
    "\u0000",
  ])
    expect((await post("/v1/batch", broken)).status, broken).toBe(400);
  expect(relay.accounts().lanes[0]?.account.accepted).toBe(1);
});

test("6.10: an event without id gets one; the same id twice, in one batch or two requests, is stored once and answered 200", async () => {
  const { post, emulator, arrived, relay } = await startWorld();
  const twice = id();
  expect((await post("/v1/batch", { batch: [{ type: "page", userId: "u" }, track(twice), track(twice)] })).status).toBe(
    200,
  );
  expect((await post("/v1/batch", { batch: [track(twice)] })).status).toBe(200);
  await arrived(2);
  expect(emulator.events[0]?.messageId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  expect(relay.accounts().lanes[0]?.account.accepted).toBe(2);
  expect(relay.accounts().sources[0]).toMatchObject({ accepted: 2, duplicates: 2 });
  expect(emulator.duplicates).toBe(0);
});

test("6.11: a batch sent again after a broken connection is stored once", async () => {
  const { post, arrived, relay } = await startWorld();
  const body = JSON.stringify({ batch: [track(id()), track(id())] });
  const { hostname, port } = new URL(relay.intakeUrl);
  const socket = connect(Number(port), hostname);
  await once(socket, "connect");
  socket.write(
    `POST /v1/batch HTTP/1.1\r\nhost: x\r\nauthorization: ${BASIC["authorization"]}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await arrived(2);
  socket.resetAndDestroy();
  expect((await post("/v1/batch", body)).status).toBe(200);
  expect(relay.accounts().lanes[0]?.account.accepted).toBe(2);
});

test("6.12: the forwarded sentAt is in the sender's clock, so that the vendor's formula still finds the right time", async () => {
  const { post, delivered, arrived } = await startWorld();
  const slowByMs = 3_600_000;
  for (const sentAt of [nodeClock.now() - slowByMs, nodeClock.now()].map((ms) => new Date(ms).toISOString()))
    await post("/v1/batch", { batch: [track(id())], sentAt });
  await arrived(2);
  const lag = delivered.map((body) => nodeClock.now() - Date.parse((JSON.parse(body) as { sentAt: string }).sentAt));
  expect(Math.round((lag[0] as number) / 10_000)).toBe(slowByMs / 10_000);
  expect(lag[1] as number).toBeLessThan(10_000);
});

test("6.13: 2,501 items and none are taken; a batch that is not an array is 400", async () => {
  const { post, arrived } = await startWorld();
  expect((await post("/v1/batch", { batch: Array.from({ length: 2_501 }, () => track(id())) })).status).toBe(200);
  expect((await post("/v1/batch", { batch: [] })).status).toBe(200);
  expect((await post("/v1/batch", { batch: {} })).status).toBe(400);
  await arrived(2_501);
});

test("6.14: a batch of 1.2 MB is taken in default mode and refused in strict mode", async () => {
  const big = { batch: Array.from({ length: 40 }, () => track(id(), { pad: "x".repeat(30_000) })) };
  const relaxed = await startWorld();
  expect((await relaxed.post("/v1/batch", big)).status).toBe(200);
  await relaxed.arrived(40);
  const strict = await startWorld({ extra: { compat: { strict: true } } });
  expect((await strict.post("/v1/batch", big)).status).toBe(400);
});

test("6.15: 67 connections at once with one request each, and 1,000 events on one connection", async () => {
  const { post, arrived, relay } = await startWorld();
  const answers = await Promise.all(
    Array.from({ length: 67 }, () => post("/v1/batch", { batch: Array.from({ length: 15 }, () => track(id())) })),
  );
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  const { hostname, port } = new URL(relay.intakeUrl);
  const socket = connect(Number(port), hostname);
  let received = "";
  socket.on("data", (chunk) => {
    received += String(chunk);
  });
  for (let index = 0; index < 1_000; index++) {
    const body = JSON.stringify(track(id()));
    socket.write(
      `POST /v1/track HTTP/1.1\r\nhost: x\r\nauthorization: ${BASIC["authorization"]}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
  }
  await until(() => received.split("HTTP/1.1 200").length - 1 === 1_000);
  socket.destroy();
  await arrived(67 * 15 + 1_000);
});

test("6.16 and 6.17: a vendor that limits and fails gets everything once, in order", async () => {
  const { post, emulator, arrived } = await startWorld();
  emulator.fail({ kind: "status", status: 429, retryAfter: "1", times: 1 });
  await post("/v1/batch", { batch: [track("a-0"), track("a-1")] });
  await arrived(2);
  emulator.fail({ kind: "status", status: 503, times: 3 });
  await post("/v1/batch", { batch: [track("b-0"), track("b-1")] });
  await arrived(4);
  expect(emulator.events.map(({ messageId }) => messageId)).toEqual(["a-0", "a-1", "b-0", "b-1"]);
  expect(emulator.duplicates).toBe(0);
});

test("6.18: event paths never answer 3xx, 201 or 204", async () => {
  const { relay } = await startWorld();
  for (const path of ["/v1/batch", "/v1/track", "/v1/nope", "/", "/v1/batch/x", "/v1"])
    for (const method of ["POST", "GET", "PUT", "DELETE"]) {
      const { status } = await send(relay.intakeUrl, method, path, { batch: [track(id())] });
      expect(status === 200 || status >= 400, `${method} ${path} ${status}`).toBe(true);
    }
});

test("6.19: a refusal that a client sends again and again is counted apart", async () => {
  const { post, relay } = await startWorld();
  for (let index = 0; index < 10; index++) await post("/v1/batch", "{");
  const metrics = await (await fetch(`${relay.adminUrl}/metrics`)).text();
  expect(metrics).toMatch(/waybill_source_refused_requests_total\{[^}]*code="invalid_json",duplicate="false"\} 1\n/);
  expect(metrics).toMatch(/waybill_source_refused_requests_total\{[^}]*code="invalid_json",duplicate="true"\} 9\n/);
});

test("6.20: X-Retry-Count is taken and recorded", async () => {
  const { post, relay } = await startWorld();
  expect((await post("/v1/batch", { batch: [track(id())] }, { ...BASIC, "x-retry-count": "3" })).status).toBe(200);
  expect(await (await fetch(`${relay.adminUrl}/metrics`)).text()).toContain(
    'waybill_source_retried_requests_total{environment="test",source="web"} 1',
  );
});

test("6.21: OPTIONS answers browsers on every path; a body of no bytes is 400", async () => {
  const { relay, post } = await startWorld();
  for (const path of ["/v1/batch", "/v1/t", "/v1/identify"]) {
    const answer = await send(relay.intakeUrl, "OPTIONS", path, "", {});
    expect(answer.status).toBe(204);
    expect(answer.headers).toMatchObject({
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "POST, OPTIONS",
      "access-control-allow-headers": "Content-Type, Authorization, X-Retry-Count",
    });
  }
  expect((await post("/v1/batch", { batch: [track(id())] })).headers["access-control-allow-origin"]).toBe("*");
  expect(await post("/v1/batch", "")).toMatchObject({ status: 400, json: { code: "empty_body" } });
});

test("6.22: a client that closes during our answer loses nothing, and the relay goes on", async () => {
  const { arrived, relay, post } = await startWorld();
  const { hostname, port } = new URL(relay.intakeUrl);
  for (let index = 0; index < 20; index++) {
    const socket = connect(Number(port), hostname);
    socket.on("error", () => undefined);
    await once(socket, "connect");
    const body = JSON.stringify({ batch: [track(`closing-${index}`)] });
    socket.write(
      `POST /v1/batch HTTP/1.1\r\nhost: x\r\nauthorization: ${BASIC["authorization"]}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    setImmediate(() => socket.destroy());
  }
  // Sent again, as a client that saw no answer does: each is stored once.
  for (let index = 0; index < 20; index++)
    expect((await post("/v1/batch", { batch: [track(`closing-${index}`)] })).status).toBe(200);
  await arrived(20);
  expect(relay.accounts().lanes[0]?.account.accepted).toBe(20);
});

test("6.23: at shutdown open requests are answered, 200 only when the event is safe", async () => {
  const { post, relay, config, directory } = await startWorld();
  void directory;
  const answers = Promise.all(
    Array.from({ length: 50 }, () =>
      post("/v1/batch", { batch: [track(id())] }).then(
        ({ status }) => status,
        () => 0,
      ),
    ),
  );
  const stopped = relay.stop();
  const statuses = await answers;
  await stopped;
  expect(statuses.every((status) => [200, 503, 0].includes(status))).toBe(true);
  const again = await startRelay(config, { logger: { info() {}, warn() {}, error() {}, debug() {} } as never });
  expect(again.accounts().lanes[0]?.account.accepted).toBeGreaterThanOrEqual(
    statuses.filter((status) => status === 200).length,
  );
  expect(again.accounts().lanes[0]?.account.balanced).toBe(true);
  await again.stop();
});
