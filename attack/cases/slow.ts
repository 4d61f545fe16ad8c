/** Clients that take their time: connections, heads and bodies that never come to an end. */
import { check, pause, Skipped, until } from "../lib/check.ts";
import { keepSending } from "../lib/load.ts";
import { openMany, RawConnection, rawRequest } from "../lib/raw.ts";
import { configOf, PLAIN, segmentTo } from "../lib/scenes.ts";
import { type Attack, basic, KEY, newId, type Stage, track } from "../lib/stage.ts";

const AUTHORIZED = `authorization: ${basic(KEY)["authorization"]}`;
const IDLE_CONNECTIONS = 5_000;
const AT_ONCE = 250;
const HEADERS_TIMEOUT_MS = 2_000;
const LARGE_BYTES = 9_900_000;
const HOLD_MS = 3_000;
const SETTLE_MS = 100;
const SMALLEST_BYTES = 64;

/**
 * Bodies that are sent but for their last byte, of all sizes down to 64 bytes, so that whatever
 * budget they are charged to is full; healthy requests with a key must not notice.
 */
async function holdBodies(stage: Stage, hold: Hold): Promise<void> {
  const { each, headers = [], path = "/v1/batch", addresses = [undefined] } = hold;
  const connections: RawConnection[] = [];
  for (let bytes = hold.bytes; bytes >= SMALLEST_BYTES; bytes = Math.floor(bytes / 2)) {
    const almost = Buffer.alloc(bytes - 1, " ");
    const head = rawRequest(`POST ${path} HTTP/1.1`, [...headers, `content-length: ${bytes}`]);
    for (const address of addresses) {
      const opened = await openMany(stage.relay.port, each, address);
      for (const connection of opened) void connection.write(Buffer.concat([head, almost]));
      connections.push(...opened);
    }
    // Larger ones that find no room are refused before smaller ones fill what is left.
    await pause(SETTLE_MS);
  }
  const healthy = keepSending(stage.relay, 2_000);
  await pause(HOLD_MS);
  await healthy.stop();
  await stage.relay.measure();
  for (const connection of connections) connection.reset();
}

interface Hold {
  /** The largest. */
  readonly bytes: number;
  /** Connections of each size, from each address. */
  readonly each: number;
  readonly headers?: readonly string[];
  readonly path?: string;
  readonly addresses?: readonly string[];
}

