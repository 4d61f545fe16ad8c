/**
 * Valued's scopes on a host that cannot tell asynchronous calls apart: the data of one user never
 * gets into the events of another.
 */
import { emulators } from "@waybill/testing";
import { expect, test } from "vitest";
import { createContext } from "../../src/host/web-context.ts";
import { ValuedClientOn } from "../../src/valued/client.ts";
import type { PlainObject } from "../../src/valued/data.ts";
import { immediate } from "../../src/valued/executor.ts";
import { createGlobal, type GlobalValued } from "../../src/valued/global.ts";
import { Scope } from "../../src/valued/scope.ts";
import { vendorWorld } from "../lib/vendor-world.ts";

interface World {
  readonly events: PlainObject[];
  readonly client: ValuedClientOn;
  readonly Valued: GlobalValued<ValuedClientOn>;
}

function setUp(): World {
  const { host } = vendorWorld((clock) => new emulators.ValuedEmulator({ clock }));
  const events: PlainObject[] = [];
  const client = new ValuedClientOn({ ...host, createContext }, (event) => events.push(event), undefined, {
    executor: immediate,
  });
  const Valued = createGlobal(() => client);
  Valued.connect(client);
  return { events, client, Valued };
}

/** A promise that ends when it is opened: an answer that two requests wait for. */
function gate(): { readonly passed: Promise<void>; open(): void } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open: () => open() };
}

const REFUSED = "with() takes synchronous functions only; for others use the scope that bind() returns";

test("two overlapping asynchronous scopes are refused before they begin, and no event carries the id of another user", async () => {
  const { events, client, Valued } = setUp();
  for (const scope of [Valued.scope, new Scope(client, { "user.id": 0 })]) {
    const gates = [gate(), gate()];
    const begun: number[] = [];
    const handle = (id: number): unknown =>
      scope.with({ "user.id": id }, async () => {
        begun.push(id);
        await gates[id - 1]?.passed;
        scope.action(`of ${id}`);
      });
    expect(() => handle(1)).toThrow(REFUSED);
    expect(() => handle(2)).toThrow(REFUSED);
    for (const { open } of gates.toReversed()) open();
    await Promise.resolve();
    expect(begun).toEqual([]);
    expect([scope.userId ?? 0, events]).toEqual([0, []]);
  }
  // What comes later has nobody's id.
  expect(() => Valued.action("later")).toThrow("Missing user.id or customer.id");
  Valued.action("later", { "customer.id": 9 });
  expect(events).toMatchObject([{ key: "later", customer: { id: 9 } }]);
  expect(events[0]).not.toHaveProperty("user");
});

test("a function that returns a promise is refused; what is left of it runs without the data and leaves none", async () => {
  const { events, Valued } = setUp();
  const gates = [gate(), gate()];
  const failed: string[] = [];
  const handle = (id: number): unknown =>
    // Not an async function: nobody sees it before it has begun.
    Valued.with({ "user.id": id }, () => {
      Valued.action(`begun ${id}`);
      return gates[id - 1]?.passed.then(() => {
        try {
          Valued.action(`ended ${id}`);
        } catch (error) {
          failed.push((error as Error).message);
          throw error;
        }
      });
    });
  expect(() => handle(1)).toThrow(REFUSED);
  expect(() => handle(2)).toThrow(REFUSED);
  // The first ends first, then the second: this left user 1 behind once.
  for (const { open, passed } of gates) {
    open();
    await passed;
  }
  await Promise.resolve();
  expect(events).toMatchObject([
    { key: "begun 1", user: { id: 1 } },
    { key: "begun 2", user: { id: 2 } },
  ]);
  expect(events).toHaveLength(2);
  expect(failed).toEqual(["Missing user.id or customer.id", "Missing user.id or customer.id"]);
  expect(Valued.userId).toBeUndefined();
});

test("a scope that was bound goes along with asynchronous code: each event has its own user", async () => {
  const { events, Valued } = setUp();
  const gates = [gate(), gate()];
  const handle = async (id: number): Promise<void> => {
    const scope = Valued.bind({ "user.id": id });
    await gates[id - 1]?.passed;
    scope.set("customer.id", id * 10);
    scope.action(`of ${id}`);
  };
  const both = Promise.all([handle(1), handle(2)]);
  for (const { open } of gates.toReversed()) open();
  await both;
  expect(events).toMatchObject([
    { key: "of 2", user: { id: 2 }, customer: { id: 20 } },
    { key: "of 1", user: { id: 1 }, customer: { id: 10 } },
  ]);
  expect([Valued.userId, Valued.customerId]).toEqual([undefined, undefined]);
});

test("synchronous scopes nest and are restored, also after a throw", () => {
  const { events, client } = setUp();
  const scope = new Scope(client, { "user.id": 1 });
  scope.with({ "customer.id": 12 }, () => {
    scope.set("user.name", "A");
    scope.with({ "customer.id": 13 }, () => scope.action("inner"));
    scope.action("outer");
  });
  expect(() =>
    scope.with({ "user.id": 2 }, () => {
      throw new Error("out");
    }),
  ).toThrow("out");
  scope.action("after");
  expect(events).toMatchObject([
    { key: "inner", user: { id: 1, name: "A" }, customer: { id: 13 } },
    { key: "outer", user: { id: 1, name: "A" }, customer: { id: 12 } },
    { key: "after", user: { id: 1 } },
  ]);
  expect(scope.data).toEqual({ user: { id: 1 } });
});

test("what all callers share is set within with() only; a scope of one's own at any time", () => {
  const { events, client, Valued } = setUp();
  const refused =
    "is set within with() only, or it would go with the events of others; bind() gives a scope of your own";
  expect(() => Valued.set("user.id", 1)).toThrow(refused);
  expect(() => Valued.assign({ "user.id": 1 })).toThrow(refused);
  expect(() => (Valued.userId = 1)).toThrow(refused);
  Valued.with(() => {
    Valued.userId = 1;
    Valued.action("inside");
  });
  expect(() => Valued.set("user.id", 1)).toThrow(refused);
  Valued.reset();
  const own = new Scope(client);
  own.set("user.id", 2);
  own.action("own");
  expect(events).toMatchObject([
    { key: "inside", user: { id: 1 } },
    { key: "own", user: { id: 2 } },
  ]);
});
