/**
 * A real relay on real sockets: bytes that may be requests, on a connection of their own, to the
 * intake or to the admin API. Whatever they are, a client beside them is answered, their connection
 * ends when they do, and nothing of them is held.
 */
import assert from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { nodeRuntime } from "@waybill/node";
import { type Logger, loadConfig, type RunningRelay, startRelay } from "@waybill/relay";
import type { SeededRandom } from "@waybill/testing";
import { readCorpus } from "../corpus.ts";
import { bytesOf, mutateRequest } from "../http-text.ts";
import { mutate } from "../mutate.ts";
import { DESTINATIONS, FINE, SOURCES } from "../small-relay.ts";
import type { Target } from "../target.ts";

/** A client that waits so long takes the relay for dead. */
const PATIENCE_MS = 4_000;
const LOOK_EVERY_MS = 5;
const STORED_EVERY = 4;
const HELD_EVERY = 25;
const HEALTHY_KEY = "a-key-that-nobody-else-has";
const PIPELINED_MAX = 20;
const HUGE_HEADER_BYTES = 80_000;

const DICTIONARY = [
  "\r\n",
  "\r\n\r\n",
  "\n",
  " HTTP/1.1\r\n",
  "HTTP/1.0",
  "HTTP/9.9",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "\u0016\u0003\u0001",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: identity, chunked\r\n",
  "Content-Length: 5\r\n",
  "Content-Length: -5\r\n",
  "Content-Length: 99999999999\r\n",
  "Content-Encoding: br\r\n",
  "Expect: 100-continue\r\n",
  "Expect: nothing\r\n",
  "Connection: upgrade\r\nUpgrade: websocket\r\n",
  "Connection: close\r\n",
  "Host: \r\n",
  "0\r\n\r\n",
  "ffffffffffffffff\r\n",
  "5;a=b\r\nhello\r\n",
  "GET /v1/tail HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
];

export const sockets: Target = {
  dictionary: DICTIONARY,
  make(random, seeds) {
    const one = requestFrom(random, seeds);
    if (random.chance(0.8)) return one;
    const others = Array.from({ length: random.below(PIPELINED_MAX) }, () =>
      random.chance(0.7) ? one : requestFrom(random, seeds),
    );
    return Buffer.concat([one, ...others]);
  },
  async open() {
    const directory = mkdtempSync(join(tmpdir(), "waybill-fuzz-"));
    const defects: string[] = [];
    const relay = await startRelay(configOf(directory), {
      logger: loggerOf(defects),
      runtime: nodeRuntime({ transport: () => Promise.resolve(FINE) }),
    });
    const neighbour = new Neighbour(relay);
    let inputs = 0;
    return {
      async run(input) {
        const manner = crc32(input);
        const talked = talk(manner % 3 === 0 ? relay.adminUrl : relay.intakeUrl, input, manner >>> 8);
        await neighbour.isAnswered(inputs % STORED_EVERY === 0);
        const answered = await talked();
        assert.ok(!/^HTTP\/1\.1 500 /m.test(answered), `a defect: ${answered.slice(0, 1_000)}`);
        assert.deepEqual(defects.splice(0), []);
        inputs += 1;
        if (inputs % HELD_EVERY === 0) await neighbour.isLetGo();
      },
      async close() {
        await neighbour.isLetGo();
        neighbour.close();
        await relay.stop();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  },
};

/** Well-formed requests with odd contents, with a length or in chunks; or any bytes. */
function requestFrom(random: SeededRandom, seeds: readonly Buffer[]): Buffer {
  if (random.chance(0.4)) return mutate(random, seeds, DICTIONARY);
  const bytes = bytesOf(mutateRequest(random, readCorpus("requests")));
  const end = bytes.indexOf("\r\n\r\n");
  const head = bytes.subarray(0, end).toString("latin1").replace("\r\nconnection: close", "");
  const body = bytes.subarray(end + 4);
  if (random.chance(0.1)) return Buffer.from(`${head}\r\nx: ${"h".repeat(HUGE_HEADER_BYTES)}\r\n\r\n`, "latin1");
  if (random.chance(0.7)) return Buffer.concat([Buffer.from(`${head}\r\n\r\n`, "latin1"), body]);
  const chunked = head.replace(/content-length: \d+/, "transfer-encoding: chunked");
  return Buffer.concat([Buffer.from(`${chunked}\r\n\r\n`, "latin1"), ...chunksOf(random, body)]);
}

function chunksOf(random: SeededRandom, body: Buffer): readonly Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const chunk = body.subarray(at, at + 1 + random.below(body.length));
    chunks.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n"));
    at += chunk.length;
  }
  return [...chunks, Buffer.from("0\r\n\r\n")];
}

