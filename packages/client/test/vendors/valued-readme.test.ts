/** What the README of the original writes, in TypeScript. */
import { expect, test } from "vitest";
import { Connection, Scope, ValuedClient, Valued as ValuedOfEntry } from "waybill/valued";
import type { PlainObject } from "../../src/valued/data.ts";
import { immediate } from "../../src/valued/executor.ts";
import { createGlobal } from "../../src/valued/global.ts";
import { setUp } from "../lib/valued-world.ts";

test("Valued has what its scope has: get and set by key, users and customers, with, assign, bind, reset", () => {
  const world = setUp();
  const Valued = createGlobal(world.connect);
  Valued.connect(world.client);
  Valued.with(() => {
    Valued.set("user.id", 123);
    Valued.with({ "customer.id": 12 }, () => {
      Valued.pageView("https://big.company.com/reports/12");
      Valued.action("report.generated");
    });
    Valued.action("profile.updated");
    expect([Valued.get("user.id"), Valued.userId, Valued.user]).toEqual([123, 123, { id: 123 }]);
    Valued.customerId = 1;
    Valued.customer = { name: "BBC Radio" };
    expect([Valued.customerId, Valued.customer]).toEqual([1, { id: 1, name: "BBC Radio" }]);
    Valued.user = { name: "Arthur" };
    Valued.userId = 42;
    expect(Valued.assign({ "user.plan": "pro" }).user).toEqual({ id: 42, name: "Arthur", plan: "pro" });
    expect(Valued.bind({ "user.id": 5 }).userId).toBe(5);
    Valued.reset();
    expect(Valued.scope.data).toEqual({});
  });
  expect(Valued.userId).toBeUndefined();
  expect(world.events).toMatchObject([
    { category: "pageview", user: { id: 123 }, customer: { id: 12 } },
    { category: "action", user: { id: 123 }, customer: { id: 12 } },
    { category: "action", user: { id: 123 } },
  ]);
  expect(world.events[2]).not.toHaveProperty("customer");
});

test("what the original's README makes, the entry point has: client, scope, connection, a backend of one's own", () => {
  const sent: { readonly endpoint: string; readonly headers: object; readonly event: PlainObject }[] = [];
  class MyBackend {
    readonly #connection: Connection;
    constructor(token: string, endpoint?: string) {
      this.#connection = new Connection(token, endpoint);
    }
    call(event: PlainObject): void {
      const { endpoint, headers } = this.#connection;
      sent.push({ endpoint, headers, event });
    }
  }
  const client = new ValuedClient(new MyBackend("token"), undefined, { executor: immediate });
  const scope = new Scope(client, { "user.name": "A" });
  scope.set("user.id", 123);
  scope.with({ "customer.id": 12 }, () => scope.action("report.generated"));
  expect(sent).toMatchObject([
    {
      endpoint: "https://ingest.valued.app/events",
      headers: { authorization: "Bearer token", "content-type": "application/json" },
      event: { user: { id: 123, name: "A" }, customer: { id: 12 } },
    },
  ]);
  expect(client.createScope({ "user.id": 5 }).userId).toBe(5);
  expect(new ValuedClient("token").connection).toBeInstanceOf(Connection);
  expect(() => new Connection("token", "nowhere")).toThrow("is not an http or https URL");
  expect(ValuedOfEntry.connect("token", "http://127.0.0.1:9/events")).toBeInstanceOf(ValuedClient);
  expect(ValuedOfEntry.connect(client)).toBe(client);
  ValuedOfEntry.with({ "user.id": 7 }, () => ValuedOfEntry.action("global"));
  expect(sent.at(-1)).toMatchObject({ event: { key: "global", user: { id: 7 } } });
  ValuedOfEntry.disconnect();
});
