/** Valued's client against Valued's emulator. Numbers are those of docs/conformance.md. */
import { beforeEach, expect, test } from "vitest";
import type { ConnectionOn } from "../../src/valued/connection.ts";
import { Data, type PlainObject } from "../../src/valued/data.ts";
import { immediate } from "../../src/valued/executor.ts";
import { createGlobal } from "../../src/valued/global.ts";
import { Scope } from "../../src/valued/scope.ts";
import { ENDPOINT, NOW, setUp } from "../lib/valued-world.ts";

test("[valued 1] a page view carries its URL among the attributes", () => {
  const { client, events } = setUp();
  client.pageView("https://x.test/a", { "user.id": 5 });
  expect(events).toEqual([
    { user: { id: 5 }, attributes: { source: { url: "https://x.test/a" } }, category: "pageview", occured_at: NOW },
  ]);
});

test("[valued 2] an action keeps a given occured_at; its key wins over one in the data", () => {
  const { client, events } = setUp();
  client.action("report.sent", { user: { id: 5 }, key: "other", occured_at: "2020-01-01T00:00:00Z" });
  client.action("report.sent", { user: { id: 5 }, occured_at: null });
  expect(events).toEqual([
    { user: { id: 5 }, key: "report.sent", category: "action", occured_at: "2020-01-01T00:00:00Z" },
    { user: { id: 5 }, key: "report.sent", category: "action", occured_at: NOW },
  ]);
});

test("[valued 3] sync says what is known of a user or a customer", () => {
  const { client, events } = setUp();
  client.sync({ "customer.id": 9 });
  expect(events).toEqual([{ customer: { id: 9 }, category: "sync", occured_at: NOW }]);
});

test("[valued 4] sync of a user", () => {
  const { client, events } = setUp();
  client.syncUser({ id: 5, name: "A" });
  expect(events).toEqual([{ user: { id: 5, name: "A" }, category: "sync", occured_at: NOW }]);
});

test("[valued 5] sync of a customer", () => {
  const { client, events } = setUp();
  client.syncCustomer({ id: 9 });
  expect(events).toEqual([{ customer: { id: 9 }, category: "sync", occured_at: NOW }]);
});

test("[valued 6] the environment says how requests run: in the caller, one at a time, ten at a time", async () => {
  for (const [environment, most] of [
    ["test", 30],
    ["development", 1],
    ["production", 10],
    [undefined, 10],
  ] as const) {
    const { connect, ended } = setUp(environment);
    let running = 0;
    let seen = 0;
    const release: (() => void)[] = [];
    const client = connect(() => {
      running += 1;
      seen = Math.max(seen, running);
      return new Promise<void>((resolve) => release.push(() => ((running -= 1), resolve())));
    });
    for (let index = 0; index < 30; index++) client.action("a", { "user.id": 1 });
    const before = running;
    const flushed = client.flush();
    for (let turn = 0; turn < 200; turn++) {
      release.shift()?.();
      await Promise.resolve();
    }
    await ended(flushed);
    expect(seen, environment).toBe(most);
    // Synchronous in tests alone.
    expect(before, environment).toBe(environment === "test" ? 30 : 0);
  }
  const { connect, environment } = setUp();
  environment["RACK_ENV"] = "test";
  const failing = connect(async () => {
    throw new Error("surfaces");
  });
  failing.action("a", { "user.id": 1 });
  await expect(failing.flush()).rejects.toThrow("surfaces");
});

test("[valued 7] connects by token, by token and endpoint, by any callable", async () => {
  const { connect, emulator, network, ended } = setUp();
  network.serve("https://ingest.valued.app", emulator.handle);
  const byToken = connect("token");
  byToken.action("a", { "user.id": 1 });
  await ended(byToken.close());
  const byEndpoint = connect("token", `${ENDPOINT}/?q=1`);
  byEndpoint.action("b", { "user.id": 1 });
  await ended(byEndpoint.close());
  expect(emulator.posts.map(({ path }) => path)).toEqual(["/events", "/events/?q=1"]);
  const calls: PlainObject[] = [];
  const byObject = connect({ call: (event: PlainObject) => calls.push(event) }, undefined, { executor: immediate });
  byObject.action("c", { "user.id": 1 });
  expect(calls).toMatchObject([{ key: "c" }]);
  expect(() => connect(5 as never)).toThrow("a token, a function or an object with call() is expected");
  expect(() => connect("token", "nowhere")).toThrow("is not an http or https URL");
});

