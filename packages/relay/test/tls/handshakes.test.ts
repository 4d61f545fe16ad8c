/** What a server does with connections before their handshake: how many at once, in which order. */
import { EventEmitter } from "node:events";
import type { Server } from "node:https";
import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { Handshakes } from "../../src/tls/handshakes.ts";

const HELLO = Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]);

interface Fake {
  readonly handshakes: Handshakes;
  readonly begun: Socket[];
  readonly clock: VirtualClock;
  open(first?: Buffer | string, remoteAddress?: string): Promise<PassThrough>;
  turn(): void;
}

function setUp(): Fake {
  const begun: Socket[] = [];
  const deferred: (() => void)[] = [];
  const clock = new VirtualClock();
  const server = Object.assign(new EventEmitter(), { headersTimeout: 10_000 });
  // In place of Node's own, which begins the handshake.
  server.on("connection", (socket: Socket) => begun.push(socket));
  const handshakes = new Handshakes({ clock, defer: (run) => deferred.push(run) });
  handshakes.watch(server as unknown as Server);
  return {
    handshakes,
    begun,
    clock,
    async open(first, remoteAddress = "127.0.0.1") {
      const socket = Object.assign(new PassThrough(), { remoteAddress });
      server.emit("connection", socket);
      if (first !== undefined) socket.write(first);
      await new Promise((resolve) => setImmediate(resolve));
      return socket;
    },
    turn: () => deferred.shift()?.(),
  };
}

test("eight handshakes begin in a turn, in the order of their first bytes, which are not lost", async () => {
  const { open, turn, begun, handshakes } = setUp();
  const sockets: PassThrough[] = [];
  for (let index = 0; index < 20; index++) sockets.push(await open(HELLO));
  expect([begun.length, handshakes.open]).toEqual([0, 20]);
  sockets[3]?.destroy();
  turn();
  expect(begun).toEqual(sockets.filter((_, index) => index !== 3).slice(0, 8));
  turn();
  expect(begun).toHaveLength(16);
  turn();
  expect(begun).toHaveLength(19);
  turn();
  expect(begun).toHaveLength(19);
  expect((begun[0] as unknown as PassThrough).read()).toEqual(HELLO);
});

test("one address with many handshakes holds up no other", async () => {
  const { open, turn, begun } = setUp();
  for (let index = 0; index < 100; index++) await open(HELLO, "198.51.100.1");
  const other = await open(HELLO, "198.51.100.2");
  turn();
  expect(begun).toHaveLength(8);
  expect(begun[1]).toBe(other);
  for (let turns = 0; turns < 20; turns++) turn();
  expect(begun).toHaveLength(101);
});

test("nothing begins before the first byte, and what is silent is closed in the time of a head", async () => {
  const { open, turn, begun, clock, handshakes } = setUp();
  const socket = await open();
  turn();
  await clock.advance(9_999);
  expect([begun.length, socket.destroyed]).toEqual([0, false]);
  await clock.advance(1);
  await new Promise((resolve) => setImmediate(resolve));
  expect([socket.destroyed, handshakes.failed, handshakes.open]).toEqual([true, 1, 0]);
});

test("what does not begin as a handshake never reaches TLS", async () => {
  const { open, turn, begun, handshakes } = setUp();
  for (const first of ["\u0000\u0001", "\r\n", "~"]) expect((await open(first)).destroyed).toBe(true);
  const http = await open("GET / HTTP/1.1\r\n\r\n");
  turn();
  expect([begun.length, handshakes.failed, http.writableEnded]).toEqual([0, 4, true]);
});

test("cut closes what is not secure yet", async () => {
  const { open, handshakes } = setUp();
  const sockets = [await open(), await open(HELLO)];
  handshakes.cut();
  expect(sockets.every(({ destroyed }) => destroyed)).toBe(true);
  await new Promise((resolve) => setImmediate(resolve));
  expect(handshakes.open).toBe(0);
});
