/**
 * Vendors' answers: any status, header and body. Each vendor's table gives every event an outcome,
 * the lane's chain ends, a caller that waits for the vendor's own answer gets one that HTTP allows,
 * and the transport makes an answer or an error of whatever bytes a server writes, and ends when it
 * is aborted.
 */
import assert from "node:assert";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { crc32 } from "node:zlib";
import { type HttpResponse, WaybillError } from "@waybill/core";
import { createNodeTransport, type NodeTransport } from "@waybill/node";
import { VENDORS } from "@waybill/vendors/registry";
import { CHAINS, PATIENCE_MS, type Stored, sendThrough } from "../delivery.ts";
import { WORDS } from "../dictionary.ts";
import { bytesOf, readRequest, readResponse } from "../http-text.ts";
import { mutate } from "../mutate.ts";
import { mutateJson } from "../mutate-json.ts";
import { FINE, SmallRelay } from "../small-relay.ts";
import type { Opened, Target } from "../target.ts";

const ANSWER_MAX_BYTES = 64 * 1024;
/** A server that neither answers nor closes. */
const ABORT_AFTER_MS = 5;
const STATUS_LINES = ["000", "099", "100", "101", "103", "200", "204", "206", "299", "304", "307", "400", "413", "429"];
const MORE_STATUS_LINES = ["401", "404", "408", "422", "460", "499", "500", "503", "599", "600", "999", "1000", "-1"];
const HEADERS = [
  "Retry-After: 99999999999999999999",
  "Retry-After: -1",
  "Retry-After: 1e3",
  "Retry-After: Wed, 99 Foo 2026 99:99:99 GMT",
  "Retry-After: Wed, 21 Oct 9999 07:28:00 GMT",
  "X-RateLimit-Reset: 99999999999999",
  "X-RateLimit-Reset: NaN",
  "Date: yesterday",
  "Content-Type: \u0001",
  "Content-Type: text/\u00e9",
  "Content-Length: 5",
  "Content-Length: -1",
  "Content-Length: 99999999999999",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: gzip",
  "Content-Encoding: gzip",
  "Connection: upgrade",
  "Upgrade: websocket",
  "__proto__: x",
  "constructor: x",
  "Set-Cookie: a=b",
  "Location: http://169.254.169.254/",
];
/** Events in each vendor's own wire format. */
const OWN: Readonly<Record<string, Stored>> = {
  ...Object.fromEntries(VENDORS.map((vendor) => [vendor, { metadata: vendor, events: ['{"event":"E"}', "{}"] }])),
  segment: {
    metadata: "",
    events: ['{"type":"track","messageId":"1","event":"E","userId":"u"}', '{"type":"page"}', "{}"],
  },
  letter: { metadata: "letter", events: ['{"type":"track","userId":"u","event":"E"}', "{}", "{}"] },
  getfluxly: { metadata: "getfluxly", events: ['{"event":"a_b","user_id":"u"}', "{}", "{}"] },
  trophy: { metadata: "trophy", events: ['{"metric":"m","key":"k","body":{"user":{"id":"u"},"value":1}}'] },
  valued: { metadata: "valued", events: ['{"category":"action","key":"a"}', "{}"] },
  launchdarkly: { metadata: "launchdarkly server 4 ", events: ['{"kind":"custom"}', "{}", "1"] },
  "launchdarkly-server": { metadata: "launchdarkly server 2 ", events: ['{"kind":"custom","key":"k"}', "{}"] },
  posthog: { metadata: "posthog", events: ['{"event":"E","distinct_id":"d"}', "{}"] },
  http: { metadata: "", events: ["{}", "{}", "{}"] },
};
const CALLERS = [
  'POST /v1/metrics/steps/event\nx-api-key: in.secret\n\n{"user":{"id":"u"},"value":1}',
  "GET /v1/users/u\nx-api-key: in.secret\n\n",
  'POST /v1/identify/alias\nauthorization: Bearer gflux_secret_in\n\n{"user_id":"u","previous_id":"p"}',
].map((text) => bytesOf(readRequest(Buffer.from(text))));

