/** Streams whose readers sleep, searches of a gigabyte, and an operator with a thousand lanes. */
import { Agent } from "node:http";
import { check, cut, pause, until } from "../lib/check.ts";
import { ask, flood, statuses } from "../lib/http.ts";
import { prepareLog } from "../lib/prepared.ts";
import { RawConnection, rawRequest } from "../lib/raw.ts";
import type { Relay } from "../lib/relay.ts";
import { configOf, PLAIN, QUICK, segmentTo } from "../lib/scenes.ts";
import { type Attack, basic, KEY, newId, RSS_MAX_MB, type Stage, track, unblocked } from "../lib/stage.ts";

const PATIENT_MS = 60_000;
const GIBIBYTE = 1024 ** 3;
const LANES = 1_000;

/** A reader that has asked, and takes nothing. */
async function sleeper(relay: Relay, path: string): Promise<RawConnection> {
  const connection = await RawConnection.open(relay.adminPort);
  connection.socket.pause();
  void connection.write(rawRequest(`GET ${path} HTTP/1.1`, [`host: 127.0.0.1:${relay.adminPort}`]));
  return connection;
}

async function sendMany(stage: Stage, requests: number, relay: Relay = stage.relay): Promise<void> {
  for (let sent = 0; sent < requests; sent++)
    await stage.send(
      Array.from({ length: 200 }, (_, at) =>
        track(newId(), { event: `E${at % 7}`, properties: { pad: "x".repeat(1_000) } }),
      ),
      relay,
    );
}

async function statusOf(relay: Relay, path: string): Promise<number> {
  const connection = await RawConnection.open(relay.adminPort);
  let head = "";
  connection.socket.on("data", (chunk: Buffer) => {
    head += chunk.toString("latin1");
  });
  void connection.write(rawRequest(`GET ${path} HTTP/1.1`, [`host: 127.0.0.1:${relay.adminPort}`]));
  await until(() => head.includes("\r\n"), 5_000, `no answer to ${path}`);
  connection.reset();
  return Number(head.slice("HTTP/1.1 ".length, "HTTP/1.1 200".length));
}

/** Of ingest requests beside `work`, one after another: how long they took, sorted. */
async function ingestBeside(relay: Relay, work: Promise<unknown>): Promise<readonly number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const took: number[] = [];
  let isOver = false;
  void work
    .catch(() => undefined)
    .finally(() => {
      isOver = true;
    });
  while (!isOver) {
    const body = JSON.stringify({ batch: [track(newId("beside"))] });
    const { status, ms } = await ask({ port: relay.port, path: "/v1/batch", headers: basic(KEY), body, agent });
    check(status === 200, `ingest was answered ${status} meanwhile`);
    took.push(ms);
    await pause(5);
  }
  agent.destroy();
  await work;
  return took.sort((a, b) => a - b);
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

