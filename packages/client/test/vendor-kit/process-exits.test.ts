/**
 * Which end of a process does what, on a process of the test's own. Real processes: exit.test.ts.
 */
import { EventEmitter } from "node:events";
import { settle, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import type { ExitHook, ExitSignal } from "../../src/vendor-kit/exit-hook.ts";
import { ProcessExits } from "../../src/vendor-kit/process-exits.ts";

class FakeProcess extends EventEmitter {
  pid = 7;
  readonly killed: [number, string][] = [];
  readonly codes: number[] = [];

  exit(code: number): void {
    this.codes.push(code);
  }

  kill(pid: number, signal: string): void {
    this.killed.push([pid, signal]);
  }
}

interface FakeHook extends ExitHook {
  closes: number;
  readonly reasons: string[];
  /** Lets `close` end. */
  finish: () => void;
}

function setUp(): {
  readonly process: FakeProcess;
  readonly clock: VirtualClock;
  readonly exits: ProcessExits;
  readonly hook: (signals?: readonly ExitSignal[]) => FakeHook;
} {
  const process = new FakeProcess();
  const clock = new VirtualClock();
  const hook = (signals?: readonly ExitSignal[]): FakeHook => {
    let finish = (): void => undefined;
    const closed = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const made: FakeHook = {
      closes: 0,
      reasons: [],
      finish,
      deadlineMs: 1_000,
      signals,
      close() {
        made.closes += 1;
        return closed;
      },
      lost: (reason) => void made.reasons.push(reason),
    };
    return made;
  };
  return { process, clock, exits: new ProcessExits(process, clock), hook };
}

const theirs = (): void => undefined;

test("closes at the normal end, reports at any other, and is forgotten on request", () => {
  const { process, exits, hook } = setUp();
  const [a, b] = [hook(), hook()];
  const forget = exits.add(a);
  exits.add(b);
  process.emit("beforeExit", 0);
  expect([a.closes, b.closes]).toEqual([1, 1]);
  expect(a.reasons).toEqual([]);
  forget();
  forget();
  process.emit("exit", 3);
  expect(a.reasons).toEqual([]);
  expect(b.reasons).toEqual(["the process ended with exit code 3"]);
});

test("without clients nothing listens; with them one listener each", () => {
  const { process, exits, hook } = setUp();
  expect(process.eventNames()).toEqual([]);
  const forgets = Array.from({ length: 20 }, () => exits.add(hook()));
  expect(process.eventNames().map((name) => [name, process.listenerCount(name)])).toEqual(
    expect.arrayContaining([
      ["beforeExit", 1],
      ["exit", 1],
      ["SIGINT", 1],
      ["SIGTERM", 1],
    ]),
  );
  expect(process.listenerCount("SIGHUP")).toBe(0);
  for (const forget of forgets) forget();
  expect(process.eventNames()).toEqual([]);
});

test("a signal that nobody else listens to closes all clients, then ends the process by it", async () => {
  const { process, exits, hook } = setUp();
  const [a, b, never] = [hook(), hook(["SIGTERM"]), hook([])];
  for (const each of [a, b, never]) exits.add(each);
  process.emit("SIGTERM");
  a.finish();
  await settle();
  expect(process.killed).toEqual([]);
  b.finish();
  await settle();
  expect([a.closes, b.closes, never.closes]).toEqual([1, 1, 0]);
  expect(process.killed).toEqual([[7, "SIGTERM"]]);
  // Nothing of ours is in the way of the signal any more; what is left is reported before.
  expect(process.listenerCount("SIGTERM")).toBe(0);
  expect(never.reasons).toEqual(["the process ended by SIGTERM"]);
});

test("a close that does not end holds the process until its deadline only", async () => {
  const { process, clock, exits, hook } = setUp();
  const stuck = hook();
  exits.add(stuck);
  process.emit("SIGINT");
  await clock.advance(999);
  expect(process.killed).toEqual([]);
  await clock.advance(1);
  expect(process.killed).toEqual([[7, "SIGINT"]]);
  expect(stuck.reasons).toEqual(["the process ended by SIGINT"]);
});

test("a second signal ends it at once, and once", async () => {
  const { process, clock, exits, hook } = setUp();
  const slow = hook();
  exits.add(slow);
  process.emit("SIGTERM");
  await clock.advance(10);
  process.emit("SIGINT");
  await clock.advance(5_000);
  expect(process.killed).toEqual([[7, "SIGINT"]]);
  expect(slow.reasons).toEqual(["the process ended by SIGINT"]);
});

test("gives way to every other listener, whether it came before or comes later", async () => {
  const { process, exits, hook } = setUp();
  process.on("SIGINT", theirs);
  const quiet = hook();
  exits.add(quiet);
  expect(process.listeners("SIGINT")).toEqual([theirs]);
  process.once("SIGTERM", theirs);
  // Never none: Node would give the signal back to the system.
  expect(process.listenerCount("SIGTERM")).toBe(2);
  await settle();
  expect(process.listeners("SIGTERM")).toEqual([theirs]);
  process.emit("SIGTERM");
  process.emit("SIGINT");
  expect(quiet.closes).toBe(0);
  expect(process.killed).toEqual([]);
});

test("a client that opted in closes beside other listeners; the end is theirs", async () => {
  const { process, exits, hook } = setUp();
  const [asked, quiet] = [hook(["SIGTERM", "SIGHUP"]), hook()];
  let heard = 0;
  // For one call only, and first: it still counts.
  process.once("SIGTERM", () => {
    heard += 1;
  });
  exits.add(asked);
  exits.add(quiet);
  process.emit("SIGTERM");
  asked.finish();
  await settle();
  expect(heard).toBe(1);
  expect([asked.closes, quiet.closes]).toEqual([1, 0]);
  expect(process.killed).toEqual([]);
  process.on("SIGHUP", theirs);
  process.emit("SIGHUP");
  await settle();
  expect(asked.closes).toBe(2);
  expect(process.killed).toEqual([]);
});

test("a signal that was not opted in to is not listened to", () => {
  const { process, exits, hook } = setUp();
  exits.add(hook(["SIGTERM"]));
  exits.add(hook([]));
  expect(process.listenerCount("SIGTERM")).toBe(1);
  expect(process.listenerCount("SIGINT")).toBe(0);
});

test("where the signal does not end the process, clients that come later are heard again", async () => {
  const { process, exits, hook } = setUp();
  const first = hook();
  exits.add(first);
  process.emit("SIGTERM");
  first.finish();
  await settle();
  const second = hook();
  exits.add(second);
  process.emit("SIGTERM");
  expect(second.closes).toBe(1);
});

test("the first process of a container, which no signal ends by itself, ends with the signal's exit code", async () => {
  const { process, exits, hook } = setUp();
  process.pid = 1;
  const client = hook();
  exits.add(client);
  process.emit("SIGTERM");
  client.finish();
  await settle();
  expect([process.killed, process.codes, client.closes]).toEqual([[], [143], 1]);
});