export const answers: Target = {
  dictionary: ["HTTP/1.1 ", "\r\n", "\r\n\r\n", "0\r\n\r\n", "ffffffff\r\n", ...HEADERS],
  make(random, seeds) {
    if (random.chance(0.4)) return mutate(random, seeds, answers.dictionary);
    const body = mutateJson(
      random,
      seeds.map((seed) => readAnswer(seed).body),
    );
    const lines = Array.from({ length: random.below(4) }, () => random.pick(HEADERS));
    const status = random.pick(random.chance(0.5) ? STATUS_LINES : MORE_STATUS_LINES);
    return Buffer.from([`HTTP/1.1 ${status} ${random.pick(WORDS)}`, ...lines, "", body].join("\r\n"));
  },
  async open() {
    const wire = await openWire();
    const relay = new SmallRelay();
    await relay.open();
    return {
      async run(input) {
        const answer = readAnswer(input);
        await everyTable(answer);
        await everyCaller(relay, answer);
        await wire.run(input);
      },
      async close() {
        await relay.close();
        await wire.close?.();
      },
    };
  },
};

/** The hostile answer first; then the vendor takes what comes. */
async function everyTable(answer: HttpResponse): Promise<void> {
  for (const [name, stored] of Object.entries(OWN)) {
    let first = true;
    const outcomes = await sendThrough(
      CHAINS.get(name) as NonNullable<ReturnType<typeof CHAINS.get>>,
      stored,
      async () => {
        const said = first ? answer : FINE;
        first = false;
        return said;
      },
    );
    for (const { status } of outcomes) assert.notEqual(status, "retryable", `${name}: it goes on until it is over`);
  }
}

async function everyCaller(relay: SmallRelay, answer: HttpResponse): Promise<void> {
  for (const caller of CALLERS) {
    relay.vendors = () => answer;
    readResponse(await relay.exchange(caller));
    relay.vendors = () => FINE;
    const [defect] = relay.defects.splice(0);
    if (defect !== undefined) throw defect;
    // Whatever the answer asked for is over before the next one comes.
    await relay.drain(PATIENCE_MS);
  }
}

/** A server that writes these bytes to whoever connects. */
async function openWire(): Promise<Opened> {
  let written: Uint8Array = Buffer.alloc(0);
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      const manner = crc32(written) % 4;
      if (manner === 0) socket.end(written);
      else if (manner === 1) socket.write(written, () => socket.resetAndDestroy());
      else {
        socket.write(written.subarray(0, written.length >> 1));
        setImmediate(() => (manner === 2 ? socket.end(written.subarray(written.length >> 1)) : undefined));
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const transport = createNodeTransport();
  return {
    async run(input) {
      written = input;
      await exchange(transport, url);
    },
    async close() {
      transport.close();
      server.close();
      server.unref();
    },
  };
}

async function exchange(transport: NodeTransport, url: string): Promise<void> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ABORT_AFTER_MS);
  try {
    const { status, headers, body } = await transport(
      { method: "POST", url, headers: { "content-type": "application/json" }, body: ["{}"] },
      controller.signal,
    );
    assert.ok(Number.isInteger(status), `status ${status}`);
    assert.ok(Buffer.byteLength(body) <= 3 * ANSWER_MAX_BYTES, "answers are bounded");
    for (const value of Object.values(headers)) assert.equal(typeof value, "string");
  } catch (error) {
    if (!(error instanceof WaybillError && error.code === "WAYBILL_TRANSPORT")) throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** As a transport would give it that checks nothing. */
function readAnswer(input: Buffer): HttpResponse {
  const text = input.toString();
  const end = text.indexOf("\r\n\r\n");
  const [line = "", ...lines] = text.slice(0, Math.max(0, end)).split("\r\n");
  const headers = lines.map((one) => [
    one.split(":")[0]?.toLowerCase() ?? "",
    one.split(":").slice(1).join(":").trim(),
  ]);
  return {
    status: Number.parseInt(line.split(" ")[1] ?? "0", 10) || 0,
    headers: Object.fromEntries(headers) as Record<string, string>,
    body: text.slice(end === -1 ? 0 : end + 4),
  };
}