export const slow: readonly Attack[] = [
  {
    name: "hold-body-budget",
    holds: "10 connections without a key that hold large bodies make no request with a key wait",
    scene: PLAIN,
    async run(stage) {
      await holdBodies(stage, { each: 10, bytes: LARGE_BYTES });
    },
  },
  {
    name: "hold-body-budget-many-addresses",
    holds: "the same from 40 addresses, each with bodies of all sizes, stays within one small budget",
    scene: PLAIN,
    async run(stage) {
      const addresses = Array.from({ length: 40 }, (_, index) => `127.0.0.${index + 2}`);
      await holdBodies(stage, { each: 1, bytes: 4_000_000, addresses });
    },
  },
  {
    name: "hold-budget-of-another-source",
    holds: "a client that holds bodies with the key of one source takes nothing from another source",
    scene: PLAIN,
    async run(stage) {
      const headers = ["authorization: Bearer attack-letter-key"];
      await holdBodies(stage, { each: 12, bytes: LARGE_BYTES, headers });
    },
  },
  {
    name: "hold-budget-by-prefix",
    holds: "bodies of a protocol whose key is in the body, held under its prefix, make no other source wait",
    scene: PLAIN,
    async run(stage) {
      await holdBodies(stage, { each: 12, bytes: LARGE_BYTES, path: "/s/hog/batch" });
    },
  },
  {
    name: "connections-idle-5000",
    holds: "5,000 idle connections make no healthy request wait, and are gone when their clients are",
    scene: PLAIN,
    async run({ relay }) {
      const before = relay.descriptors;
      const connections = await openMany(relay.port, IDLE_CONNECTIONS);
      const healthy = keepSending(relay, 2_000);
      await pause(1_000);
      await healthy.stop();
      for (const connection of connections) connection.destroy();
      await until(
        () => relay.descriptors <= before + 50,
        10_000,
        () => `${relay.descriptors} descriptors, ${before} before`,
      );
    },
  },
  {
    name: "connections-more-than-the-limit",
    holds: "10,000 connections, half of them with half a head, make no healthy request wait",
    scene: PLAIN,
    limitMs: 60_000,
    async run({ relay }) {
      const before = relay.descriptors;
      const connections = await openMany(relay.port, 5_000).catch(() => []);
      if (connections.length === 0) throw new Skipped("this process may not open so many files");
      await Promise.all(connections.map((one) => one.write("POST /v1/batch HTTP/1.1\r\nhost: x")));
      const more = await openMany(relay.port, 5_000).catch(() => []);
      const healthy = keepSending(relay, 2_000);
      await pause(1_000);
      await healthy.stop();
      for (const connection of [...connections, ...more]) connection.destroy();
      const back = (): boolean => relay.descriptors <= before + 50;
      await until(back, 10_000, () => `${relay.descriptors} descriptors, ${before} before`);
    },
  },
  {
    name: "connections-reset",
    holds: "2,000 connections reset in the middle of a head or a body leave no descriptor and no bytes",
    scene: PLAIN,
    async run({ relay }) {
      const before = relay.descriptors;
      const head = rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, "content-length: 100000"]);
      for (let round = 0; round < 8; round++) {
        const connections = await openMany(relay.port, AT_ONCE);
        await Promise.all(
          connections.map((one, index) =>
            one.write(index % 2 === 0 ? head.subarray(0, 30) : Buffer.concat([head, Buffer.alloc(5_000, " ")])),
          ),
        );
        for (const one of connections) one.reset();
      }
      await until(
        () => relay.descriptors <= before + 50,
        10_000,
        () => `${relay.descriptors} descriptors, ${before} before`,
      );
    },
  },
  {
    name: "slowloris-heads",
    holds: "headersTimeout is kept to within two seconds: heads that drip are cut off",
    limitMs: 30_000,
    async run(stage) {
      const good = await stage.vendor();
      const directory = stage.directory();
      const limits = { headersTimeout: `${HEADERS_TIMEOUT_MS}ms` };
      const relay = await stage.launch({
        directory,
        config: configOf(directory, { destinations: { good: segmentTo(good) }, extra: { limits } }),
      });
      const startedAtMs = performance.now();
      const connections = await openMany(relay.port, 200);
      await Promise.all(connections.map((one) => one.write("POST /v1/batch HTTP/1.1\r\nhost: x\r\n")));
      while (connections.some((one) => !one.closed) && performance.now() - startedAtMs < 8_000) {
        await Promise.all(connections.map((one) => one.write("x")));
        await pause(200);
      }
      const ms = performance.now() - startedAtMs;
      check(ms < HEADERS_TIMEOUT_MS + 2_500, `cut off after ${Math.round(ms)} ms, not ${HEADERS_TIMEOUT_MS}`);
      await stage.verify(relay, good);
    },
  },
  {
    name: "slowloris-bodies",
    holds: "requestTimeout is kept to within two seconds: bodies that drip are cut off and hold nothing",
    limitMs: 30_000,
    async run(stage) {
      const good = await stage.vendor();
      const directory = stage.directory();
      const limits = { headersTimeout: "1s", requestTimeout: "3s" };
      const relay = await stage.launch({
        directory,
        config: configOf(directory, { destinations: { good: segmentTo(good) }, extra: { limits } }),
      });
      const startedAtMs = performance.now();
      const connections = await openMany(relay.port, 200);
      const head = rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, "content-length: 10000"]);
      await Promise.all(connections.map((one) => one.write(head)));
      const healthy = keepSending(relay);
      while (connections.some((one) => !one.closed) && performance.now() - startedAtMs < 10_000) {
        await Promise.all(connections.map((one) => one.write("x")));
        await pause(200);
      }
      await healthy.stop();
      const ms = performance.now() - startedAtMs;
      check(ms < 3_000 + 2_500, `cut off after ${Math.round(ms)} ms, not 3000`);
      await stage.verify(relay, good);
    },
  },
  {
    name: "bodies-aborted",
    holds: "bodies that end before their length are not stored, and the next request is none the worse",
    scene: PLAIN,
    quick: true,
    async run({ relay, good }) {
      const id = newId("aborted");
      const body = JSON.stringify({ batch: [track(id)] });
      const connections = await openMany(relay.port, 100);
      const head = rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, `content-length: ${body.length + 10}`]);
      await Promise.all(connections.map((one) => one.write(Buffer.concat([head, Buffer.from(body)]))));
      for (const one of connections) one.socket.end();
      await Promise.all(connections.map((one) => one.settled()));
      check(!good.ids.has(id), "a body that was not whole was stored");
    },
  },
];