/**
 * Sends at once; the function that comes back ends the connection and gives what was answered on
 * it.
 */
function talk(url: string, input: Buffer, manner: number): () => Promise<string> {
  const { hostname, port } = new URL(url);
  const chunks: Buffer[] = [];
  let closed = false;
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  // To go with answers unread resets the connection.
  const isRude = manner % 4 === 0;
  if (!isRude) socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => undefined);
  socket.on("close", () => (closed = true));
  const middle = (manner >>> 4) % (input.length + 1);
  socket.write(input.subarray(0, middle));
  setImmediate(() => socket.write(input.subarray(middle)));
  return async () => {
    if (isRude) socket.destroy();
    else socket.end();
    await until(() => closed, "the connection of a client that is gone is closed");
    return Buffer.concat(chunks).toString("latin1");
  };
}

/** A client beside the hostile one, on a connection that stays open. */
class Neighbour {
  readonly #relay: RunningRelay;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  #sent = 0;

  constructor(relay: RunningRelay) {
    this.#relay = relay;
  }

  async isAnswered(isStored: boolean): Promise<void> {
    if (!isStored) assert.equal((await this.#ask(this.#relay.intakeUrl, "GET", "/health")).status, 200);
    else {
      this.#sent += 1;
      const body = JSON.stringify({ type: "track", userId: "u", event: "E", messageId: `healthy-${this.#sent}` });
      const { status, text } = await this.#ask(this.#relay.intakeUrl, "POST", "/v1/track", body);
      assert.equal(status, 200, text);
    }
  }

  /** Of bodies that nobody sends any more nothing is held. */
  async isLetGo(): Promise<void> {
    await until(async () => {
      const { text } = await this.#ask(this.#relay.adminUrl, "GET", "/metrics");
      return /^waybill_intake_held_bytes 0$/m.test(text);
    }, "what bodies held is given back");
  }

  close(): void {
    this.#agent.destroy();
  }

  #ask(
    origin: string,
    method: string,
    path: string,
    body = "",
  ): Promise<{ readonly status: number; readonly text: string }> {
    return new Promise((resolve, reject) => {
      const headers = {
        authorization: `Basic ${btoa(`${HEALTHY_KEY}:`)}`,
        "content-length": Buffer.byteLength(body),
      };
      const outgoing = http.request(`${origin}${path}`, { method, agent: this.#agent, headers }, (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
      });
      outgoing.setTimeout(PATIENCE_MS, () =>
        outgoing.destroy(new Error(`${method} ${path} of a client beside it is not answered`)),
      );
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  }
}

async function until(done: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const endsAtMs = performance.now() + PATIENCE_MS;
  while (!(await done())) {
    assert.ok(performance.now() < endsAtMs, what);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

function configOf(directory: string): ReturnType<typeof loadConfig> {
  const healthy = { protocol: "segment", writeKeys: [HEALTHY_KEY] };
  const text = JSON.stringify({
    listen: "127.0.0.1:0",
    admin: { listen: "127.0.0.1:0" },
    dataDirectory: `${directory}/data`,
    shutdown: { deadline: "2s" },
    exchange: { deadline: "1s" },
    dedupe: { maxIds: 10_000 },
    limits: { bodyMaxBytes: "1MiB" },
    retention: { maxAge: "1h", maxBytes: "32MiB", hardMaxBytes: "64MiB" },
    environments: { fuzz: { sources: { ...SOURCES, healthy }, destinations: DESTINATIONS } },
  });
  return loadConfig({ file: "fuzz", text, env: {} });
}

/** Only what the relay itself calls a defect is one. */
function loggerOf(defects: string[]): Logger {
  const ignore = (): void => undefined;
  const error = (...args: readonly unknown[]): void => {
    const text = args.map((arg) => (arg instanceof Error ? arg.stack : JSON.stringify(arg))).join(" ");
    if (text.includes("defect")) defects.push(text);
  };
  return { info: ignore, warn: ignore, debug: ignore, error } as unknown as Logger;
}