export const adminStreams: readonly Attack[] = [
  {
    name: "live-views-never-read",
    holds: "of 200 live views that never read 64 are open, hold a message each, and leave others their turn when gone",
    scene: PLAIN,
    async run(stage) {
      const { relay } = stage;
      const before = { rss: relay.rssMb, descriptors: relay.descriptors };
      const asleep = await Promise.all(
        Array.from({ length: 200 }, (_, at) =>
          sleeper(relay, at % 4 === 0 ? "/v1/lanes/attack/good/attempts/live" : "/v1/live"),
        ),
      );
      await until(async () => (await statusOf(relay, "/v1/live")) === 503, 5_000, "a 65th live view");
      check((await statusOf(relay, "/v1/tail")) === 200, "tails have no place of their own");
      await sendMany(stage, 20);
      await relay.measure();
      check(relay.rssMb - before.rss < 150, `resident memory rose from ${before.rss} to ${relay.rssMb} MB`);
      for (const one of asleep) one.reset();
      await until(
        async () => (await statusOf(relay, "/v1/live")) === 200,
        5_000,
        "no live view after the others are gone",
      );
      await until(
        () => relay.descriptors <= before.descriptors + 10,
        5_000,
        () => `${relay.descriptors} descriptors, ${before.descriptors} before`,
      );
    },
  },
  {
    name: "attempts-live-follow",
    holds:
      "a reader of attempts is shown each up to the newest, and no more than 100 are kept for those who come later",
    scene: PLAIN,
    async run(stage) {
      const { relay } = stage;
      const path = "/v1/lanes/attack/good/attempts/live";
      const connection = await RawConnection.open(relay.adminPort);
      let text = "";
      connection.socket.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      void connection.write(rawRequest(`GET ${path} HTTP/1.1`, [`host: 127.0.0.1:${relay.adminPort}`]));
      await until(() => text.includes(": listening"), 5_000, "no stream");
      for (let sent = 0; sent < 150; sent++) await stage.send([track(newId())]);
      const { attempts } = JSON.parse((await relay.admin("GET", path.replace("/live", ""))).text) as {
        readonly attempts: readonly { readonly sequence: number }[];
      };
      const newest = attempts[0]?.sequence ?? 0;
      await until(() => text.includes(`"sequence":${newest},`), 5_000, `attempt ${newest} is not shown`);
      check(attempts.length <= 100, `${attempts.length} attempts are kept`);
      connection.reset();
    },
  },
  {
    name: "tails-filtered-beside-load",
    holds: "eight tails that look into 40,000 events, half of them asleep, tell of what they skip and slow nobody",
    scene: PLAIN,
    limitMs: 120_000,
    async run(stage) {
      const { relay } = stage;
      const queries = ["user=u", "name=E3&type=track", "type=identify", "name=Nobody", "source=web&user=nobody"];
      const awake: string[] = [];
      const tails = await Promise.all(
        Array.from({ length: 8 }, async (_, at) => {
          const path = `/v1/tail?${queries[at % queries.length]}`;
          if (at >= 4) return sleeper(relay, path);
          const tail = await RawConnection.open(relay.adminPort);
          tail.socket.on("data", (chunk: Buffer) => {
            awake[at] = ((awake[at] ?? "") + chunk.toString()).slice(-1_000_000);
          });
          void tail.write(rawRequest(`GET ${path} HTTP/1.1`, [`host: 127.0.0.1:${relay.adminPort}`]));
          return tail;
        }),
      );
      await until(
        () => awake.filter((text) => text.includes(": listening")).length === 4,
        5_000,
        "four tails do not begin",
      );
      check((await statusOf(relay, "/v1/tail?name=x")) === 503, "a ninth tail");
      const took = await ingestBeside(
        relay,
        unblocked(relay, "the tails", () => sendMany(stage, 100)),
      );
      check(quantile(took, 0.5) < 100, `half of ingest took ${Math.round(quantile(took, 0.5))} ms`);
      // A tail that is late says so, and goes on at the end.
      const last = newId("last");
      await until(
        async () => {
          await stage.send([track(last, { event: "E3" })]);
          return (awake[1] ?? "").includes(last);
        },
        20_000,
        () => `a tail does not come to the end: ${cut(awake[1] ?? "", 200)}`,
      );
      for (const tail of tails) tail.reset();
    },
  },
  {
    name: "search-a-gigabyte",
    holds: "searches of 1 GiB go on where they ended, four at once leave ingest its time, and the fifth is 503",
    limitMs: 240_000,
    async run(stage) {
      const good = await stage.vendor();
      const directory = stage.directory();
      const count = await prepareLog(`${directory}/data`, GIBIBYTE);
      const relay = await stage.launch({
        directory,
        config: configOf(directory, { destinations: { good: segmentTo(good) } }),
      });
      const search = async (query: string): Promise<{ scanned: number; found: number }> => {
        let [scanned, found] = [0, 0];
        for (let next: number | null = 0; next !== null; ) {
          const path: string = `/v1/search?${query}&from=${next}`;
          const { status, text } = await relay.admin("GET", path, { timeoutMs: PATIENT_MS });
          check(status === 200, `${path}: answered ${status} ${cut(text)}`);
          const part = JSON.parse(text) as {
            readonly events: readonly unknown[];
            readonly scannedBytes: number;
            readonly next: number | null;
          };
          check(part.events.length <= 100, `${part.events.length} were found at once`);
          check(part.scannedBytes <= GIBIBYTE + 16 * 1024 ** 2, `${part.scannedBytes} bytes were read`);
          scanned += part.scannedBytes;
          found += part.events.length;
          next = part.next;
        }
        return { scanned, found };
      };
      await relay.begin();
      const { scanned, found } = await search(`user=user-${count}`);
      check(found === 1 && scanned >= GIBIBYTE, `${found} were found in ${scanned} bytes`);
      const look = { port: relay.adminPort, method: "GET", path: "/v1/search?name=Nobody", timeoutMs: PATIENT_MS };
      let byStatus: ReadonlyMap<number, number> = new Map();
      const took = await ingestBeside(
        relay,
        unblocked(relay, "the searches", async () => {
          ({ byStatus } = await flood(24, 24, () => look));
        }),
      );
      check(byStatus.get(200) === 4 && byStatus.get(503) === 20, `answered ${statuses(byStatus)}`);
      check(quantile(took, 0.5) < 100, `half of ingest took ${Math.round(quantile(took, 0.5))} ms`);
      // Who goes away ends his search.
      for (let index = 0; index < 4; index++) (await sleeper(relay, look.path)).reset();
      await until(
        async () => (await statusOf(relay, "/v1/search?name=Nobody&until=1")) === 200,
        10_000,
        "a search outlives its reader",
      );
      check(relay.peakRssMb < RSS_MAX_MB, `${relay.peakRssMb} MB`);
    },
  },
  {
    name: "thousand-lanes",
    holds:
      "overview, history, accounts, metrics and an event's story of 1,000 lanes, many at once and unread, are bounded",
    limitMs: 240_000,
    async run(stage) {
      const good = await stage.vendor();
      const directory = stage.directory();
      const lanes = Array.from({ length: LANES - 1 }, (_, at) => [
        `lane-${at}`,
        { vendor: "segment", url: good.url, writeKey: "vendor-key", sources: ["other"], ...QUICK },
      ]);
      const sources = { other: { protocol: "segment", writeKeys: ["other-key"] } };
      const destinations = { good: segmentTo(good), ...(Object.fromEntries(lanes) as Record<string, object>) };
      const relay = await stage.launch({ directory, config: configOf(directory, { sources, destinations }) });
      await stage.send([track(newId())], relay);
      await relay.begin();
      for (const path of [
        "/v1/overview",
        "/v1/history",
        "/v1/accounts",
        "/v1/events/attack/0",
        "/v1/config",
        "/metrics",
      ])
        await unblocked(relay, path, async () => {
          const look = { port: relay.adminPort, method: "GET", path, timeoutMs: PATIENT_MS };
          const { byStatus } = await flood(8, 8, () => look);
          check(byStatus.get(200) === 8, `${path}: answered ${statuses(byStatus)}`);
        });
      const asleep = await Promise.all(
        Array.from({ length: 200 }, (_, at) =>
          sleeper(relay, ["/v1/overview", "/v1/history", "/v1/live", "/v1/accounts"][at % 4] ?? ""),
        ),
      );
      await pause(2_000);
      const { status } = await relay.admin("GET", "/v1/lanes/attack/good", { timeoutMs: PATIENT_MS });
      check(status === 200, `beside 200 that do not read: answered ${status}`);
      await relay.measure();
      check(relay.peakRssMb < RSS_MAX_MB, `resident memory rose to ${relay.peakRssMb} MB`);
      for (const one of asleep) one.reset();
      await stage.verify(relay, good);
    },
  },
];
