/** What a client, a watcher and an operator notice while a relay stops. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { nodeClock } from "@waybill/node";
import { startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { dial, openedBy } from "../lib/tls.ts";
import { BASIC, destination, type RelayWorld, startWorld, until } from "../lib/world.ts";

/** Far above what a stop takes, far below the deadline that it must not wait for. */
const SOON_MS = 5_000;
const NO_DEADLINE = { shutdown: { deadline: "60s" } };

/** A connection that keeps what comes. */
class Raw {
  readonly socket: Socket;
  text = "";
  isClosed = false;

  constructor(url: string) {
    this.socket = dial(url);
    this.socket.setEncoding("utf8");
    this.socket.on("data", (text: string) => (this.text += text));
    this.socket.on("error", () => undefined);
    this.socket.on("close", () => (this.isClosed = true));
    onTestFinished(() => void this.socket.destroy());
  }

  static async open(url: string): Promise<Raw> {
    const raw = new Raw(url);
    await once(raw.socket, openedBy(url));
    return raw;
  }

  /** Sends one event; resolves to the head of its answer. */
  async track(): Promise<string> {
    this.text = "";
    const body = '{"batch":[{"type":"track","event":"E","userId":"u"}]}';
    this.socket.write(headOf(body.length) + body);
    await until(() => this.text.includes("\r\n\r\n") || this.isClosed);
    return this.text.split("\r\n\r\n")[0] ?? "";
  }
}

function headOf(length: number): string {
  return `POST /v1/batch HTTP/1.1\r\nhost: relay\r\nauthorization: ${BASIC["authorization"]}\r\ncontent-length: ${length}\r\n\r\n`;
}

async function stopSoon({ relay }: RelayWorld): Promise<void> {
  const startedAtMs = nodeClock.monotonic();
  await relay.stop();
  expect(nodeClock.monotonic() - startedAtMs).toBeLessThan(SOON_MS);
}

test("the next request of an open connection is stored, and its answer says that it was the last", async () => {
  const world = await startWorld({ extra: NO_DEADLINE });
  const used = await Raw.open(world.relay.intakeUrl);
  expect(await used.track()).not.toMatch(/^connection: close/im);
  const stopped = stopSoon(world);
  const head = await used.track();
  expect(head).toMatch(/^HTTP\/1.1 200/);
  expect(head).toMatch(/^connection: close/im);
  await stopped;
  await until(() => used.isClosed);
  expect(world.relay.accounts().lanes[0]?.account).toMatchObject({ accepted: 2, balanced: true });
});

test("no new connection is taken from the first moment", async () => {
  const world = await startWorld({ extra: NO_DEADLINE });
  const open = await Raw.open(world.relay.intakeUrl);
  const stopped = stopSoon(world);
  const late = new Raw(world.relay.intakeUrl);
  const [error] = (await once(late.socket, "error")) as [NodeJS.ErrnoException];
  expect(error.code).toBe("ECONNREFUSED");
  await stopped;
  await until(() => open.isClosed);
});

test("idle connections, half-sent heads and bodies, and an open tail hold a stop no longer than a moment", async () => {
  const world = await startWorld({ extra: NO_DEADLINE });
  const { relay } = world;
  const idle = await Raw.open(relay.intakeUrl);
  await idle.track();
  const head = await Raw.open(relay.intakeUrl);
  head.socket.write("POST /v1/batch HTTP/1.1\r\nhost: re");
  const body = await Raw.open(relay.intakeUrl);
  body.socket.write(`${headOf(1_000)}{"batch":[`);
  const tail = await Raw.open(relay.adminUrl);
  tail.socket.write("GET /v1/tail HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
  await until(() => tail.text.includes(": listening"));
  const adminBody = await Raw.open(relay.adminUrl);
  adminBody.socket.write(
    "POST /v1/replays/test HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{",
  );
  await stopSoon(world);
  for (const raw of [idle, head, body, tail, adminBody]) await until(() => raw.isClosed);
});

test("a caller that waits for a vendor's answer learns that its event is stored", async () => {
  const hung = await startServer(() => new Promise(() => undefined));
  onTestFinished(() => hung.close());
  const world = await startWorld({
    extra: { shutdown: { deadline: "3s" } },
    sources: { points: { protocol: "trophy", writeKeys: ["trophy-key"] } },
    destinations: () => ({ trophy: { ...destination(hung.url), vendor: "trophy" } }),
  });
  const caller = await Raw.open(world.relay.intakeUrl);
  const body = '{"user":{"id":"u"},"value":1}';
  caller.socket.write(
    `POST /v1/metrics/points/event HTTP/1.1\r\nhost: relay\r\nx-api-key: trophy-key\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await until(() => world.relay.accounts().lanes[0]?.mode === "sending");
  await stopSoon(world);
  await until(() => caller.isClosed);
  expect(caller.text).toMatch(/^HTTP\/1.1 503/);
  expect(caller.text).toContain('"stored":true');
});

test("attempts in flight, requests and replays share one deadline", async () => {
  const hung = await startServer(() => new Promise(() => undefined));
  onTestFinished(() => hung.close());
  const deadlineMs = 1_000;
  const world = await startWorld({
    extra: { shutdown: { deadline: `${deadlineMs}ms` } },
    destinations: () => ({ one: destination(hung.url), two: destination(hung.url) }),
  });
  const used = await Raw.open(world.relay.intakeUrl);
  await used.track();
  await until(() => world.relay.accounts().lanes.every(({ mode }) => mode === "sending"));
  const startedAtMs = nodeClock.monotonic();
  await world.relay.stop();
  expect(nodeClock.monotonic() - startedAtMs).toBeLessThan(2 * deadlineMs);
  expect(world.relay.accounts().lanes[0]?.account).toMatchObject({ accepted: 1, pending: 1, balanced: true });
});