test("[valued 8] the default endpoint is Valued's", () => {
  const { connect } = setUp();
  expect((connect("token").connection as ConnectionOn).endpoint).toBe("https://ingest.valued.app/events");
});

test("[valued 9] headers name token and client; the token is not shown", async () => {
  const { connect, emulator, ended } = setUp();
  const client = connect("token", ENDPOINT);
  client.action("a", { "user.id": 1 });
  await ended(client.flush());
  expect(emulator.posts[0]?.headers).toMatchObject({
    authorization: "Bearer token",
    "content-type": "application/json",
    "user-agent": "valued-client/0.1.0 (Node/20.20.2)",
  });
  const connection = client.connection as ConnectionOn;
  expect(connection.headers).toMatchObject({ authorization: "Bearer token" });
  expect(connection.token).toBe("token");
  expect(`${connection} ${JSON.stringify(connection)}`).not.toContain("Bearer");
  expect(`${connection} ${JSON.stringify(connection)}`).not.toContain('"token"');
  expect(connection.lastResponse?.status).toBe(202);
});

test("[valued 10] plain values stay; hashes written in four ways are one; sets, maps and arrays are followed", () => {
  expect(["a", Symbol("b"), true, 5, 1.5, null, 10n, 2n ** 70n].map((value) => Data.normalize(value))).toEqual([
    "a",
    "b",
    true,
    5,
    1.5,
    null,
    10,
    "1180591620717411303424",
  ]);
  for (const hash of [
    { user: { id: 1 } },
    { "user.id": 1 },
    new Map([["user", { id: 1 }]]),
    new Map([[["user", "id"], 1]]),
  ])
    expect(Data.normalize(hash)).toEqual({ user: { id: 1 } });
  expect(Data.normalize({ a: { "b.c": [{ "d.e": 1 }] } })).toEqual({ a: { b: { c: [{ d: { e: 1 } }] } } });
  expect(Data.normalize(new Set([1, "x", undefined]))).toEqual([1, "x", null]);
  expect(Data.normalize({ here: 1, not: undefined })).toEqual({ here: 1 });
  const given = { user: { id: 1 } };
  const normalized = Data.normalize(given);
  given.user.id = 2;
  expect(normalized).toEqual({ user: { id: 1 } });
});

test("[valued 11] times have whole seconds", () => {
  expect(Data.normalize(new Date(0))).toBe("1970-01-01T00:00:00Z");
  expect(Data.normalize(new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678)))).toBe("2026-01-02T03:04:05Z");
});

test("[valued 12] objects of no known class are their members; functions and cycles are refused", () => {
  class Point {
    readonly x = 1;
  }
  expect(Data.normalize(new Point())).toEqual({ x: 1 });
  expect(() => Data.normalize({ run() {} })).toThrow("A function cannot be sent to Valued: run");
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  expect(() => Data.normalize(cycle)).toThrow("contains itself");
});

test("[valued 13] toValuedData says how an object looks, and the result is converted again", () => {
  expect(Data.normalize({ user: { toValuedData: () => ({ "name.first": "A", at: new Date(0) }) } })).toEqual({
    user: { name: { first: "A" }, at: "1970-01-01T00:00:00Z" },
  });
});

test("[valued 14] a scope is its data", () => {
  const { scope } = setUp();
  expect(Data.normalize(scope({ "user.id": 1 }))).toEqual({ user: { id: 1 } });
});

test("[valued 15] registered classes, the nearest first, converted again", () => {
  class Animal {
    readonly name = "Rex";
  }
  class Dog extends Animal {}
  class Puppy extends Dog {}
  Data.register(Animal, ({ name }) => ({ "animal.name": name }));
  expect(Data.normalize(new Puppy())).toEqual({ animal: { name: "Rex" } });
  Data.register(Dog, () => new Date(0));
  expect(Data.normalize(new Puppy())).toBe("1970-01-01T00:00:00Z");
  Data.unregister(Animal);
  Data.unregister(Dog);
});

test("[valued 16] merging is deep; arrays are replaced", () => {
  expect(Data.merge({ user: { id: 1, tags: ["a"] }, n: 1 }, { user: { name: "A", tags: [] } })).toEqual({
    user: { id: 1, name: "A", tags: [] },
    n: 1,
  });
});

