/** The stand-in of a vendor that is some way off, as the process that the scenarios start. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterEach, expect, onTestFinished, test } from "vitest";
import type { ArrivalsReport } from "./lib/arrivals.ts";
import { type MarkKind, markMember } from "./lib/marks.ts";

const DELAY_MS = 100;
const LONGER_THAN_A_TEST_MS = 60_000;
const POLL = { timeout: 20_000 };
let child: ChildProcess | undefined;

afterEach(() => {
  child?.kill("SIGKILL");
});

interface Vendor {
  readonly url: string;
  readonly port: number;
  ask(message: object): Promise<ArrivalsReport>;
}

async function start(name: string, delayMs: number): Promise<Vendor> {
  const file = fileURLToPath(new URL("dist/children/distant-vendor.js", import.meta.url));
  const started = fork(file, [name, String(delayMs)]);
  child = started;
  const [{ port }] = (await once(started, "message")) as [{ readonly port: number }];
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    async ask(message) {
      const answered = once(started, "message");
      started.send(message);
      const [answer] = (await answered) as [ArrivalsReport];
      return answer;
    },
  };
}

function bodyOf(...marks: readonly (readonly [user: number, ordinal: number, kind?: MarkKind])[]): string {
  return marks.map(([user, ordinal, kind = "n"]) => `{${markMember({ user, ordinal, kind })}}`).join(",");
}

async function post(url: string, body: string | Buffer, headers: Record<string, string> = {}): Promise<unknown[]> {
  const response = await fetch(url, { method: "POST", body, headers });
  return [response.status, await response.text()];
}

/** A request whose answer nobody waits for. */
function unanswered(port: number, body: string): Socket {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.write(`POST / HTTP/1.1\r\nHost: vendor\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  return socket;
}

test("answers each request after the delay, whatever else is in flight", async () => {
  const { url, ask } = await start("letter", DELAY_MS);
  const startedAt = performance.now();
  const answers = await Promise.all([post(url, bodyOf([1, 0], [2, 1])), post(url, bodyOf([3, 2], [4, 3], [4, 4]))]);
  // A timer may be early by the part of a millisecond that it does not count.
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(DELAY_MS - 1);
  expect(answers).toEqual([
    [200, '{"ok":true,"accepted":2,"duplicates":0}'],
    [200, '{"ok":true,"accepted":3,"duplicates":0}'],
  ]);
  expect(await ask({ report: true })).toMatchObject({ events: 5, orderViolations: 0, open: 0 });
});

test("an event breaks the order while another request of its user is in flight", async () => {
  const { port, ask } = await start("letter", LONGER_THAN_A_TEST_MS);
  for (const [index, body] of [bodyOf([1, 0], [2, 1]), bodyOf([1, 2], [3, 3], [3, 4])].entries()) {
    unanswered(port, body);
    await expect.poll(async () => (await ask({ report: true })).open, POLL).toBe(index + 1);
  }
  expect(await ask({ report: true })).toMatchObject({ events: 5, orderViolations: 1, inFlight: 2 });
});

test("sees what is lost, what comes again and what comes late; compressed bodies too", async () => {
  const { url, ask } = await start("segment", 0);
  await post(url, bodyOf([1, 0], [1, 1]));
  await post(url, gzipSync(bodyOf([1, 1], [2, 5])), { "content-encoding": "gzip" });
  await post(url, bodyOf([2, 3]));
  expect(await ask({ report: true })).toMatchObject({ events: 4, duplicates: 1, orderViolations: 1, inFlight: 1 });
});

test("refuses requests with a poisonous event, and takes none of their events", async () => {
  const { url, ask } = await start("segment", 0);
  expect(await post(url, bodyOf([1, 0], [2, 1, "p"]))).toEqual([500, expect.any(String)]);
  expect(await post(url, bodyOf([1, 0]))).toEqual([200, '{"success":true}']);
  expect(await post(url, "{}")).toEqual([400, expect.any(String)]);
  expect(await ask({ report: true })).toMatchObject({ events: 1, duplicates: 0, orderViolations: 0 });
});

test("is out in three ways, takes nothing meanwhile, and is well again on the same port", async () => {
  const { url, ask } = await start("segment", 0);
  for (const mode of ["503", "500"]) {
    await ask({ mode });
    expect(await post(url, bodyOf([1, 0]))).toEqual([Number(mode), expect.any(String)]);
  }
  await ask({ mode: "refuse" });
  await expect(post(url, bodyOf([1, 0]))).rejects.toThrow("fetch failed");
  await ask({ mode: "well" });
  expect(await post(url, bodyOf([1, 0]))).toEqual([200, expect.any(String)]);
  expect(await ask({ report: true })).toMatchObject({ events: 1, duplicates: 0 });
});

test("has a request no longer in flight once its connection is gone", async () => {
  const { port, ask } = await start("segment", LONGER_THAN_A_TEST_MS);
  const socket = unanswered(port, bodyOf([1, 0]));
  await expect.poll(async () => (await ask({ report: true })).open, POLL).toBe(1);
  socket.destroy();
  await expect.poll(async () => (await ask({ report: true })).open, POLL).toBe(0);
});
