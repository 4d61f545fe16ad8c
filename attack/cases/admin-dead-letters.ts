/** A hundred thousand dead letters, each with a reason of its own: listed, counted and moved. */
import { check, cut, until } from "../lib/check.ts";
import { type Ask, flood, statuses } from "../lib/http.ts";
import { keepSending } from "../lib/load.ts";
import { prepareDeadLetters } from "../lib/prepared.ts";
import { RawConnection, rawRequest } from "../lib/raw.ts";
import type { Relay } from "../lib/relay.ts";
import { configOf, segmentTo } from "../lib/scenes.ts";
import { type Attack, RSS_MAX_MB, type Scene, type Stage, unblocked } from "../lib/stage.ts";

const COUNT = 100_000;
const DEAD = "/v1/dead-letters/attack/bad";
const PATIENT_MS = 60_000;

/** 100,000 dead letters wait from the start, of events of some 300 bytes. */
const MANY_DEAD: Scene = {
  name: "many-dead-letters",
  async open(stage: Stage) {
    const [good, bad] = [await stage.vendor(), await stage.vendor()];
    const directory = stage.directory();
    await prepareDeadLetters(`${directory}/data`, "bad", {
      count: COUNT,
      reasonOf: (index) => `400: the event ${index} is refused, and so is every other one`,
      eventOf: (index) =>
        `{"type":"track","event":"${index % 10 === 0 ? "Tenth" : "Other"}","userId":"user-${index % 100}","messageId":"dead-${index}","properties":{"pad":"${"x".repeat(200)}"}}`,
    });
    const destinations = { good: segmentTo(good), bad: segmentTo(bad) };
    const relay = await stage.launch({ directory, config: configOf(directory, { destinations }) });
    return { relay, good, bad };
  },
};

async function json<T>(relay: Relay, method: string, path: string, more: Partial<Ask> = {}): Promise<T> {
  const { status, text } = await relay.admin(method, path, { timeoutMs: PATIENT_MS, ...more });
  check(status === 200 || status === 202, `${method} ${path}: answered ${status} ${cut(text)}`);
  return JSON.parse(text) as T;
}

interface Page {
  readonly deadLetters: readonly { readonly deadLetterId: number }[];
  readonly next?: number;
}

function checkMemory(relay: Relay): void {
  check(relay.peakRssMb < RSS_MAX_MB, `resident memory rose to ${relay.peakRssMb} MB`);
}

