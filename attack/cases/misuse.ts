/**
 * Clients with a key, and what is kept of what they send: rates, secrets, memory, receipts,
 * retention.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { silent } from "../lib/behaviours.ts";
import { check, cut, pause, until } from "../lib/check.ts";
import { flood, statuses } from "../lib/http.ts";
import { floodRaw, rawRequest } from "../lib/raw.ts";
import { configOf, EVERY_SOURCE, everyDestination, KEYS, sceneOf, segmentTo } from "../lib/scenes.ts";
import { type Attack, basic, KEY, newId, RSS_MAX_MB, type Scene, track } from "../lib/stage.ts";
import { drained } from "./events.ts";

const PER_SECOND = 5;
const BURST = 10;
const TRIES = 60;
const TAGS = 30_000;

/** A source with a limit, beside others. */
const LIMITED: Scene = sceneOf("limited", ({ good }) => ({
  sources: {
    limited: {
      protocol: "segment",
      writeKeys: [KEYS.limited],
      prefix: "/eu",
      maxRequestsPerSecond: PER_SECOND,
      burst: BURST,
    },
  },
  destinations: { good: segmentTo(good) },
}));

const encoded = (text: string): string => Buffer.from(text).toString("base64");

/** One key, written in every way that names the same source. */
function spellings(key: string): readonly {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly writeKey?: string;
}[] {
  const path = "/v1/batch";
  return [
    { path, headers: { authorization: `Basic ${encoded(`${key}:`)}` } },
    { path, headers: { authorization: `Basic ${encoded(key)}` } },
    { path, headers: { authorization: `basic ${encoded(`${key}:`)}` } },
    { path, headers: { authorization: `Basic  ${encoded(`${key}:x`)}` } },
    { path, headers: { authorization: `Basic ${encoded(`${key}:`).replaceAll("=", "")}` } },
    { path: "/v1//batch/", headers: { authorization: `Basic ${encoded(`${key}:`)}` } },
    { path: "/s/limited/v1/batch", headers: { authorization: `Basic ${encoded(`${key}:y`)}` } },
    { path: "/eu/v1/batch", headers: { authorization: `Basic ${encoded(`${key}:z`)}` } },
    { path, headers: {}, writeKey: key },
    { path: "/s/limited/v1/batch", headers: {}, writeKey: key },
    { path, headers: { authorization: "Bearer an-oauth-token" }, writeKey: key },
  ];
}

function bytesUnder(folder: string): string {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => `${folder}/${name}`)
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, "latin1"))
    .join("\n");
}

