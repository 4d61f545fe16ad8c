/**
 * How Valued's client runs its requests: by which executor, for how long, and what becomes of
 * failures.
 */
import { expect, test } from "vitest";
import { ValuedClient } from "waybill/valued";
import { ConnectionOn } from "../../src/valued/connection.ts";
import type { PlainObject } from "../../src/valued/data.ts";
import { type Executor, immediate } from "../../src/valued/executor.ts";
import { ENDPOINT, setUp } from "../lib/valued-world.ts";
import { bodiesOf, gapsOf } from "../lib/vendor-world.ts";

test("the environment is the first name that is set and not empty: VALUED_ENV, RAILS_ENV, APP_ENV, RACK_ENV, ENV, NODE_ENV", () => {
  const names = ["VALUED_ENV", "RAILS_ENV", "APP_ENV", "RACK_ENV", "ENV", "NODE_ENV"];
  names.forEach((name, index) => {
    const { connect, environment } = setUp();
    // Those before it are empty, those after it name another environment.
    for (const [at, other] of names.entries()) environment[other] = at < index ? "" : "production";
    environment[name] = "test";
    expect(connect("token").executor, name).toBe(immediate);
    environment[name] = "production";
    expect(connect("token").executor, name).not.toBe(immediate);
  });
});

test("an executor is any object with post; it can be replaced, and undefined is the environment's own way again", () => {
  const { connect } = setUp("test");
  const events: PlainObject[] = [];
  const tasks: (() => Promise<void>)[] = [];
  const mine: Executor = { post: (task) => void tasks.push(task) };
  const client = connect((event) => events.push(event), undefined, { executor: mine });
  client.action("given", { "user.id": 1 });
  expect([tasks.length, events.length]).toEqual([1, 0]);
  client.executor = undefined;
  expect(client.executor).toBe(immediate);
  client.action("reset", { "user.id": 1 });
  client.executor = mine;
  client.action("replaced", { "user.id": 1 });
  expect(events).toMatchObject([{ key: "reset" }]);
  for (const task of tasks) void task();
  expect(events).toMatchObject([{ key: "reset" }, { key: "given" }, { key: "replaced" }]);
});

test("an executor that takes no task throws at the caller, and close does not wait for that event", async () => {
  const { connect } = setUp();
  const client = connect(() => undefined, undefined, {
    executor: {
      post() {
        throw new Error("full");
      },
    },
  });
  expect(() => client.action("a", { "user.id": 1 })).toThrow("full");
  await client.close();
});

test("wrong and unknown options are refused, each named; so are a token that is empty and an endpoint that is not for HTTP", () => {
  const { connect, host } = setUp();
  const wrong = { maxAttempt: 3, retries: 3, maxAttempts: 0, timeoutMs: "1", executor: true, onError: 5 };
  for (const source of ["token", () => undefined])
    expect(() => connect(source, ENDPOINT, wrong as never)).toThrow(
      expect.objectContaining({
        code: "WAYBILL_OPTIONS",
        message: [
          'ValuedClient: unknown option "maxAttempt"; did you mean "maxAttempts"?',
          'unknown option "retries"',
          'option "maxAttempts" is 0; it must be a whole number from 1 to 100',
          'option "timeoutMs" is "1"; it must be a whole number from 1 to 3600000',
          'option "executor" is true; it must be an object',
          'option "onError" is 5; it must be a function',
        ].join("; "),
      }),
    );
  expect(() => connect("", ENDPOINT)).toThrow("Valued: token is required");
  expect(() => connect("token", "ftp://x")).toThrow('Valued: endpoint "ftp://x" is not an http or https URL');
  // What concerns a client only is nothing that a connection would know.
  expect(() => new ConnectionOn(host, "token", ENDPOINT, { onError: 5 } as never)).toThrow(
    'Connection: unknown option "onError"',
  );
  expect(() => new ConnectionOn(host, undefined as never)).toThrow("Valued: token is required");
  expect(() => new ValuedClient("token", ENDPOINT, { maxAttempts: 0 })).toThrow('ValuedClient: option "maxAttempts"');
});

test("an attempt ends after 60 s, or after timeoutMs", async () => {
  for (const [options, timeoutMs] of [
    [{}, 60_000],
    [{ timeoutMs: 500 }, 500],
  ] as const) {
    const { connect, emulator, clock, ended } = setUp();
    const errors: string[] = [];
    const client = connect("token", ENDPOINT, { ...options, onError: ({ message }) => errors.push(message) });
    emulator.fail({ kind: "hang", times: 1 });
    const startMs = clock.now();
    client.action("a", { "user.id": 1 });
    await ended(client.flush());
    expect(errors).toEqual([expect.stringContaining("no answer within")]);
    expect(clock.now() - startMs).toBe(timeoutMs);
  }
});

test("one event is one request, and close waits for all of them", async () => {
  const { connect, emulator, ended } = setUp();
  const client = connect("token", ENDPOINT);
  for (let index = 0; index < 100; index++) client.action("a", { "user.id": index });
  await ended(client.close());
  expect(emulator.requests).toBe(100);
  expect(emulator.events).toHaveLength(100);
});

test("a failure is reported to onError with the event; it is tried again only when asked for", async () => {
  const { connect, emulator, ended } = setUp();
  const failed: unknown[] = [];
  const once = connect("token", ENDPOINT, { onError: (error, event) => failed.push([error.message, event["key"]]) });
  emulator.fail({ kind: "status", status: 500, times: 1 });
  once.action("a", { "user.id": 1 });
  await ended(once.flush());
  expect(failed).toEqual([["Valued did not take the event: 500 injected failure", "a"]]);
  expect(emulator.requests).toBe(1);
  emulator.posts.splice(0);
  const again = connect("token", ENDPOINT, { maxAttempts: 3, onError: (error) => failed.push(error) });
  emulator.fail({ kind: "status", status: 500, times: 2 });
  again.action("b", { "user.id": 1 });
  await ended(again.close());
  expect(emulator.events).toMatchObject([{ key: "b" }]);
  expect(gapsOf(emulator)[0]).toBeGreaterThanOrEqual(375);
  expect(bodiesOf(emulator)).toHaveLength(3);
  again.action("c", { "user.id": 1 });
  expect(failed.at(-1)).toMatchObject({ code: "WAYBILL_CLOSED" });
});