export const adminDeadLetters: readonly Attack[] = [
  {
    name: "dead-letters-100000-pages",
    holds: "100,000 dead letters are listed to the last one in pages, and many pages at once cost bounded memory",
    scene: MANY_DEAD,
    limitMs: 120_000,
    async run({ relay }) {
      const load = keepSending(relay);
      await unblocked(relay, "listing all", async () => {
        let seen = 0;
        for (let after: number | undefined = -1; after !== undefined; ) {
          const from: string = after < 0 ? "" : `&after=${after}`;
          const page: Page = await json<Page>(relay, "GET", `${DEAD}?limit=1000${from}`);
          seen += page.deadLetters.length;
          after = page.next;
        }
        check(seen === COUNT, `${seen} were listed`);
      });
      await unblocked(relay, "a hundred pages at once", async () => {
        const look = { port: relay.adminPort, method: "GET", timeoutMs: PATIENT_MS };
        const { byStatus } = await flood(100, 100, (at) => ({ ...look, path: `${DEAD}?limit=1000&after=${at * 900}` }));
        check(byStatus.get(200) === 100, `answered ${statuses(byStatus)}`);
      });
      await load.stop();
      checkMemory(relay);
    },
  },
  {
    name: "dead-letters-100000-filters",
    holds: "filters that match nothing or little read all 100,000, many at once, without a block or a lasting cost",
    scene: MANY_DEAD,
    limitMs: 120_000,
    async run({ relay }) {
      const queries = [
        "name=Nobody",
        "user=user-7&limit=1000",
        "reason=nothing",
        "since=2099-01-01",
        "source=nowhere",
        "state=discarded",
      ];
      await unblocked(relay, "filtering", async () => {
        const look = { port: relay.adminPort, method: "GET", timeoutMs: PATIENT_MS };
        const { byStatus } = await flood(12, 12, (at) => ({
          ...look,
          path: `${DEAD}?${queries[at % queries.length]}`,
        }));
        check(byStatus.get(200) === 12, `answered ${statuses(byStatus)}`);
      });
      const ids = Array.from({ length: 1_000 }, (_, at) => at * 99).join();
      const { deadLetters } = await json<Page>(relay, "GET", `${DEAD}?limit=1000&id=${ids}`);
      check(deadLetters.length === 1_000, `${deadLetters.length} of 1,000 ids were found`);
      checkMemory(relay);
    },
  },
  {
    name: "dead-letters-100000-reasons",
    holds: "100,000 reasons are 100 groups and a rest that add up; the fifth count at once is 503",
    scene: MANY_DEAD,
    limitMs: 120_000,
    async run({ relay }) {
      interface Groups {
        readonly groups: readonly { readonly waiting: number }[];
        readonly others: number;
      }
      await unblocked(relay, "counting reasons", async () => {
        const { groups, others } = await json<Groups>(relay, "GET", `${DEAD}/reasons`);
        const counted = groups.reduce((sum, { waiting }) => sum + waiting, others);
        check(groups.length === 100 && counted === COUNT, `${groups.length} groups, ${counted} counted`);
      });
      const look = { port: relay.adminPort, method: "GET", path: `${DEAD}/reasons`, timeoutMs: PATIENT_MS };
      const { byStatus } = await flood(40, 40, () => look);
      const known = (byStatus.get(200) ?? 0) + (byStatus.get(503) ?? 0);
      check(known === 40 && (byStatus.get(200) ?? 0) >= 4, `answered ${statuses(byStatus)}`);
      checkMemory(relay);
    },
  },
  {
    name: "dead-letters-100000-exports",
    holds: "exports whose readers sleep hold one chunk each, the ninth is 503, and one that reads gets all",
    scene: MANY_DEAD,
    limitMs: 120_000,
    async run({ relay }) {
      const before = relay.rssMb;
      const asleep = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const connection = await RawConnection.open(relay.adminPort);
          connection.socket.pause();
          void connection.write(rawRequest(`GET ${DEAD}/export HTTP/1.1`, [`host: 127.0.0.1:${relay.adminPort}`]));
          return connection;
        }),
      );
      await until(async () => (await relay.admin("GET", `${DEAD}/export`)).status === 503, 5_000, "a ninth export");
      await relay.measure();
      check(relay.rssMb - before < 100, `resident memory rose from ${before} to ${relay.rssMb} MB`);
      for (const one of asleep) one.reset();
      let lines = 0;
      await until(
        async () => {
          const { status, text } = await relay.admin("GET", `${DEAD}/export`, { timeoutMs: PATIENT_MS });
          lines = text.split("\n").length - 1;
          return status === 200;
        },
        PATIENT_MS,
        "no export after the sleepers are gone",
      );
      check(lines === COUNT, `${lines} lines`);
    },
  },
  {
    name: "dead-letters-100000-actions",
    holds: "counts beforehand are those that are retried and discarded afterwards, and nothing else is",
    scene: MANY_DEAD,
    limitMs: 180_000,
    async run({ relay, good }) {
      interface Done {
        readonly events: number;
        readonly discarded?: number;
      }
      const load = keepSending(relay);
      await unblocked(relay, "counting", async () => {
        for (const [action, query, expected] of [
          ["discard", "name=Tenth", 10_000],
          ["retry", "user=user-7", 1_000],
          ["discard", "name=Nobody", 0],
          ["retry", "", COUNT],
        ] as const) {
          const { events } = await json<Done>(relay, "POST", `${DEAD}/${action}?dryRun=true&${query}`);
          check(events === expected, `${action} ${query} counts ${events}, not ${expected}`);
        }
      });
      await unblocked(relay, "discarding", async () => {
        const { discarded } = await json<Done>(relay, "POST", `${DEAD}/discard?name=Tenth`);
        check(discarded === 10_000 || discarded === 0, `${discarded} were discarded`);
      });
      await json(relay, "POST", `${DEAD}/retry?user=user-7`);
      await until(
        async () => (await relay.lane("bad")).deadLetters.waiting === COUNT - 11_000,
        PATIENT_MS,
        "the dead letters that were retried still wait",
      );
      check(good.received > 0, "nothing was sent meanwhile");
      await load.stop();
      checkMemory(relay);
    },
  },
];
