/** SIGTERM in the middle of everything. */
import { Agent } from "node:http";
import { silent } from "../lib/behaviours.ts";
import { check, cut, pause, until } from "../lib/check.ts";
import { ask } from "../lib/http.ts";
import { RawConnection, rawRequest } from "../lib/raw.ts";
import type { Relay } from "../lib/relay.ts";
import { configOf, EVERY_SOURCE, KEYS, segmentTo } from "../lib/scenes.ts";
import { type Attack, basic, KEY, newId, type Stage, track } from "../lib/stage.ts";
import type { Behaviour, Vendor } from "../lib/vendor.ts";

/** With no attempt in flight. */
const EXIT_MAX_MS = 1_000;
/** What holds the end up holds it up to `shutdown.deadline`, which is far longer. */
const FREE_EXIT_MAX_MS = 5_000;
const DEADLINE_MS = 2_000;
/** From the deadline to the end of the process. */
const GRACE_MS = 1_000;
const CONNECTIONS = 32;
const AUTHORIZED = `authorization: ${basic(KEY)["authorization"]}`;

interface Home {
  readonly relay: Relay;
  readonly good: Vendor;
  readonly directory: string;
  readonly config: Record<string, unknown>;
}

async function homeOf(
  stage: Stage,
  more: {
    readonly destinations?: (vendor: Vendor) => object;
    readonly behaviour?: Behaviour;
    readonly extra?: object;
  } = {},
): Promise<Home> {
  const good = await stage.vendor();
  const bad = await stage.vendor(more.behaviour);
  const directory = stage.directory();
  const destinations = { good: segmentTo(good), ...more.destinations?.(bad) };
  const config = configOf(directory, { sources: EVERY_SOURCE, destinations, extra: { ...more.extra } });
  return { relay: await stage.launch({ directory, config }), good, directory, config };
}

async function stopsWithin(relay: Relay, ms: number): Promise<void> {
  const { code, ms: took } = await relay.stop(Math.max(ms + 10_000, 15_000));
  check(took <= ms, `ended ${Math.round(took)} ms after SIGTERM, not within ${ms}`);
  check(code === 0, `ended with ${code}: ${relay.lastWords}`);
}

/** What was acknowledged before the end is delivered by the next relay at the latest. */
async function nothingLost(stage: Stage, { good, directory, config }: Home): Promise<void> {
  await stage.verify(await stage.launch({ directory, config }), good);
}

interface Worker {
  readonly acknowledged: string[];
  closes: number;
  resets: number;
}

/** Requests one after another on a connection that stays open, until the relay is gone. */
async function work(relay: Relay, worker: Worker, stopping: () => boolean): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  while (!stopping()) {
    const id = newId();
    try {
      const body = JSON.stringify({ batch: [track(id)] });
      const { status, headers } = await ask({ port: relay.port, path: "/v1/batch", headers: basic(KEY), body, agent });
      if (status === 200) worker.acknowledged.push(id);
      if (headers.connection === "close") worker.closes += 1;
    } catch {
      worker.resets += 1;
      if (relay.isEnded) break;
    }
    await pause(5);
  }
  agent.destroy();
}

