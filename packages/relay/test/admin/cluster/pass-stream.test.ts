/** Streams of lanes that another relay has, and tails of all relays as one. */
import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { nodeClock } from "@waybill/node";
import { expect, onTestFinished, test } from "vitest";
import { laneEntry, relayEntry } from "../../lib/relay-entries.ts";
import { until } from "../../lib/world.ts";
import { ask, FAST, READ_ONLY, startRelay, type TestRelay, TOKEN } from "./lib/test-relay.ts";

const LANE = "/v1/lanes/production%2F3/segment";
const ATTEMPTS = `${LANE}/attempts/live`;
const EXPORT = "/v1/dead-letters/production%2F3/segment/export";

interface Opened {
  readonly status: number;
  readonly response: IncomingMessage;
  /** What has come so far. */
  readonly text: () => string;
  /** Resolves when it ended, to whether in order. */
  readonly ended: Promise<boolean>;
  close(): void;
}

async function open(relay: Pick<TestRelay, "url">, path: string, token: string = TOKEN): Promise<Opened> {
  const outgoing = httpRequest(`${relay.url}${path}`, { agent: false, headers: { authorization: `Bearer ${token}` } });
  outgoing.on("error", () => undefined).end();
  onTestFinished(() => void outgoing.destroy());
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  let text = "";
  response.on("data", (chunk: Buffer) => {
    text += String(chunk);
  });
  response.on("error", () => undefined);
  const ended = new Promise<boolean>((resolve) => response.on("close", () => resolve(response.complete)));
  return { status: response.statusCode ?? 0, response, text: () => text, ended, close: () => outgoing.destroy() };
}

interface Attempts {
  readonly environment: object;
  readonly listeners: Set<(attempt: object) => void>;
}

/** A lane whose attempts a test makes. */
function lane(partition = 3): Attempts {
  const listeners = new Set<(attempt: object) => void>();
  const destination = {
    activity: {
      recent: () => [],
      onAttempt: (run: (attempt: object) => void) => {
        listeners.add(run);
        return () => listeners.delete(run);
      },
    },
  };
  return { environment: { name: `production/${partition}`, destination: () => destination }, listeners };
}