test("[valued 17] what an event lacks is reported at once, first failure first", () => {
  const { client } = setUp();
  expect(() => client.action("a", {})).toThrow("Missing user.id or customer.id");
  expect(() => client.pageView("https://x.test", {})).toThrow("Missing user.id");
  expect(() => client.pageView({ "user.id": 1 })).toThrow("Missing attributes.url");
  expect(() => client.pageView(undefined as never)).toThrow("Missing data hash");
  expect(() => client.sync({})).toThrow("Missing user.id or customer.id");
  expect(() => client.sync({ "user.id": 1, "customer.id": 2 })).toThrow("Cannot include both user and customer");
});

test("[valued 18] user, userId, customer and customerId read and write the same data in every notation", () => {
  const { scope } = setUp();
  const one = scope();
  for (const write of [
    () => (one.userId = 1),
    () => (one.user = { id: 1 }),
    () => one.set("user", { id: 1 }),
    () => one.set("user.id", 1),
    () => one.set(["user", "id"], 1),
    () => one.assign({ "user.id": 1 }),
  ]) {
    one.reset();
    write();
    expect([one.userId, one.get("user.id"), one.get(["user", "id"]), one.user]).toEqual([1, 1, 1, { id: 1 }]);
  }
  one.user = { name: "A" };
  expect(one.user).toEqual({ id: 1, name: "A" });
  one.customer = { id: 9 };
  one.customerId = 10;
  expect([one.customerId, one.customer]).toEqual([10, { id: 10 }]);
});

test("[valued 19] page view, action and sync from a scope", () => {
  const { scope, events } = setUp();
  const one = scope({ user: { id: 1, name: "A" } });
  one.pageView("https://x.test");
  one.action("a", { "user.plan": "pro" });
  one.sync();
  one.syncUser({ name: "B" });
  one.syncCustomer({ id: 3 });
  expect(events).toMatchObject([
    { category: "pageview", user: { id: 1 } },
    { category: "action", user: { id: 1, name: "A", plan: "pro" } },
    { category: "sync", user: { id: 1, name: "A" } },
    { category: "sync", user: { id: 1, name: "B" } },
    { category: "sync", customer: { id: 3 } },
  ]);
  events.splice(0);
  scope({ "user.id": 1, "customer.id": 2 }).sync();
  expect(events).toEqual([]);
  scope({ user: { id: 1, name: "A" }, customer: { id: 2, name: "C" } }).sync();
  expect(events).toMatchObject([{ user: { id: 1 } }, { customer: { id: 2, name: "C" } }]);
});

test("sync of a scope with data sends both merged, and refuses a user beside a customer", () => {
  const { scope, events } = setUp();
  scope({ user: { id: 1, name: "A" } }).sync({ "user.plan": "pro" });
  expect(events).toEqual([{ user: { id: 1, name: "A", plan: "pro" }, category: "sync", occured_at: NOW }]);
  expect(() => scope({ "user.id": 1 }).sync({ "customer.id": 2 })).toThrow("Cannot include both user and customer");
});

test("[valued 20] with() restores what was there, also after a throw and over await; chains do not see each other", async () => {
  const { scope } = setUp();
  const one = scope({ "user.id": 1 });
  expect(one.with({ "user.name": "A" }, (inner) => inner.user)).toEqual({ id: 1, name: "A" });
  expect(() =>
    one.with({ "user.id": 2 }, () => {
      throw new Error("out");
    }),
  ).toThrow("out");
  expect(one.userId).toBe(1);
  const seen = await Promise.all(
    [2, 3].map((id) =>
      one.with({ "user.id": id }, async () => {
        await Promise.resolve();
        one.set("user.seen", true);
        await Promise.resolve();
        return one.user;
      }),
    ),
  );
  expect(seen).toEqual([
    { id: 2, seen: true },
    { id: 3, seen: true },
  ]);
  expect(one.user).toEqual({ id: 1 });
});

test("a created scope begins with its defaults, and reset goes back to them", () => {
  const { scope, events } = setUp();
  const one = scope({ "user.id": 1, "user.plan": "free" });
  one.action("first");
  one.assign({ "user.plan": "pro", "customer.id": 2 });
  one.action("second");
  one.reset();
  one.action("third");
  expect(events).toMatchObject([
    { user: { id: 1, plan: "free" } },
    { user: { id: 1, plan: "pro" }, customer: { id: 2 } },
    { user: { id: 1, plan: "free" } },
  ]);
  expect(events[2]).not.toHaveProperty("customer");
  expect(scope().data).toEqual({});
});

