/** What a client, a watcher and an operator notice while a relay stops. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { steadyClock } from "../lib/steady-clock.ts";
import { dial, openedBy } from "../lib/tls.ts";
import { BASIC, destination, type RelayWorld, startWorld, until } from "../lib/world.ts";

/** Far above what a stop takes, far below the deadline that it must not wait for. */
const SOON_MS = 5_000;
const PIPELINED = 4;
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

/** Resolves once new connections are refused. One that waited when the port closed is reset. */
async function refused(url: string): Promise<void> {
  const codeOf = async ({ socket }: Raw): Promise<unknown> => {
    try {
      await once(socket, "connect");
      socket.destroy();
      return undefined;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code;
    }
  };
  while ((await codeOf(new Raw(url))) !== "ECONNREFUSED");
}

async function stopSoon({ relay }: RelayWorld): Promise<void> {
  const startedAtMs = steadyClock.monotonic();
  await relay.stop();
  expect(steadyClock.monotonic() - startedAtMs).toBeLessThan(SOON_MS);
}

test("the next request of an open connection is stored, and its answer says that it was the last", async () => {
  const world = await startWorld({ clock: steadyClock, extra: NO_DEADLINE });
  const used = await Raw.open(world.relay.intakeUrl);
  expect(await used.track()).not.toMatch(/^connection: close/im);
  const stopped = stopSoon(world);
  await refused(world.relay.intakeUrl);
  const head = await used.track();
  expect(head).toMatch(/^HTTP\/1.1 200/);
  expect(head).toMatch(/^connection: close/im);
  await stopped;
  await until(() => used.isClosed);
  expect(world.relay.accounts().lanes[0]?.account).toMatchObject({ accepted: 2, balanced: true });
});

test("requests that come at once are all answered, and the last answer alone says that it was the last", async () => {
  const world = await startWorld({ clock: steadyClock, extra: NO_DEADLINE });
  const used = await Raw.open(world.relay.intakeUrl);
  const body = '{"batch":[{"type":"track","event":"E","userId":"u"}]}';
  const stopped = stopSoon(world);
  await refused(world.relay.intakeUrl);
  used.socket.write((headOf(body.length) + body).repeat(PIPELINED));
  await stopped;
  await until(() => used.isClosed);
  const heads = used.text.match(/HTTP\/1.1 200[^]*?\r\n\r\n/g) ?? [];
  expect(heads).toHaveLength(PIPELINED);
  expect(heads.map((head) => /^connection: close/im.test(head))).toEqual([false, false, false, true]);
});

test("a client that sends the next request before each answer holds up no stop", async () => {
  const world = await startWorld({ clock: steadyClock, extra: NO_DEADLINE });
  const used = await Raw.open(world.relay.intakeUrl);
  const body = '{"batch":[{"type":"track","event":"E","userId":"u"}]}';
  const one = headOf(body.length) + body;
  let seen = 0;
  used.socket.on("data", () => {
    const answers = used.text.split("HTTP/1.1 200").length - 1;
    used.socket.write(one.repeat(answers - seen));
    seen = answers;
  });
  used.socket.write(one.repeat(PIPELINED));
  await until(() => seen > PIPELINED);
  await stopSoon(world);
  await until(() => used.isClosed);
});

test("while a vendor keeps an attempt waiting, new connections are served", async () => {
  let requests = 0;
  const hung = await startServer(() => {
    requests += 1;
    return new Promise(() => undefined);
  });
  onTestFinished(() => hung.close());
  const world = await startWorld({
    clock: steadyClock,
    extra: { shutdown: { deadline: "3s" } },
    destinations: () => ({ one: destination(hung.url) }),
  });
  const { intakeUrl } = world.relay;
  await (await Raw.open(intakeUrl)).track();
  await until(() => requests > 0);
  const stopped = stopSoon(world);
  const late = await Raw.open(intakeUrl);
  for (let time = 0; time < 2; time++) {
    const head = await late.track();
    expect(head).toMatch(/^HTTP\/1.1 200/);
    expect(head).not.toMatch(/^connection: close/im);
  }
  await stopped;
  expect(world.relay.accounts().lanes[0]?.account).toMatchObject({ accepted: 3, pending: 3, balanced: true });
});

test("no new connection is taken once the attempts have ended", async () => {
  const world = await startWorld({ clock: steadyClock, extra: NO_DEADLINE });
  const open = await Raw.open(world.relay.intakeUrl);
  const stopped = stopSoon(world);
  await refused(world.relay.intakeUrl);
  expect(open.isClosed).toBe(false);
  await stopped;
  await until(() => open.isClosed);
});

test("idle connections, half-sent heads and bodies, and an open tail hold a stop no longer than a moment", async () => {
  const world = await startWorld({ clock: steadyClock, extra: NO_DEADLINE });
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
    clock: steadyClock,
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

test("who comes during a stop does not wait for an answer of a vendor: its event is stored", async () => {
  let requests = 0;
  const hung = await startServer(() => {
    requests += 1;
    return new Promise(() => undefined);
  });
  onTestFinished(() => hung.close());
  const world = await startWorld({
    clock: steadyClock,
    extra: { shutdown: { deadline: "5s" } },
    sources: { points: { protocol: "trophy", writeKeys: ["trophy-key"] } },
    destinations: () => ({ trophy: { ...destination(hung.url), vendor: "trophy" } }),
  });
  const body = '{"user":{"id":"u"},"value":1}';
  const request = `POST /v1/metrics/points/event HTTP/1.1\r\nhost: relay\r\nx-api-key: trophy-key\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const before = await Raw.open(world.relay.intakeUrl);
  before.socket.write(request);
  await until(() => requests > 0);
  const stopped = world.relay.stop();
  const during = await Raw.open(world.relay.intakeUrl);
  during.socket.write(request);
  await until(() => during.text !== "");
  expect(during.text).toMatch(/^HTTP\/1.1 503/);
  expect(during.text).toContain('"stored":true');
  // The one that the vendor has may still be answered.
  expect(before.text).toBe("");
  await stopped;
});

test("attempts in flight, requests and replays share one deadline", async () => {
  const hung = await startServer(() => new Promise(() => undefined));
  onTestFinished(() => hung.close());
  const deadlineMs = 1_000;
  const world = await startWorld({
    clock: steadyClock,
    extra: { shutdown: { deadline: `${deadlineMs}ms` } },
    destinations: () => ({ one: destination(hung.url), two: destination(hung.url) }),
  });
  const used = await Raw.open(world.relay.intakeUrl);
  await used.track();
  await until(() => world.relay.accounts().lanes.every(({ mode }) => mode === "sending"));
  const startedAtMs = steadyClock.monotonic();
  await world.relay.stop();
  expect(steadyClock.monotonic() - startedAtMs).toBeLessThan(2 * deadlineMs);
  expect(world.relay.accounts().lanes[0]?.account).toMatchObject({ accepted: 1, pending: 1, balanced: true });
});
