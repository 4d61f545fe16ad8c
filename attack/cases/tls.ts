/** An intake that speaks TLS: handshakes by the thousand, noise, certificates replaced. */
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Duplex } from "node:stream";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { createTestCa, type Identity } from "@waybill/testing";
import { check, inParallel, pause, until } from "../lib/check.ts";
import { keepSending } from "../lib/load.ts";
import { openMany, RawConnection, rawRequest } from "../lib/raw.ts";
import type { Relay } from "../lib/relay.ts";
import { configOf, segmentTo } from "../lib/scenes.ts";
import { type Attack, RSS_MAX_MB, type Scene, type Stage, unblocked } from "../lib/stage.ts";

const CA = createTestCa();
const NAME = "localhost";
const HEADERS_TIMEOUT_MS = 2_000;
/** After that time, until a look at the timeouts has closed them. */
const CLOSED_MAX_MS = HEADERS_TIMEOUT_MS + 8_000;

function writeIdentity(directory: string, { cert, key }: Identity): { readonly cert: string; readonly key: string } {
  const files = { cert: join(directory, "tls.crt"), key: join(directory, "tls.key") };
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key);
  return files;
}

/** Events come over TLS; the admin API is looked at in plain text. */
const SECURE: Scene = {
  name: "secure",
  async open(stage: Stage) {
    const [good, bad] = [await stage.vendor(), await stage.vendor()];
    const directory = stage.directory();
    const extra = {
      tls: writeIdentity(directory, CA.issue(NAME)),
      limits: { headersTimeout: `${HEADERS_TIMEOUT_MS}ms` },
    };
    const config = configOf(directory, { destinations: { good: segmentTo(good) }, extra });
    return { relay: await stage.launch({ directory, config }), good, bad };
  },
};

/** The first bytes of a client that begins a handshake. */
function clientHello(): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = new Duplex({ read: () => undefined, write: (chunk: Buffer) => resolve(chunk) });
    connectTls({ socket, servername: NAME });
  });
}

async function connectSecure(relay: Relay): Promise<TLSSocket> {
  const socket = connectTls({ port: relay.port, host: "127.0.0.1", rejectUnauthorized: false });
  socket.on("error", () => undefined);
  await new Promise((resolve, reject) => {
    socket.once("secureConnect", resolve);
    socket.once("error", reject);
  });
  return socket;
}

/** A new client from an address of its own. */
async function checkNewcomer(relay: Relay): Promise<void> {
  const { status } = await relay.ask({ method: "GET", path: "/ready", localAddress: "127.0.2.1", timeoutMs: 2_000 });
  check(status === 200, `a new connection was answered ${status}`);
}

/** Of any kind: none is a handshake, and none may end the process. */
function noiseOf(hello: Buffer): readonly Buffer[] {
  const cuts = [1, 2, 5, 6, 9, 11, 43, 44, hello.length - 1].map((end) => hello.subarray(0, end));
  const flips = Array.from({ length: Math.floor(hello.length / 5) }, (_, index) => {
    const flipped = Buffer.from(hello);
    flipped[index * 5] = (flipped[index * 5] ?? 0) ^ 0xff;
    return flipped;
  });
  const record = (type: number, length: number, body: Buffer): Buffer =>
    Buffer.concat([Buffer.from([type, 3, 1, length >> 8, length & 0xff]), body]);
  return [
    ...cuts,
    ...flips,
    record(0x16, 0, Buffer.alloc(0)),
    Buffer.concat(Array.from({ length: 5_000 }, () => record(0x16, 0, Buffer.alloc(0)))),
    record(0x16, 0xffff, Buffer.alloc(0xffff, 1)),
    record(0x16, 16_384, Buffer.alloc(16_384, 1)),
    Buffer.concat([hello, record(0x15, 2, Buffer.from([2, 40]))]),
    Buffer.concat([hello, hello, hello]),
    // SSL 2.0's.
    Buffer.from([0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10]),
    Buffer.alloc(100_000, 0x16),
    Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
  ];
}