export const misuse: readonly Attack[] = [
  {
    name: "rate-limit-spellings",
    holds: "one key is one budget: other spellings, the key in the body and the prefix evade nothing",
    scene: LIMITED,
    async run({ relay }) {
      const all = spellings(KEYS.limited);
      const startedAtMs = performance.now();
      const { byStatus } = await flood(all.length * TRIES, 8, (index) => {
        const { path, headers, writeKey } = all[index % all.length] as (typeof all)[number];
        return {
          port: relay.port,
          path,
          headers,
          body: JSON.stringify({ batch: [], ...(writeKey === undefined ? {} : { writeKey }) }),
        };
      });
      const allowed = BURST + (PER_SECOND * (performance.now() - startedAtMs)) / 1_000 + 2;
      const taken = byStatus.get(200) ?? 0;
      check(
        taken <= allowed,
        `${taken} requests were taken, ${Math.round(allowed)} are allowed (${statuses(byStatus)})`,
      );
      check((byStatus.get(429) ?? 0) > 0, `nothing was limited (${statuses(byStatus)})`);
    },
  },
  {
    name: "rate-limit-memory",
    holds: "25,000 spellings of one key are not remembered",
    scene: LIMITED,
    limitMs: 60_000,
    async run({ relay }) {
      const spelled = (index: number, pad: string): Buffer => {
        const authorization = `authorization: Basic ${encoded(`${KEYS.limited}:${index}${pad}`)}`;
        return rawRequest("POST /v1/batch HTTP/1.1", [authorization], "{}");
      };
      await floodRaw(relay.port, 5_000, (index) => spelled(index, ""));
      const before = relay.rssMb;
      await floodRaw(relay.port, 20_000, (index) => spelled(index, "x".repeat(5_000)));
      check(relay.rssMb < before + 100, `resident memory rose from ${before} to ${relay.rssMb} MB`);
    },
  },
  {
    name: "inbound-keys-not-kept",
    holds:
      "inbound keys (PostHog's in the body, LaunchDarkly's in diagnostics' headers) are neither stored nor sent on nor logged",
    quick: true,
    async run(stage) {
      const good = await stage.vendor();
      const bad = await stage.vendor();
      const directory = stage.directory();
      const destinations = { good: segmentTo(good), ...everyDestination(bad, directory) };
      const relay = await stage.launch({
        directory,
        config: configOf(directory, { sources: EVERY_SOURCE, destinations }),
      });
      const single = { event: "e", distinct_id: "u", properties: { token: KEYS.posthog } };
      const calls = [
        { path: "/s/hog/batch", headers: {}, body: JSON.stringify({ api_key: KEYS.posthog, batch: [single] }) },
        { path: "/s/hog/capture", headers: {}, body: JSON.stringify({ api_key: KEYS.posthog, ...single }) },
        { path: "/s/hog/e/", headers: {}, body: JSON.stringify({ token: KEYS.posthog, ...single }) },
        {
          path: "/s/hog/i/v0/e/",
          headers: {},
          body: `{"\\u0061pi_key":"${KEYS.posthog}","event":"e","distinct_id":"u"}`,
        },
        {
          path: "/diagnostic",
          headers: { authorization: KEYS.launchdarkly, "x-extra": "1" },
          body: '{"kind":"diagnostic","id":{"sdkKeySuffix":"x"}}',
        },
        { path: "/mobile/events/diagnostic", headers: { authorization: `api_key ${KEYS.mobile}` }, body: "{}" },
        { path: "/v1/batch", headers: {}, body: JSON.stringify({ writeKey: KEY, batch: [track(newId())] }) },
        { path: "/v1/track", headers: {}, body: `{"writeKey":"${KEY}","event":"e","userId":"u"}` },
        { path: "/v1/track", headers: {}, body: `{"\\u0077riteKey":"${KEY}","event":"e","userId":"u"}` },
      ];
      for (const call of calls) {
        const { status, text } = await relay.ask(call);
        check(status === 200 || status === 202, `${call.path}: answered ${status} ${cut(text)}`);
      }
      await drained(relay);
      await relay.stop();
      const kept = bytesUnder(`${directory}/data`);
      const sent = [good, bad]
        .map(({ requests }) => requests.map(({ headers, body }) => `${[...headers].join()} ${body}`).join("\n"))
        .join("\n");
      for (const [name, key] of [
        ["PostHog's key", KEYS.posthog],
        ["LaunchDarkly's key", KEYS.launchdarkly],
        ["LaunchDarkly's mobile key", KEYS.mobile],
        ["Segment's key", KEY],
      ] as const) {
        check(
          !kept.includes(key),
          `${name} is stored: ${cut(kept.slice(Math.max(0, kept.indexOf(key) - 60), kept.indexOf(key)), 60)}`,
        );
        check(
          !sent.includes(key),
          `${name} is sent on: ${cut(sent.slice(Math.max(0, sent.indexOf(key) - 60), sent.indexOf(key)), 60)}`,
        );
        check(!relay.log.includes(key), `${name} is logged`);
      }
      stage.acknowledged.clear();
    },
  },
  {
    name: "keys-not-shown",
    holds: "no admin answer and no metric shows a key, inbound or outbound",
    scene: LIMITED,
    async run({ relay }) {
      const shown = [await relay.metrics()];
      for (const path of ["/v1/accounts", "/v1/environments", "/ready", "/openapi.json", "/v1/replays"])
        shown.push((await relay.admin("GET", path)).text);
      shown.push(
        (
          await relay.admin("POST", "/v1/sources/attack/web/rotate", {
            body: JSON.stringify({ key: "rotated-key-1", graceMs: 3_600_000 }),
          })
        ).text,
      );
      for (const key of [KEY, KEYS.limited, "vendor-key", "rotated-key-1"])
        check(!shown.join("\n").includes(key), `${key} is shown`);
    },
  },
  {
    name: "memory-mode-tags",
    holds: "LaunchDarkly in memory with 30,000 different tags stays within bounds, and says what it dropped",
    async run(stage) {
      const good = await stage.vendor();
      const bad = await stage.vendor(silent);
      const directory = stage.directory();
      const sources = {
        flags: {
          protocol: "launchdarkly",
          writeKeys: [KEYS.launchdarkly],
          memory: { capacity: 1_000, flushInterval: "1s" },
        },
      };
      const destinations = {
        good: segmentTo(good),
        flags: { vendor: "launchdarkly", url: bad.url, writeKey: "k", timeout: "2s" },
      };
      const relay = await stage.launch({ directory, config: configOf(directory, { sources, destinations }) });
      const event = `{"kind":"custom","key":"k","contextKeys":{"user":"u"},"data":"${"x".repeat(200)}"}`;
      const events = `[${Array.from({ length: 10 }, () => event).join(",")}]`;
      const { byStatus } = await floodRaw(relay.port, TAGS, (index) => {
        const schema = `x-launchdarkly-event-schema: ${index % 2 === 0 ? 4 : 2}`;
        const tags = `x-launchdarkly-tags: tag/${index}${"t".repeat(index % 100)}`;
        return rawRequest("POST /bulk HTTP/1.1", [`authorization: ${KEYS.launchdarkly}`, schema, tags], events);
      });
      check(!byStatus.has(0) && !byStatus.has(500), `answered ${statuses(byStatus)}`);
      await relay.measure();
      check(relay.peakRssMb < RSS_MAX_MB, `resident memory rose to ${relay.peakRssMb} MB`);
      await stage.verify(relay, good);
    },
    limitMs: 60_000,
  },
  {
    name: "receipt-of-duplicates",
    holds: "a receipt names no position of other events, also for a batch that is partly or wholly a duplicate",
    scene: LIMITED,
    async run(stage) {
      const { relay } = stage;
      const [a, x, b, y, c] = [newId(), newId(), newId(), newId(), newId()];
      for (const id of [a, x, b, y]) await stage.send([track(id)]);
      for (const batch of [
        [a, b],
        [b, a],
        [a, c, b],
        [a, newId(), b, newId()],
        [a, b, c],
      ]) {
        const body = JSON.stringify({ batch: batch.map((id) => track(id)) });
        const { headers, status } = await relay.ask({ path: "/v1/batch", headers: basic(KEY), body });
        check(status === 200, `answered ${status}`);
        for (const id of batch) stage.acknowledged.add(id);
        const own = new Set<number>();
        for (const id of batch) {
          const { text } = await relay.admin("GET", `/v1/trace/${id}`);
          for (const { position } of (JSON.parse(text) as { readonly events: readonly { readonly position: number }[] })
            .events)
            own.add(position);
        }
        const receipt = String(headers["waybill-receipt"] ?? "");
        for (const [, first = "0", count = "1"] of receipt.matchAll(/(\d+)(?:\+(\d+))?(?=$|,| )/g))
          for (let position = Number(first); position < Number(first) + Number(count); position++)
            check(
              own.has(position),
              `the receipt ${receipt} names position ${position}, which is another's (own: ${[...own].join(", ")})`,
            );
      }
    },
  },
  {
    name: "retention-of-a-paused-lane",
    holds: "what hard retention takes from a paused lane is counted as expired, event by event",
    limitMs: 90_000,
    async run(stage) {
      const good = await stage.vendor();
      const bad = await stage.vendor();
      const directory = stage.directory();
      const extra = { retention: { maxBytes: "70MiB", hardMaxBytes: "70MiB" } };
      const relay = await stage.launch({
        directory,
        config: configOf(directory, {
          destinations: {
            good: segmentTo(good),
            bad: segmentTo(bad, { vendor: "http", url: `${bad.url}/hook`, writeKey: undefined }),
          },
          extra,
        }),
      });
      await relay.admin("POST", "/v1/lanes/attack/bad/pause");
      const pad = "x".repeat(250_000);
      for (let sent = 0; sent < 900; sent += 3) {
        const body = JSON.stringify({ batch: [0, 1, 2].map(() => track(newId(), { properties: { pad } })) });
        const { status, text } = await relay.ask({ path: "/v1/batch", headers: basic(KEY), body });
        check(status === 200, `answered ${status} ${cut(text)}`);
      }
      const expired = async (): Promise<number> => (await relay.lane("bad")).account.expired;
      await until(
        async () => (await expired()) > 0,
        25_000,
        "hard retention took nothing, or the account says 0 expired",
      );
      const { account } = await relay.lane("bad");
      check(account.balanced && account.accepted === 900, `the ledger: ${JSON.stringify(account)}`);
      await relay.admin("POST", "/v1/lanes/attack/bad/resume");
      await drained(relay, 30_000);
      await pause(200);
      const after = (await relay.lane("bad")).account;
      check(
        after.delivered + after.expired + after.rejected === 900 && after.pending === 0,
        `the ledger in the end: ${JSON.stringify(after)}`,
      );
      await stage.verify(relay, good);
    },
  },
];
