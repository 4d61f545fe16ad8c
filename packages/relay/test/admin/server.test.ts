/**
 * The admin server before a view of our making: what it does when the relay itself is in trouble.
 */
import type { ServerResponse } from "node:http";
import type { LogRecord } from "@waybill/log";
import { VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { heartbeat, type Stream, Streams } from "../../src/admin/streams.ts";
import { tail } from "../../src/admin/tail.ts";
import type { AdminView } from "../../src/admin/view.ts";
import { send } from "../lib/world.ts";
import { serveView } from "./lib/serve-view.ts";

const TOKEN = "a-long-token";
const FAILED = { environment: "production", destination: "crm", mode: "failed", reason: "a broken invariant" } as const;

async function serve(view: Partial<AdminView>): Promise<{ readonly url: string; readonly errors: unknown[] }> {
  const errors: unknown[] = [];
  const whole = {
    readiness: () => ({ ready: true, components: [], lanes: [] }),
    onError: (error: unknown) => errors.push(error),
    ...view,
  };
  return { url: await serveView(whole), errors };
}

test("a defect is one 500 with a stable code and one log line, without its message; the next request is answered", async () => {
  const broken = (): never => {
    throw new TypeError("secret inner state");
  };
  const { url, errors } = await serve({
    accounts: broken,
    environments: broken,
    metrics: () => Promise.reject(new Error("secret too")),
    plan: () => [],
  });
  for (const path of ["/v1/accounts", "/v1/replays", "/metrics", "/v1/trace/x", "/v1/tail"]) {
    const answer = await send(url, "GET", path, "", {});
    expect(answer, path).toMatchObject({ status: 500, json: { code: "internal" } });
    expect(answer.text).not.toContain("secret");
  }
  expect(errors).toHaveLength(5);
  expect((await send(url, "GET", "/v1/environments", "", {})).status).toBe(200);
});

test("health is red while a defect has stopped a lane, and names it to those who may know", async () => {
  const lanes = [FAILED, { environment: "production", destination: "ok", mode: "idle" }] as const;
  const { url } = await serve({
    guard: () => ({ hosts: [], readOnlyToken: undefined, token: TOKEN }),
    readiness: () => ({ ready: true, components: [], lanes }),
  });
  const trusted = await send(url, "GET", "/health", "", { authorization: `Bearer ${TOKEN}` });
  expect(trusted).toMatchObject({ status: 503, json: { status: "failed", lanes: [FAILED] } });
  const stranger = await send(url, "GET", "/health", "", {});
  expect([stranger.status, stranger.json]).toEqual([503, { status: "failed" }]);
  const { url: well } = await serve({});
  expect((await send(well, "GET", "/health", "", {})).json).toEqual({ status: "ok" });
});

/** As much of a response as a stream needs, whose reader has stopped reading. */
class StalledResponse extends EventTarget {
  written = 0;
  destroyed = false;
  writableEnded = false;
  headersSent = false;
  writableNeedDrain = true;
  readonly #listeners = new Map<string, Set<() => void>>();

  on(name: string, run: () => void): this {
    this.#listeners.set(name, (this.#listeners.get(name) ?? new Set()).add(run));
    return this;
  }
  once(name: string, run: () => void): this {
    return this.on(name, run);
  }
  off(name: string, run: () => void): this {
    this.#listeners.get(name)?.delete(run);
    return this;
  }
  writeHead(): this {
    this.headersSent = true;
    return this;
  }
  write(text: string): boolean {
    this.written += text.length;
    return false;
  }
  end(): void {
    this.writableEnded = true;
  }
  destroy(): void {
    this.destroyed = true;
    for (const run of this.#listeners.get("close") ?? []) run();
  }
}

test("a reader that takes nothing for a minute is let go", async () => {
  const clock = new VirtualClock(0);
  const response = new StalledResponse();
  const stream = new Streams(clock, new AbortController().signal).open(response as unknown as ServerResponse, {});
  const written = stream.write("first");
  await clock.advance(59_000);
  expect(response.destroyed).toBe(false);
  await clock.advance(2_000);
  expect(await written).toBe(false);
  expect([response.destroyed, stream.signal.aborted, response.written]).toEqual([true, true, 5]);
  expect(await stream.write("more")).toBe(false);
});

test("a stop ends the readers that keep up and cuts off those that do not", () => {
  const stopping = new AbortController();
  const streams = new Streams(new VirtualClock(0), stopping.signal);
  const [stalled, quick] = [new StalledResponse(), new StalledResponse()];
  quick.writableNeedDrain = false;
  for (const response of [stalled, quick]) streams.open(response as unknown as ServerResponse, {});
  stopping.abort();
  expect([stalled.destroyed, quick.destroyed, quick.writableEnded]).toEqual([true, false, true]);
  expect(() => streams.open(new StalledResponse() as unknown as ServerResponse, {})).toThrow("too_many_streams");
});

test("a stream whose reader has signed out, or whose token was changed, ends with the next heartbeat", async () => {
  const clock = new VirtualClock(0);
  const seen: string[] = [];
  const stream: Stream = {
    signal: new AbortController().signal,
    write: (text) => Promise.resolve(seen.push(String(text)) > 0),
    end: () => void seen.push("end"),
  };
  let isAllowed = true;
  const stop = heartbeat(clock, stream, () => isAllowed);
  await clock.advance(15_000);
  expect(seen).toEqual([": still here\n\n"]);
  isAllowed = false;
  await clock.advance(14_000);
  expect(seen).toHaveLength(1);
  await clock.advance(1_000);
  expect(seen.slice(1)).toEqual(["end"]);
  await clock.advance(60_000);
  expect(seen).toHaveLength(2);
  stop();
});

test("a tail reads on only when its reader has taken what came before, and shows each event as it is stored", async () => {
  const texts = [`{"n":12345678901234567890,\n"at":"\u2028"}`, "null", `"${"x".repeat(100_000)}"`];
  const body = Buffer.from(texts.join(","));
  let end = -1;
  const ends = Uint32Array.from(texts, (text) => (end += Buffer.byteLength(text) + 1));
  const record = { first: 7, count: 3, source: "web", receivedAtMs: 1, metadata: "", body, ends, sizeBytes: 0 };
  let reads = 0;
  let closed = 0;
  const reader = {
    cursor: { position: 0, byte: 0 },
    read: () => Promise.resolve(reads++ < 5 ? [record as LogRecord] : []),
    close: () => Promise.resolve((closed += 1)),
  };
  const log = { head: 0, headByte: 0, reader: () => reader, onCommit: () => () => undefined };
  const controller = new AbortController();
  const emitted: string[] = [];
  let take = (): void => undefined;
  const emit = (text: string): Promise<void> => {
    emitted.push(text);
    return new Promise<void>((resolve) => (take = resolve));
  };
  const { signal } = controller;
  const tailing = tail(log as never, { environment: "e" }, { clock: new VirtualClock(0), emit, signal });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect([reads, emitted.length]).toEqual([1, 1]);
  const lines = (emitted[0] ?? "").split("\n\n").filter((line) => line !== "");
  expect(lines).toHaveLength(3);
  expect(lines[0]).toBe(
    'data: {"environment":"e","source":"web","position":7,"receivedAtMs":1,"event":{"n":12345678901234567890, "at":"\u2028"}}',
  );
  expect(JSON.parse((lines[2] ?? "").slice(6))).toMatchObject({ position: 9 });
  controller.abort();
  take();
  await tailing;
  expect(closed).toBe(1);
});