test("bind gives a scope of its own that begins with what is there; neither changes the other", async () => {
  const { scope, events } = setUp();
  const one = scope({ "user.id": 1 });
  const bound = one.with({ "customer.id": 2 }, (inner) => inner.bind({ "user.plan": "pro" }));
  one.set("user.name", "A");
  await Promise.resolve();
  bound.set("user.seen", true);
  bound.action("bound");
  one.action("one");
  expect(events).toEqual([
    {
      user: { id: 1, plan: "pro", seen: true },
      customer: { id: 2 },
      key: "bound",
      category: "action",
      occured_at: NOW,
    },
    { user: { id: 1, name: "A" }, key: "one", category: "action", occured_at: NOW },
  ]);
});

test("[valued 21] a scope serves as the data of an event", () => {
  const { client, scope, events } = setUp();
  client.action("a", scope({ "user.id": 1 }));
  expect(events).toMatchObject([{ key: "a", user: { id: 1 } }]);
});

test("[valued 22] an action within a scope has its data, deeply merged", () => {
  const { scope, events } = setUp();
  scope({ "user.id": 1 }).with({ "customer.id": 2 }, (one) => one.action("a", { user: { name: "A" } }));
  expect(events).toMatchObject([{ user: { id: 1, name: "A" }, customer: { id: 2 } }]);
});

const world = setUp();
const Valued = createGlobal(world.connect);
beforeEach(() => Valued.disconnect());
const connectGlobal = (): void => {
  world.events.splice(0);
  Valued.connect(world.client);
};

test("[valued 23] connected, there are a client and a scope", () => {
  expect(Valued.connect(world.client)).toBe(world.client);
  expect(Valued.client).toBe(world.client);
  expect(Valued.scope).toBeInstanceOf(Scope);
});

test("[valued 24] not connected, using it is an error that says what to do", () => {
  expect(() => Valued.client).toThrow("Need to call Valued.connect before Valued.client");
  expect(() => Valued.scope).toThrow("Need to call Valued.connect before Valued.scope");
  expect(() => Valued.action("a")).toThrow("Need to call Valued.connect");
});

test("[valued 25] connected says whether it is", () => {
  expect(Valued.connected).toBe(false);
  connectGlobal();
  expect(Valued.connected).toBe(true);
});

test("[valued 26] actions, page views, syncs and config go to the global client", () => {
  connectGlobal();
  Valued.action("a", { "user.id": 1 });
  Valued.pageView("https://x.test", { "user.id": 1 });
  Valued.sync({ "user.id": 1 });
  Valued.syncUser({ id: 2 });
  Valued.syncCustomer({ id: 3 });
  Valued.config({ goals: [], signals: [] });
  expect(world.events.map(({ category }) => category)).toEqual([
    "action",
    "pageview",
    "sync",
    "sync",
    "sync",
    "config",
  ]);
});

test("[valued 27] what a block sets does not leak out of it", () => {
  connectGlobal();
  Valued.scope.with({ "user.id": 1 }, () => {
    Valued.scope.customerId = 12;
    Valued.action("a");
  });
  expect(world.events).toMatchObject([{ user: { id: 1 }, customer: { id: 12 } }]);
  expect(Valued.scope.customerId).toBeUndefined();
});

test("defects of the original: dotted keys and objects merge", () => {
  for (const data of [
    { "user.id": 1, "user.name": "A" },
    { user: { id: 1 }, "user.name": "A" },
    { "user.name": "A", user: { id: 1 } },
  ])
    expect(Data.normalize(data)).toEqual({ user: { id: 1, name: "A" } });
});

test("defects of the original: attributes and a URL merge, config is sent, NaN is null, a customer is synced", () => {
  const { client, events, scope } = setUp();
  client.pageView("https://x.test", { "user.id": 1, attributes: { plan: "pro" } });
  scope({ "user.id": 1, "attributes.source.referrer": "r" }).pageView("https://x.test");
  client.config({ goals: [{ name: "g", action_key: "a" }] });
  client.config(() => ({ signals: [] }));
  client.action("a", { "user.id": 1, "attributes.n": Number.NaN });
  scope({ customer: { id: 2, name: "C" } }).sync();
  expect(events).toMatchObject([
    { attributes: { plan: "pro", source: { url: "https://x.test" } } },
    { attributes: { source: { url: "https://x.test", referrer: "r" } } },
    { category: "config", data: { goals: [{ name: "g" }] } },
    { category: "config", data: { signals: [] } },
    { attributes: { n: null } },
    { category: "sync", customer: { name: "C" } },
  ]);
});
