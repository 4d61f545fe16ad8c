/** A tail of an environment is that of all partitions, whichever relay has them. */
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { laneEntry, relayEntry } from "../../lib/relay-entries.ts";
import { until } from "../../lib/world.ts";
import { ask, FAST, startRelay, type TestRelay, TOKEN } from "./lib/test-relay.ts";

interface Partition {
  readonly environment: object;
  /** Appends an event. */
  append(name: string): void;
  /** Tails that follow it. */
  tails(): number;
  /** As when its lane goes to another relay. */
  close(): void;
}

/** A partition whose events a test appends. */
function partition(at: number, destinations: readonly string[] = ["segment"]): Partition {
  const events: string[] = [];
  const listeners = new Set<() => void>();
  let isClosed = false;
  const log = {
    get head() {
      return events.length;
    },
    headByte: 0,
    onCommit: (run: () => void) => {
      listeners.add(run);
      return () => listeners.delete(run);
    },
    reader: ({ position }: { position: number }) => {
      const cursor = { position };
      const read = async (): Promise<object[]> => {
        if (isClosed) throw new Error("read after close");
        const from = cursor.position;
        cursor.position = events.length;
        return events.slice(from).map((name, index) => {
          const body = Buffer.from(JSON.stringify({ event: name, text: "two\n\nlines" }));
          const ends = Uint32Array.of(body.length);
          return { first: from + index, count: 1, source: "web", receivedAtMs: 1, metadata: "", body, ends };
        });
      };
      return { cursor, read, close: () => Promise.resolve() };
    },
  };
  const tell = (): void => {
    for (const run of listeners) run();
  };
  return {
    environment: {
      name: `production/${at}`,
      log,
      destination: (name: string) => (destinations.includes(name) ? {} : undefined),
    },
    append: (name) => {
      events.push(name);
      tell();
    },
    tails: () => listeners.size,
    close: () => {
      isClosed = true;
    },
  };
}

interface Tail {
  readonly text: () => string;
  readonly names: () => readonly string[];
  readonly isOver: () => boolean;
  close(): void;
}

async function tailOf(relay: TestRelay, query = "?environment=production"): Promise<Tail> {
  const headers = { authorization: `Bearer ${TOKEN}` };
  const outgoing = httpRequest(`${relay.url}/v1/tail${query}`, { agent: false, headers });
  outgoing.on("error", () => undefined).end();
  onTestFinished(() => void outgoing.destroy());
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  let text = "";
  let isOver = false;
  response.on("data", (chunk: Buffer) => {
    text += String(chunk);
  });
  response
    .on("error", () => undefined)
    .on("close", () => {
      isOver = true;
    });
  const tail: Tail = {
    text: () => text,
    names: () => [...text.matchAll(/"event":"([^"]+)"/g)].map(([, name]) => name ?? ""),
    isOver: () => isOver,
    close: () => void outgoing.destroy(),
  };
  await until(() => text.includes(": listening\n\n"));
  return tail;
}

interface World {
  readonly one: TestRelay;
  readonly two: TestRelay;
  /** What each of them has; it may change. */
  readonly has: readonly [Record<string, object>, Record<string, object>];
  readonly parts: readonly Partition[];
}

/** The first relay has 0, the second 1, and both have 2: one for each destination. */
async function startTwo(): Promise<World> {
  const parts = [partition(0), partition(1), partition(2, ["segment"]), partition(2, ["crm"])];
  const [zero, first, second, other] = parts as [Partition, Partition, Partition, Partition];
  const has = [
    { "production/0": zero.environment, "production/2": other.environment },
    { "production/1": first.environment, "production/2": second.environment },
  ] as const satisfies readonly Record<string, object>[];
  const [one, two] = [
    await startRelay("one", { clock: FAST, environments: has[0] }),
    await startRelay("two", { clock: FAST, environments: has[1] }),
  ];
  one.known.push(
    relayEntry("one", { isSelf: true, adminUrl: one.url, lanes: [laneEntry(0)] }),
    relayEntry("two", { adminUrl: two.url, lanes: [laneEntry(1), laneEntry(2)] }),
  );
  two.known.push(relayEntry("one", { adminUrl: one.url, lanes: [laneEntry(0)] }));
  return { one, two, has, parts };
}