export const tls: readonly Attack[] = [
  {
    name: "tls-handshakes-1000-at-once",
    holds: "1,000 clients that begin a handshake and leave block nothing, and others get in meanwhile",
    scene: SECURE,
    quick: true,
    async run({ relay }) {
      const hello = await clientHello();
      const healthy = keepSending(relay);
      await unblocked(relay, "1,000 handshakes", async () => {
        const connections = await openMany(relay.port, 1_000, "127.0.2.2");
        for (const connection of connections) void connection.write(hello);
        await checkNewcomer(relay);
        await inParallel(connections, connections.length, async (connection) => {
          await until(() => connection.bytesReceived > 0 || connection.closed, 20_000, "a handshake was not answered");
          connection.reset();
        });
      });
      await healthy.stop();
    },
  },
  {
    name: "tls-connections-silent",
    holds: "3,000 connections that say nothing, and 500 with half a hello, are closed in time and hold up nobody",
    scene: SECURE,
    limitMs: 60_000,
    async run({ relay }) {
      const hello = await clientHello();
      const before = relay.descriptors;
      const healthy = keepSending(relay);
      const silent = await openMany(relay.port, 3_000, "127.0.2.2");
      const half = await openMany(relay.port, 500, "127.0.2.3");
      for (const connection of half) void connection.write(hello.subarray(0, hello.length >> 1));
      await checkNewcomer(relay);
      await until(
        () => relay.descriptors <= before + 50,
        CLOSED_MAX_MS,
        () => `${relay.descriptors} descriptors, ${before} before`,
      );
      await healthy.stop();
      for (const connection of [...silent, ...half]) connection.destroy();
    },
  },
  {
    name: "tls-bytes-of-noise",
    holds: "whatever comes instead of a handshake, whole or in single bytes, ends its connection alone",
    scene: SECURE,
    quick: true,
    limitMs: 60_000,
    async run({ relay }) {
      const healthy = keepSending(relay);
      await inParallel(noiseOf(await clientHello()), 16, async (bytes) => {
        const connection = await RawConnection.open(relay.port);
        if (bytes.length < 500) for (const byte of bytes) await connection.write(Buffer.from([byte]));
        else await connection.write(bytes);
        connection.socket.end();
        await connection.settled(1, CLOSED_MAX_MS);
        const status = connection.answers[0]?.status;
        check(status === undefined || status === 400, `answered ${status}`);
        connection.destroy();
      });
      await healthy.stop();
    },
  },
  {
    name: "tls-answers-unread",
    holds: "answers that 100 clients do not read are held in little memory",
    scene: SECURE,
    async run({ relay }) {
      const burst = Buffer.concat(Array.from({ length: 5_000 }, () => rawRequest("GET /ready HTTP/1.1", [])));
      const sockets: TLSSocket[] = [];
      await inParallel(Array.from({ length: 100 }), 20, async () => {
        const socket = await connectSecure(relay);
        socket.pause();
        socket.write(burst);
        sockets.push(socket);
      });
      const healthy = keepSending(relay);
      await pause(3_000);
      await healthy.stop();
      await checkNewcomer(relay);
      check(relay.peakRssMb < RSS_MAX_MB, `${relay.peakRssMb} MB`);
      for (const socket of sockets) socket.destroy();
    },
  },
  {
    name: "tls-certificate-replaced-under-load",
    holds:
      "a certificate that is replaced again and again, often by what is none, cuts nobody; the last right one is shown",
    scene: SECURE,
    async run({ relay }) {
      const directory = dirname(relay.configFile);
      const healthy = keepSending(relay);
      for (let round = 0; round < 20; round++) {
        const right = CA.issue(`round-${round}.test`);
        const wrong = { ...right, key: round % 2 === 0 ? CA.issue(NAME).key : "no key".repeat(round) };
        writeIdentity(directory, wrong);
        const refused = await relay.reload();
        check(refused.status >= 400 && refused.status < 500, `a wrong certificate was answered ${refused.status}`);
        await checkNewcomer(relay);
        writeIdentity(directory, right);
        check((await relay.reload()).status === 200, "a right certificate was refused");
        await until(
          async () => (await shownBy(relay)) === `round-${round}.test`,
          5_000,
          "the new certificate is not shown",
        );
      }
      await healthy.stop();
    },
  },
];

async function shownBy(relay: Relay): Promise<string | undefined> {
  const socket = await connectSecure(relay);
  const { CN } = socket.getPeerCertificate().subject;
  socket.destroy();
  return Array.isArray(CN) ? CN[0] : CN;
}
