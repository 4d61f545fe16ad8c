/** How Valued's client ends: by close, with the process, and where nobody answers. */
import { expect, test } from "vitest";
import type { PlainObject } from "../../src/valued/data.ts";
import { immediate } from "../../src/valued/executor.ts";
import type { ConnectionSource, ValuedClientOptions } from "../../src/valued/types.ts";
import { ENDPOINT, setUp } from "../lib/valued-world.ts";

const never = (): Promise<never> => new Promise(() => undefined);

/** A client whose failures are in `failed`; `hook` is what it does at the end of the process. */
function world(source: ConnectionSource, options: ValuedClientOptions = {}, environment?: string) {
  const { exits, connect, ...rest } = setUp(environment);
  exits.clear();
  const failed: unknown[] = [];
  const onError = (error: Error, { key }: PlainObject): void =>
    void failed.push({ key, ...error, text: error.message });
  const client = connect(source, ENDPOINT, { onError, ...options });
  const actions = (count: number): void => {
    for (let index = 0; index < count; index++) client.action(`a${index}`, { "user.id": 1 });
  };
  const [hook] = exits;
  return { ...rest, exits, client, failed, actions, hook };
}

test("with nothing left to do the client closes: everything is sent, and the process is none of its business", async () => {
  const { hook, exits, actions, emulator, failed, ended } = world("token");
  expect(hook).toMatchObject({ deadlineMs: 120_000, signals: undefined });
  actions(30);
  await ended(hook?.close() as Promise<unknown>);
  expect([emulator.events.length, failed, exits.size]).toEqual([30, [], 0]);
});

test("what fails at the end is reported to onError alone, in the environment `test` too", async () => {
  const { hook, actions, emulator, failed, ended } = world("token", {}, "test");
  emulator.fail({ kind: "status", status: 500, times: 1 });
  actions(2);
  await ended(hook?.close() as Promise<unknown>);
  expect(failed).toMatchObject([{ text: expect.stringContaining("500") as unknown }]);
  expect(emulator.events).toHaveLength(1);
});

test("what nothing can be sent of any more is reported, each event once; answers that come later change nothing", async () => {
  const answers: ((error: Error) => void)[] = [];
  const source = (): Promise<never> => new Promise((_, reject) => answers.push(reject));
  const { hook, actions, client, failed, ended } = world(source);
  actions(12);
  await Promise.resolve();
  expect(answers).toHaveLength(10);
  hook?.lost("the process ended with exit code 3");
  const lost = { code: "WAYBILL_TRANSPORT", reason: "exit" };
  const text = "1 event was not sent or not answered: the process ended with exit code 3";
  expect(failed).toMatchObject(Array.from({ length: 12 }, (_, index) => ({ key: `a${index}`, ...lost, text })));
  for (const reject of answers) reject(new Error("late"));
  await ended(client.flush());
  hook?.lost("the process ended by SIGTERM");
  expect([answers.length, failed.length]).toEqual([10, 12]);
});

test("registerAtExit false leaves the end of the process alone; exitSignals are those that are named", () => {
  expect(world("token", { registerAtExit: false }).hook).toBeUndefined();
  expect(world("token", { exitSignals: ["SIGHUP"], timeoutMs: 1_000, maxAttempts: 3 }).hook).toMatchObject({
    signals: ["SIGHUP"],
    deadlineMs: 4_000,
  });
  expect(() => world("token", { exitSignals: ["SIGUSR1" as never] })).toThrow(
    'ValuedClient: option "exitSignals" has SIGUSR1',
  );
});

test("a transport of one's own that never answers has timeoutMs for an event: flush ends, and the next ones have their turn", async () => {
  const { actions, client, clock, failed, ended } = world(never, { timeoutMs: 1_000 });
  actions(20);
  const startMs = clock.now();
  await ended(client.flush());
  // Ten at a time.
  expect(clock.now() - startMs).toBe(2_000);
  const late = { code: "WAYBILL_TRANSPORT", reason: "timeout", text: "The transport did not end within 1000 ms" };
  expect(failed).toMatchObject(Array.from({ length: 20 }, () => late));
});

test("close has an end: events left by then are given up and reported, and no request follows", async () => {
  const dropping = { post: () => undefined };
  for (const [source, options, left] of [
    ["token", {}, 10],
    [never, {}, 10],
    ["token", { executor: dropping }, 30],
  ] as const) {
    const { actions, client, clock, emulator, failed, ended } = world(source, { ...options, timeoutMs: 1_000 });
    emulator.fail({ kind: "hang" });
    actions(30);
    const startMs = clock.now();
    await ended(client.close());
    expect(clock.now() - startMs).toBe(2_000);
    expect(failed).toHaveLength(30);
    const text = "1 event was not sent or not answered: the deadline of close";
    expect(failed.slice(-left)).toMatchObject(Array.from({ length: left }, () => ({ reason: "deadline", text })));
    const { requests } = emulator;
    await clock.advance(10_000);
    expect([emulator.requests, failed.length]).toEqual([requests, 30]);
  }
});

test("the deadline of close ends a wait for another attempt", async () => {
  const options = { executor: immediate, timeoutMs: 1_000, maxAttempts: 2 };
  const { actions, client, clock, emulator, failed, ended } = world("token", options);
  emulator.fail({ kind: "status", status: 429, retryAfter: "50" });
  actions(1);
  await ended(client.close());
  await clock.advance(100_000);
  expect(failed).toMatchObject([{ reason: "deadline" }]);
  expect(emulator.requests).toBe(1);
});