test.each(["?environment=production", "", "?source=web"])(
  "a tail%s has the events of all relays, each once",
  async (query) => {
    const { one, two, parts } = await startTwo();
    const tail = await tailOf(one, query);
    for (let number = 0; number < 50; number++)
      for (const [at, one] of parts.entries()) one.append(`e-${at}-${number}`);
    await until(() => tail.names().length >= 150 && tail.text().endsWith("\n\n"));
    // The last one is the partition's copy at the relay that delivers it to another destination.
    expect(tail.names().toSorted()).toEqual(
      Array.from({ length: 50 }, (_, number) => [0, 1, 2].map((at) => `e-${at}-${number}`))
        .flat()
        .toSorted(),
    );
    expect(tail.text()).toContain('data: {"environment":"production/1","source":"web","position":7,');
    // Whole messages: nothing of another one in between.
    for (const line of tail.text().split("\n")) if (line.startsWith("data: ")) JSON.parse(line.slice(6));
    expect(tail.text().split(": listening").length).toBe(2);
    expect([one.asked.length, two.asked.length]).toEqual([1, 0]);
    tail.close();
  },
);

test("partitions that come are followed, and those that go are named", async () => {
  const { one, two, has, parts } = await startTwo();
  const tail = await tailOf(one);
  const [zero] = parts as [Partition];
  delete (has[0] as Record<string, object>)["production/0"];
  await until(() => tail.text().includes('{"reason":"production/0 is going to another relay, or was removed: '));
  const again = partition(0);
  (has[1] as Record<string, object>)["production/0"] = again.environment;
  await until(() => {
    again.append("after");
    return tail.names().includes("after");
  });
  zero.append("old");
  expect(tail.isOver()).toBe(false);
  expect(tail.names()).not.toContain("old");
  expect(two.asked).toEqual([]);
});

test("a relay that does not answer, dies or comes later is named or followed, and the tail goes on", async () => {
  const { one, parts } = await startTwo();
  const dead = relayEntry("three", { adminUrl: "http://127.0.0.1:9" });
  one.known.push(dead, relayEntry("four", { isMissing: true }));
  const tail = await tailOf(one);
  expect(tail.text()).toMatch(
    /\{"reason":"The relay three has not answered at .*: what it has is not shown until it answers\."\}/,
  );
  expect(tail.text()).toContain('{"reason":"The relay four is missing: ');
  const five = partition(5);
  const later = await startRelay("five", { clock: FAST, environments: { "production/5": five.environment } });
  one.known.push(relayEntry("five", { adminUrl: later.url }));
  await until(() => {
    five.append("later");
    return tail.names().includes("later");
  });
  (parts[0] as Partition).append("here");
  await until(() => tail.names().includes("here"));
  // It is tried again, and not named again and again for the same reason.
  await until(() => one.asked.filter(({ url }) => url.startsWith("http://127.0.0.1:9")).length > 2);
  expect(tail.text().split("The relay three").length).toBe(2);
});

test("a tail of one partition is passed on, and ends when its lane goes to another relay", async () => {
  const { one, has, parts } = await startTwo();
  const tail = await tailOf(one, "?environment=production/1");
  (parts[1] as Partition).append("mine");
  (parts[0] as Partition).append("not mine");
  await until(() => tail.names().length > 0);
  expect(tail.names()).toEqual(["mine"]);
  delete (has[1] as Record<string, object>)["production/1"];
  await until(() => tail.isOver());
  expect(tail.text()).toContain("event: interrupted");
});

test("when the reader goes away, the tails of the other relays end", async () => {
  const { one, two, parts } = await startTwo();
  const tail = await tailOf(one);
  await until(() => parts[1]?.tails() === 1);
  tail.close();
  await until(() => parts[1]?.tails() === 0);
  // Eight places are free again.
  const tails = await Promise.all(Array.from({ length: 8 }, () => tailOf(two)));
  (parts[1] as Partition).append("all");
  await until(() => tails.every((each) => each.names().includes("all")));
});

test("names that are not configured are refused, and nobody is asked", async () => {
  const { one } = await startTwo();
  expect((await ask(one, "GET", "/v1/tail?environment=nowhere")).json).toMatchObject({ code: "unknown_environment" });
  expect((await ask(one, "GET", "/v1/tail?environment=production/99")).json).toMatchObject({
    code: "unknown_environment",
  });
  expect((await ask(one, "GET", "/v1/tail?source=other")).json).toMatchObject({ code: "unknown_source" });
  expect(one.asked).toEqual([]);
});
