/**
 * What becomes of data on its way into an event: its size, odd keys, objects that know how they
 * look.
 */
import { runInNewContext } from "node:vm";
import { expect, onTestFinished, test } from "vitest";
import { Data } from "../../src/valued/data.ts";
import { setUp } from "../lib/valued-world.ts";

test("an object of 10,000 members takes no longer than it has to, dotted or not, also in a scope", () => {
  // A copy of what is there for each member would take longer than a test may.
  const COUNT = 10_000;
  const big = Object.fromEntries(Array.from({ length: COUNT }, (_, index) => [`k${index}`, index]));
  const dotted = Object.fromEntries(Object.entries(big).map(([key, value]) => [`a.b.${key}`, value]));
  const text = (value: unknown): string => JSON.stringify(Data.normalize(value));
  // Compared as texts: `toEqual` takes long.
  expect(text(big) === JSON.stringify(big)).toBe(true);
  expect(text(dotted) === JSON.stringify({ a: { b: big } })).toBe(true);
  expect(text({ ...dotted, a: { b: big, c: 1 } }) === JSON.stringify({ a: { b: big, c: 1 } })).toBe(true);
  const { scope, events } = setUp();
  scope({ "user.id": 1, "attributes.n": big }).with({ attributes: dotted }, (one) => one.action("a", { user: big }));
  expect(events).toMatchObject([{ user: { id: 1, k1: 1 }, attributes: { n: { k2: 2 }, a: { b: { k3: 3 } } } }]);
});

test("keys with dots merge in their order: objects member by member, the later value wins", () => {
  for (const [given, expected] of [
    [{ a: 1, "a.b": 2 }, { a: { b: 2 } }],
    [{ "a.b": 2, a: 1 }, { a: 1 }],
    [{ "a.b": { c: 1 }, a: { b: { d: 2 } } }, { a: { b: { c: 1, d: 2 } } }],
    [{ "a.b": [1], a: { b: { d: 2 } } }, { a: { b: { d: 2 } } }],
    [
      { "": 1, ".": 2, "a.": 3, "a..b": 5 },
      { "": { "": 2 }, a: { "": { b: 5 } } },
    ],
  ] as const)
    expect(Data.normalize(given)).toEqual(expected);
});

test("`__proto__` and other names of every object's own are keys like any other, at any depth", () => {
  const { scope, events } = setUp();
  const given = '{"user":{"id":1,"__proto__":{"id":2,"x":1}},"__proto__":{"user":{"y":2}},"constructor":{"z":3}}';
  const one = scope(JSON.parse(given) as object);
  expect(JSON.stringify(one.data)).toBe(given);
  one.assign({ "__proto__.user.w": 4, "user.__proto__.v": 5 });
  expect([one.get("__proto__.user"), one.get("user.__proto__.v"), one.get("toString")]).toEqual([
    { y: 2, w: 4 },
    5,
    undefined,
  ]);
  one.action("a");
  const [event] = events;
  expect(JSON.parse(JSON.stringify(event))).toEqual({
    ...(JSON.parse(given.replace('"x":1', '"x":1,"v":5').replace('"y":2', '"y":2,"w":4')) as object),
    key: "a",
    category: "action",
    occured_at: "2026-01-01T00:00:00Z",
  });
  expect(JSON.stringify(event)).toContain('"__proto__":{"user":{"y":2,"w":4}}');
  for (const name of ["user", "w", "v", "x", "z"]) expect(({} as Record<string, unknown>)[name]).toBeUndefined();
  expect(Object.getPrototypeOf(event)).toBe(Object.prototype);
});

test("an object's own toJSON counts, after toValuedData and what is registered, and is converted", () => {
  class ObjectId {
    readonly bytes = [1, 2];
    toJSON(): string {
      return "507f";
    }
  }
  class Document {
    readonly hidden = 1;
    toJSON(key: string): object {
      return { key, "at.first": new Date(0), _id: new ObjectId(), url: new URL("https://x.test/a") };
    }
  }
  class User extends Document {
    toValuedData(): object {
      return { id: new ObjectId() };
    }
  }
  expect(Data.normalize({ list: [new ObjectId()], a: new Document(), user: new User() })).toEqual({
    list: ["507f"],
    a: { key: "a", at: { first: "1970-01-01T00:00:00Z" }, _id: "507f", url: "https://x.test/a" },
    user: { id: "507f" },
  });
  expect(Data.normalize({ a: { toJSON: () => undefined }, b: [{ toJSON: () => Number.NaN }] })).toEqual({ b: [null] });
  Data.register(Document, ({ hidden }) => ({ hidden }));
  onTestFinished(() => Data.unregister(Document));
  expect(Data.normalize(new Document())).toEqual({ hidden: 1 });
});

test("toJSON is called once, also where it gives back the object itself, or a copy that has it too", () => {
  const self = {
    id: 1,
    toJSON(): unknown {
      return this;
    },
  };
  const copied = {
    id: 2,
    secret: 3,
    toJSON(): unknown {
      return { ...this, secret: undefined };
    },
  };
  expect(Data.normalize({ self, copied })).toEqual({ self: { id: 1 }, copied: { id: 2 } });
  expect(JSON.parse(JSON.stringify({ self, copied }))).toEqual({ self: { id: 1 }, copied: { id: 2 } });
  const cycle = { toJSON: (): unknown => ({ cycle }) };
  expect(() => Data.normalize(cycle)).toThrow("contains itself");
});

test("times of another realm are times; what is in a box is taken out", () => {
  expect(Data.normalize(runInNewContext("[new Date(0), new Date(NaN), new String('a')]"))).toEqual([
    "1970-01-01T00:00:00Z",
    null,
    "a",
  ]);
  const boxed = ["a", 5, Number.NaN, false, 10n, Symbol("b")].map((value) => Object(value) as object);
  expect(Data.normalize(boxed)).toEqual(["a", 5, null, false, 10, "b"]);
});