/** A server in place of a relay: nothing of it is to be believed. */
async function stranger(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly url: string }> {
  const server = createServer(answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** A relay that knows of another one at `url`, which has partition 3. */
async function startBefore(url: string, clock = nodeClock): Promise<TestRelay> {
  const one = await startRelay("one", { clock });
  one.known.push(relayEntry("two", { adminUrl: url, lanes: [laneEntry(3)] }));
  return one;
}

const attempt = (sequence: number): object => ({ sequence, reason: "é".repeat(10) });

test("attempts of another relay's lane come as they happen, and its stream ends with its reader", async () => {
  const { environment, listeners } = lane();
  const two = await startRelay("two", { environments: { "production/3": environment } });
  const one = await startBefore(two.url);
  const opened = await open(one, ATTEMPTS);
  expect([opened.status, opened.response.headers["content-type"]]).toEqual([200, "text/event-stream"]);
  await until(() => listeners.size === 1);
  for (const listen of listeners) listen(attempt(1));
  await until(() => opened.text().includes('"sequence":1,'));
  expect(opened.text()).toMatch(/^: listening\n\n(?:: still here\n\n)*event: attempt\ndata: \{"sequence":1,/);
  expect(one.asked).toHaveLength(1);
  expect(JSON.stringify(one.asked)).not.toContain(TOKEN);
  expect(two.asked).toEqual([]);
  opened.close();
  await until(() => listeners.size === 0);
});

test("a lane that goes to another relay ends its streams, which say why", async () => {
  const { environment } = lane();
  const environments: Record<string, object> = { "production/3": environment };
  const two = await startRelay("two", { clock: FAST, environments });
  const one = await startBefore(two.url);
  const [direct, passed] = [await open(two, ATTEMPTS), await open(one, ATTEMPTS)];
  delete environments["production/3"];
  for (const opened of [direct, passed]) {
    expect(await opened.ended).toBe(true);
    expect(opened.text()).toContain("event: interrupted\ndata: ");
    expect(opened.text()).toContain("production/3/segment is not at this relay any more.");
  }
  expect((await ask(one, "GET", ATTEMPTS)).json).toMatchObject({ code: "lane_without_relay" });
});

test("the reader of a relay that dies, hangs or sends nonsense hears which one and why", async () => {
  const hanging = await stranger((_request, response) => void response.writeHead(200).write(": listening\n\n"));
  const dying = await stranger((_request, response) => {
    response.writeHead(200).write(": listening\n\nevent: attempt\ndata: {");
    setImmediate(() => response.destroy());
  });
  const endless = await stranger((_request, response) => {
    response.writeHead(200);
    const chunk = "x".repeat(1024 * 1024);
    const more = (): void => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on("drain", more);
    more();
  });
  for (const [{ url }, reason] of [
    [hanging, "was silent for 45 s"],
    [dying, "aborted"],
    [endless, "sends a message of more than 16777216 bytes"],
  ] as const) {
    const opened = await open(await startBefore(url, FAST), ATTEMPTS);
    expect(await opened.ended).toBe(true);
    expect(opened.text(), reason).toContain(`event: interrupted\ndata: {"reason":"The relay two ${reason}`);
    expect(opened.text()).not.toContain("data: {\n");
  }
});

test("a relay that does not begin its answer is given up, and named", async () => {
  const { url } = await stranger(() => undefined);
  const { json } = await ask(await startBefore(url, FAST), "GET", ATTEMPTS);
  expect(json).toMatchObject({ status: 502, code: "relay_unanswered" });
  expect(json["detail"]).toBe("The relay two has not answered within 5 s.");
});

test("a refusal of the other relay comes back, and nothing of it as another type", async () => {
  const { url } = await stranger((_request, response) => {
    response.writeHead(503, { "content-type": "text/html", "set-cookie": "a=b" }).end('{"code":"too_many_streams"}');
  });
  const { status, headers, json } = await ask(await startBefore(url), "GET", ATTEMPTS);
  expect([status, json["code"], headers["content-type"]]).toEqual([
    503,
    "too_many_streams",
    "application/problem+json",
  ]);
  expect(headers["set-cookie"]).toBeUndefined();
});

test.each([401, 421, 302])("an answer of %i ends the stream at once, without a place taken", async (status) => {
  const gone: Promise<unknown>[] = [];
  const { url } = await stranger((request, response) => {
    gone.push(once(request.socket, "close"));
    response.writeHead(status).write("not the end");
  });
  const { json } = await ask(await startBefore(url), "GET", ATTEMPTS);
  expect(json).toMatchObject({ status: 502, code: "relay_unanswered" });
  await Promise.all(gone);
});

test("an export of another relay comes whole, or breaks off", async () => {
  let isBroken = false;
  const { url } = await stranger((_request, response) => {
    response.writeHead(200).write('{"deadLetterId":1}\n');
    if (isBroken) setTimeout(() => response.destroy(), 20);
    else response.end('{"deadLetterId":2}\n');
  });
  const one = await startBefore(url);
  const whole = await open(one, EXPORT);
  expect(whole.response.headers["content-type"]).toBe("application/x-ndjson");
  expect(await whole.ended).toBe(true);
  expect(whole.text()).toBe('{"deadLetterId":1}\n{"deadLetterId":2}\n');
  isBroken = true;
  expect(await (await open(one, EXPORT)).ended).toBe(false);
});

test("a reader that takes nothing holds the other relay back instead of memory", async () => {
  let sent = 0;
  const line = `${"x".repeat(64 * 1024 - 1)}\n`;
  const { url } = await stranger((_request, response) => {
    response.writeHead(200);
    const more = (): void => {
      do sent += line.length;
      while (response.write(line) && sent < 1024 ** 3);
    };
    response.on("drain", more);
    more();
  });
  const one = await startBefore(url);
  const outgoing = httpRequest(`${one.url}${EXPORT}`, { agent: false, headers: { authorization: `Bearer ${TOKEN}` } });
  outgoing.on("error", () => undefined).end();
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  response.pause();
  let before = -1;
  await until(async () => {
    const isStill = sent === before;
    before = sent;
    await new Promise((resolve) => nodeClock.after(50, () => resolve(undefined)));
    return isStill;
  });
  // What the sockets between hold.
  expect(sent).toBeLessThan(32 * 1024 * 1024);
  outgoing.destroy();
});

test("streams through a relay are as many as its own, and each place comes back", async () => {
  const { url } = await stranger((_request, response) => void response.writeHead(200).write("x\n"));
  const one = await startBefore(url);
  const opened = await Promise.all(Array.from({ length: 9 }, () => open(one, EXPORT)));
  expect(opened.map(({ status }) => status).filter((status) => status === 200)).toHaveLength(8);
  expect(opened.map(({ status }) => status)).toContain(503);
  for (const { close } of opened) close();
  await until(async () => {
    const next = await open(one, EXPORT);
    next.close();
    return next.status === 200;
  });
});

test("two relays that each believe that the other has a lane do not open streams in circles", async () => {
  const [one, two] = [await startRelay("one"), await startRelay("two")];
  one.known.push(relayEntry("two", { adminUrl: two.url, lanes: [laneEntry(3)] }));
  two.known.push(relayEntry("one", { adminUrl: one.url, lanes: [laneEntry(3)] }));
  for (const path of [ATTEMPTS, EXPORT, "/v1/tail?environment=production/3"])
    expect((await ask(one, "GET", path)).json).toMatchObject({ code: "lane_without_relay" });
  expect([one.asked.length, two.asked.length]).toEqual([3, 0]);
});

test("the read-only token may read streams of other relays too, and a wrong one may not", async () => {
  const { environment } = lane();
  const two = await startRelay("two", { environments: { "production/3": environment } });
  const one = await startBefore(two.url);
  expect((await open(one, ATTEMPTS, READ_ONLY)).status).toBe(200);
  expect((await open(one, ATTEMPTS, "wrong")).status).toBe(401);
  expect(one.asked).toHaveLength(1);
});
