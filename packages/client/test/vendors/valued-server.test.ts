/**
 * Valued's scopes in a server on Node: requests of several users, on one connection and at the same
 * time.
 */
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import type { ValuedClientOn } from "../../src/valued/client.ts";
import type { PlainObject } from "../../src/valued/data.ts";
import { createGlobal, type GlobalValued } from "../../src/valued/global.ts";
import { Scope } from "../../src/valued/scope.ts";
import { setUp } from "../lib/valued-world.ts";

type Handler = (user: number, Valued: GlobalValued<ValuedClientOn>) => Promise<unknown>;

/** Answers `/5` with what the handler gives for user 5, or with the message of what it throws. */
async function serve(handler: Handler) {
  const world = setUp();
  const Valued = createGlobal(world.connect);
  Valued.connect(world.client);
  const server = http.createServer((request, response) => {
    const answer = (said: unknown): unknown => response.end(JSON.stringify(said));
    handler(Number(request.url?.slice(1)), Valued).then(answer, (error: unknown) => answer(String(error)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // One connection: the users come one after another through the same proxy.
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => {
    agent.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const get = (user: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      http
        .get({ host: "127.0.0.1", port, path: `/${user}`, agent }, (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (part: string) => (text += part));
          response.on("end", () => resolve(JSON.parse(text)));
        })
        .on("error", reject);
    });
  return { get, events: world.events };
}

test("two overlapping asynchronous scopes keep their users apart, and a later request has nobody's", async () => {
  let release = (): void => undefined;
  const second = new Promise<void>((resolve) => {
    release = resolve;
  });
  const world = setUp();
  const Valued = createGlobal(world.connect);
  Valued.connect(world.client);
  const first = Valued.with({ "user.id": 1 }, async () => {
    await second;
    Valued.action("of 1");
  });
  await Valued.with({ "user.id": 2 }, async () => {
    await Promise.resolve();
    release();
    Valued.action("of 2");
  });
  await first;
  expect(Valued.userId).toBeUndefined();
  const users = world.events.map(({ key, user }) => [key, user]);
  expect(Object.fromEntries(users)).toEqual({ "of 1": { id: 1 }, "of 2": { id: 2 } });
});

test("what a function sets after an await is there for its caller: in with(), in a scope that is bound, in one of one's own", async () => {
  const load = async (scope: Scope, id: number): Promise<void> => {
    await Promise.resolve();
    scope.set("user.id", id);
  };
  const { get, events } = await serve(async (user, Valued) => {
    const bound = Valued.bind({ "customer.id": user });
    await load(bound, user);
    bound.action("bound");
    const own = new Scope(Valued.client);
    await load(own, user);
    own.action("own");
    await Valued.with(async (within) => {
      await load(within, user);
      Valued.action("within");
    });
    own.reset();
    return [bound.userId, own.userId ?? null, Valued.userId ?? null];
  });
  // One after another, then all at once.
  expect([await get(1), await get(2)]).toEqual([
    [1, null, null],
    [2, null, null],
  ]);
  await Promise.all([get(3), get(4)]);
  const users = (key: string): readonly unknown[] =>
    events.filter((event) => event["key"] === key).map(({ user }) => (user as PlainObject)["id"]);
  for (const key of ["bound", "own", "within"]) expect(users(key), key).toEqual([1, 2, 3, 4]);
});

test("requests on one connection see nothing of each other within with()", async () => {
  const { get, events } = await serve((user, Valued) =>
    Valued.with(async () => {
      const before = Valued.userId ?? null;
      Valued.userId = user;
      await Promise.resolve();
      Valued.action("asked");
      return before;
    }),
  );
  expect([await get(1), await get(2), await get(3)]).toEqual([null, null, null]);
  expect(events).toMatchObject([{ user: { id: 1 } }, { user: { id: 2 } }, { user: { id: 3 } }]);
});

test("outside of with() the scope of all callers takes no data: the next request of the connection would have it", async () => {
  const { get } = await serve(async (user, Valued) => {
    Valued.set("user.id", user);
    await Promise.resolve();
    return Valued.userId;
  });
  const refused = expect.stringContaining("is set within with() only") as unknown;
  expect([await get(1), await get(2)]).toEqual([refused, refused]);
});