export const shutdowns: readonly Attack[] = [
  {
    name: "stop-under-load",
    holds: "SIGTERM with 32 keep-alive connections under load: ended within 1 s, nothing acknowledged is lost",
    async run(stage) {
      const home = await homeOf(stage);
      const worker: Worker = { acknowledged: [], closes: 0, resets: 0 };
      let stopping = false;
      const workers = Array.from({ length: CONNECTIONS }, () => work(home.relay, worker, () => stopping));
      await pause(700);
      await stopsWithin(home.relay, EXIT_MAX_MS);
      stopping = true;
      await Promise.all(workers);
      check(worker.acknowledged.length > CONNECTIONS, "nothing was acknowledged");
      check(worker.closes > 0, "no answer carried Connection: close");
      for (const id of worker.acknowledged) stage.acknowledged.add(id);
      await nothingLost(stage, home);
    },
  },
  {
    name: "stop-with-idle-connections",
    holds: "200 idle keep-alive connections do not hold the end up",
    quick: true,
    async run(stage) {
      const { relay } = await homeOf(stage);
      const idle = await Promise.all(Array.from({ length: 200 }, () => RawConnection.open(relay.port)));
      await Promise.all(
        idle.slice(0, 100).map(async (one) => {
          await one.write(rawRequest("GET /health HTTP/1.1", []));
          await one.settled();
        }),
      );
      await stopsWithin(relay, FREE_EXIT_MAX_MS);
    },
  },
  {
    name: "stop-with-half-heads-and-bodies",
    holds: "half-sent heads and bodies, and those that drip on, do not hold the end up",
    quick: true,
    async run(stage) {
      const { relay } = await homeOf(stage);
      const connections = await Promise.all(Array.from({ length: 40 }, () => RawConnection.open(relay.port)));
      const head = rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, "content-length: 100000"]);
      await Promise.all(
        connections.map((one, index) =>
          one.write(index % 2 === 0 ? head.subarray(0, 40) : Buffer.concat([head, Buffer.alloc(1_000, " ")])),
        ),
      );
      await pause(200);
      const timer = setInterval(() => {
        for (const one of connections) void one.write(" ");
      }, 50);
      stage.atEnd(() => clearInterval(timer));
      await stopsWithin(relay, FREE_EXIT_MAX_MS);
    },
  },
  {
    name: "stop-with-open-tail",
    holds: "open tails, one of them unread, do not hold the end up",
    quick: true,
    async run(stage) {
      const { relay } = await homeOf(stage);
      for (let index = 0; index < 5; index++) {
        const tail = await RawConnection.open(relay.adminPort);
        if (index % 2 === 0) tail.socket.pause();
        await tail.write(rawRequest("GET /v1/tail HTTP/1.1", [`host: 127.0.0.1:${relay.adminPort}`]));
      }
      for (let sent = 0; sent < 10; sent++)
        await stage.send(
          Array.from({ length: 100 }, () => track(newId(), { properties: { pad: "x".repeat(2_000) } })),
          relay,
        );
      await stopsWithin(relay, FREE_EXIT_MAX_MS);
    },
  },
  {
    name: "stop-with-answers-unread",
    holds: "clients that read no answers do not hold the end up",
    async run(stage) {
      const { relay } = await homeOf(stage);
      const many = Buffer.concat(Array.from({ length: 3_000 }, () => rawRequest("GET /health HTTP/1.1", [])));
      for (let index = 0; index < 10; index++) {
        const connection = await RawConnection.open(relay.port);
        connection.socket.pause();
        void connection.write(many);
      }
      await pause(500);
      await stopsWithin(relay, EXIT_MAX_MS + GRACE_MS);
    },
  },
  {
    name: "stop-with-attempts-in-flight",
    holds: "silent vendors of every protocol hold the end up to the deadline, once and not one after another",
    limitMs: 60_000,
    async run(stage) {
      const home = await homeOf(stage, {
        behaviour: silent,
        destinations: ({ url }) => ({
          one: { vendor: "segment", url, writeKey: "k" },
          two: { vendor: "letter", url, writeKey: "k" },
          trophy: { vendor: "trophy", url, writeKey: "k" },
          valued: { vendor: "valued", url: `${url}/events`, writeKey: "k" },
          flags: { vendor: "launchdarkly", url, writeKey: "k" },
        }),
        extra: { shutdown: { deadline: `${DEADLINE_MS}ms` } },
      });
      const { relay } = home;
      await stage.send(
        Array.from({ length: 50 }, () => track(newId())),
        relay,
      );
      await relay.admin("POST", "/v1/replays/attack", { body: JSON.stringify({ destination: "one" }) });
      const hanging = [
        relay.ask({ method: "GET", path: "/v1/users/u", headers: { "x-api-key": KEYS.trophy }, timeoutMs: 10_000 }),
        relay.ask({
          path: "/v1/metrics/m/event",
          headers: { "x-api-key": KEYS.trophy },
          body: '{"user":{"id":"u"},"value":1}',
          timeoutMs: 10_000,
        }),
      ].map((one) => one.catch(() => undefined));
      await pause(500);
      await stopsWithin(relay, DEADLINE_MS + GRACE_MS);
      await Promise.all(hanging);
      stage.acknowledged.clear();
    },
  },
  {
    name: "stop-signals-many",
    holds: "SIGTERM, SIGINT and SIGHUP in any order and number end it once, with 0",
    async run(stage) {
      for (const signals of [
        ["SIGTERM", "SIGTERM", "SIGINT"],
        ["SIGHUP", "SIGTERM", "SIGHUP"],
        ["SIGINT"],
        ["SIGHUP", "SIGHUP", "SIGINT", "SIGTERM"],
      ] as const) {
        const home = await homeOf(stage);
        await stage.send([track(newId())], home.relay);
        for (const signal of signals) home.relay.signal(signal);
        await until(() => home.relay.isEnded, 3_000, `${signals.join(", ")}: not ended`);
        const code = await home.relay.ended;
        check(code === 0, `${signals.join(", ")}: ended with ${code}: ${home.relay.lastWords}`);
        stage.acknowledged.clear();
      }
    },
  },
  {
    name: "stop-shows-in-ready",
    holds:
      "while it stops with an attempt in flight, what still comes is answered; the last answer ends its connection",
    async run(stage) {
      const home = await homeOf(stage, {
        behaviour: silent,
        destinations: (vendor) => ({ bad: { vendor: "segment", url: vendor.url, writeKey: "k" } }),
        extra: { shutdown: { deadline: `${DEADLINE_MS}ms` } },
      });
      const { relay } = home;
      const agent = new Agent({ keepAlive: true, maxSockets: 4 });
      stage.atEnd(() => agent.destroy());
      const send = (): ReturnType<typeof ask> =>
        ask({
          port: relay.port,
          path: "/v1/batch",
          headers: basic(KEY),
          body: JSON.stringify({ batch: [track(newId())] }),
          agent,
        });
      await send();
      await pause(200);
      relay.signal("SIGTERM");
      let last: string | undefined;
      while (!relay.isEnded) {
        const answer = await send().catch(() => undefined);
        if (answer !== undefined) {
          check(answer.status === 200 || answer.status === 503, `answered ${answer.status} ${cut(answer.text)}`);
          last = answer.headers.connection;
        }
        await pause(20);
      }
      check(last === "close", `the last answer after SIGTERM keeps its connection open (${last})`);
      check((await relay.ended) === 0, "did not end with 0");
    },
  },
];
