import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { ReadGate } from "../../src/intake/read-gate.ts";
import { exchange, RawConnection, rawRequest } from "../lib/raw.ts";
import { BASIC, send, startWorld } from "../lib/world.ts";

interface FakeSocket extends EventEmitter {
  readonly _handle: { readStart(): number; readStop(): number; reading: boolean };
  isRead: boolean;
}

function fakeSocket(): FakeSocket {
  const socket = Object.assign(new EventEmitter(), {
    isRead: true,
    _handle: {
      reading: true,
      readStart: () => {
        socket.isRead = true;
        return 0;
      },
      readStop: () => {
        socket.isRead = false;
        return 0;
      },
    },
  });
  return socket;
}

/** Time and turns as the test says. */
function setUp(): {
  readonly gate: ReadGate;
  readonly errors: unknown[];
  pass(ms: number): void;
  come(): boolean;
  watch(count: number): FakeSocket[];
  work(ms: number): void;
} {
  let nowMs = 0;
  const deferred: (() => void)[] = [];
  const errors: unknown[] = [];
  const gate = new ReadGate({
    clock: { monotonic: () => nowMs },
    defer: (run) => deferred.push(run),
    onError: (error) => errors.push(error),
  });
  return {
    gate,
    errors,
    pass: (ms) => (nowMs += ms),
    come() {
      const run = deferred.shift();
      run?.();
      return run !== undefined;
    },
    watch: (count) =>
      Array.from({ length: count }, () => {
        const socket = fakeSocket();
        gate.watch(socket as unknown as Socket);
        return socket;
      }),
    work(ms) {
      for (let event = 0; event < 64; event++) gate.tick();
      nowMs += ms;
      for (let event = 0; event < 64; event++) gate.tick();
    },
  };
}

const read = (sockets: readonly FakeSocket[]): number => sockets.filter(({ isRead }) => isRead).length;

test("a turn that takes too long holds every socket; they are let go again, more each turn", () => {
  const { gate, watch, work, come } = setUp();
  const sockets = watch(100);
  while (come());
  work(5);
  expect([read(sockets), gate.isLate]).toEqual([100, false]);
  work(5);
  expect([read(sockets), gate.isLate]).toEqual([0, true]);
  const counts: number[] = [];
  while (come()) counts.push(read(sockets));
  expect(counts[0]).toBeLessThan(20);
  expect(counts).toEqual(counts.toSorted((a, b) => a - b));
  expect([read(sockets), gate.isLate, gate.holds.sockets]).toEqual([100, false, 0]);
});

test("a held socket that Node starts or stops meanwhile is as Node wants it afterwards", () => {
  const { watch, work, come } = setUp();
  const [one, two, three] = watch(3) as [FakeSocket, FakeSocket, FakeSocket];
  two._handle.readStop();
  while (come());
  work(20);
  one._handle.readStart();
  two._handle.readStart();
  three._handle.readStop();
  expect(read([one, two, three])).toBe(0);
  while (come());
  expect([one.isRead, two.isRead, three.isRead]).toEqual([true, true, false]);
});

test("requests that come late wait in order and have their time, before sockets are let go; what one throws harms only itself", () => {
  const { gate, watch, work, come, pass, errors } = setUp();
  const sockets = watch(4);
  while (come());
  work(20);
  const ran: number[] = [];
  for (let index = 0; index < 6; index++)
    gate.wait(() => {
      ran.push(index);
      pass(1);
      if (index === 1) throw new Error("it broke");
    });
  come();
  expect(ran).toEqual([0, 1]);
  expect(gate.isLate).toBe(true);
  expect(read(sockets)).toBe(0);
  while (come());
  expect(ran).toEqual([0, 1, 2, 3, 4, 5]);
  expect([errors.length, read(sockets), gate.isLate]).toEqual([1, 4, false]);
});

test("a socket that closes is forgotten, and one that comes while others are held is held too", () => {
  const { gate, watch, work, come } = setUp();
  const [gone] = watch(1) as [FakeSocket];
  while (come());
  work(20);
  const [late] = watch(1) as [FakeSocket];
  expect(late.isRead).toBe(false);
  gone.emit("close");
  expect(gate.holds.sockets).toBe(1);
  while (come());
  expect([late.isRead, gone.isRead]).toEqual([true, false]);
});

test("what Node does when connections close is done by as many a turn as there is time for", () => {
  const { gate, come, pass } = setUp();
  let closed = 0;
  const sockets = Array.from({ length: 10 }, () => {
    const socket = fakeSocket();
    socket.on("close", () => {
      closed += 1;
      pass(20);
    });
    gate.watch(socket as unknown as Socket);
    return socket;
  });
  while (come());
  for (const socket of sockets) socket.emit("close", false);
  const counts = [closed];
  while (come()) counts.push(closed);
  expect(counts.slice(0, 4)).toEqual([1, 2, 3, 4]);
  expect([closed, gate.isLate, gate.holds.requests]).toEqual([10, false, 0]);
});

test("clients that send as fast as they can in the smallest pieces block nobody", { timeout: 60_000 }, async () => {
  const { relay } = await startWorld();
  const url = relay.intakeUrl;
  const body = `{"batch":[],"pad":"${"x".repeat(20_000)}"}`;
  const chunks = [...Buffer.from(body)].map((byte) => `1\r\n${String.fromCharCode(byte)}\r\n`).join("");
  const connections = await Promise.all(Array.from({ length: 20 }, () => RawConnection.open(url)));
  for (const [index, connection] of connections.entries())
    connection.write(
      index % 2 === 0
        ? Buffer.concat([
            rawRequest("POST /v1/batch HTTP/1.1", { ...BASIC, "transfer-encoding": "chunked" }),
            Buffer.from(`${chunks}0\r\n\r\n`),
          ])
        : Buffer.concat(Array.from({ length: 2_000 }, () => rawRequest("GET /ready HTTP/1.1"))),
    );
  expect((await exchange(url, rawRequest("GET /health HTTP/1.1")))?.status).toBe(200);
  for (const [index, connection] of connections.entries()) {
    const wanted = index % 2 === 0 ? 1 : 2_000;
    const answers = await connection.answered(wanted);
    expect(answers.length).toBe(wanted);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  }
  expect((await send(url, "POST", "/v1/batch", { batch: [] })).status).toBe(200);
});
