/** Configurations that change under a running relay: as a whole, or not at all. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { check, cut, pause, until } from "../lib/check.ts";
import { keepSending } from "../lib/load.ts";
import type { Relay } from "../lib/relay.ts";
import { configOf, segmentTo } from "../lib/scenes.ts";
import { type Attack, basic, KEY, newId, type Stage, track } from "../lib/stage.ts";
import type { Vendor } from "../lib/vendor.ts";

interface Result {
  readonly ok: boolean;
  readonly changed: readonly string[];
  readonly errors: readonly string[];
}

interface Running {
  readonly relay: Relay;
  readonly good: Vendor;
  readonly directory: string;
  /** The running configuration with these destinations, and more at the top. */
  readonly config: (destinations?: object, extra?: Record<string, unknown>) => Record<string, unknown>;
}

async function run(stage: Stage, destinations: object = {}, extra: Record<string, unknown> = {}): Promise<Running> {
  const good = await stage.vendor();
  const directory = stage.directory();
  const config = (more: object = destinations, top: Record<string, unknown> = extra): Record<string, unknown> =>
    configOf(directory, { destinations: { good: segmentTo(good), ...more }, extra: top });
  const relay = await stage.launch({ directory, config: config() });
  return { relay, good, directory, config };
}

async function reload(relay: Relay, config: object | string | Buffer): Promise<Result & { readonly status: number }> {
  const { status, text } = await relay.reload(config);
  check(status === 200 || status === 422, `the reload answered ${status}: ${cut(text)}`);
  return { status, ...(JSON.parse(text) as Result) };
}

/** Whether a key is taken. */
async function isTaken(relay: Relay, key: string): Promise<boolean> {
  const { status } = await relay.ask({ path: "/v1/batch", headers: basic(key), body: JSON.stringify({ batch: [] }) });
  return status === 200;
}

const BOMB = `a: &a [x,x,x,x,x,x,x,x,x]\n${"bcdefgh"
  .split("")
  .map((name, index) => `${name}: &${name} [${Array.from({ length: 9 }, () => `*${"abcdefg"[index]}`).join(",")}]`)
  .join("\n")}\n`;

export const reloads: readonly Attack[] = [
  {
    name: "reload-of-garbage",
    holds: "noise, bombs, 20 MB, prototypes' names and nothing at all are refused, and the old plan goes on",
    limitMs: 60_000,
    async run(stage) {
      const { relay, good, config } = await run(stage);
      const healthy = keepSending(relay, 10_000);
      const texts = [
        "",
        "\u0000\u0001",
        "- a",
        "x: [",
        "null",
        BOMB,
        "[".repeat(20_000),
        `a: ${"x".repeat(20_000_000)}`,
        "__proto__: 1",
        JSON.stringify({ ...config(), __proto__x: 1 }),
        '{"__proto__":{"listen":"x"},"environments":{}}',
        '{"environments":{"constructor":{"sources":{},"destinations":{}}}}',
        "&a [*a]",
        "!!js/function x",
        Buffer.from("ff00ff", "hex"),
      ];
      for (const text of texts) {
        const { ok } = await reload(relay, text);
        check(!ok, `${cut(String(text), 30)} was taken for a configuration`);
      }
      await healthy.stop();
      await stage.verify(relay, good);
    },
  },
  {
    name: "reload-half-bad",
    holds: "a plan whose last part cannot be had changes nothing of what runs",
    async run(stage) {
      const { relay, good, directory, config } = await run(stage);
      const other = await stage.vendor();
      // The new environment's folder cannot be made: its name is a file.
      writeFileSync(`${directory}/data/blocked`, "x");
      const next = config({ more: segmentTo(other) });
      const environments = next["environments"] as Record<string, { sources: Record<string, object> }>;
      (environments["attack"] as (typeof environments)[string]).sources = {
        web: { protocol: "segment", writeKeys: ["new-key"] },
      };
      environments["blocked"] = {
        sources: { b: { protocol: "segment", writeKeys: ["b-key"] } },
        destinations: { out: segmentTo(other) },
      } as never;
      const { ok, errors } = await reload(relay, next);
      check(!ok && errors.length > 0, "the plan was taken over");
      check(await isTaken(relay, KEY), "the old key is not taken any more");
      check(!(await isTaken(relay, "new-key")), "the new key is taken");
      const lanes = (await relay.accounts()).lanes.map(({ destination }) => destination);
      check(lanes.join() === "good", `the lanes are ${lanes.join(", ")}`);
      rmSync(`${directory}/data/blocked`);
      check((await reload(relay, next)).ok, "the same plan is refused although it can be had now");
      check(await isTaken(relay, "new-key"), "the new key is not taken");
      (environments["attack"] as (typeof environments)[string]).sources = {
        web: { protocol: "segment", writeKeys: [KEY] },
      };
      check((await reload(relay, next)).ok, "the old key cannot be had back");
      await stage.verify(relay, good);
    },
  },
  {
    name: "reload-says-what-it-did",
    holds: "batch.*, timeouts, log.level and limits are either taken over or named as needing a restart",
    async run(stage) {
      const { relay, good, config } = await run(stage);
      await reload(relay, config({ good: segmentTo(good, { batch: { maxEvents: 1, linger: "100ms" } }) })).then(
        async ({ ok, changed, errors }) => {
          if (!ok) return check(/batch|restart/i.test(errors.join()), `refused without saying why: ${errors.join()}`);
          check(changed.length > 0, "the change was not reported");
          const before = good.received;
          await stage.send(
            Array.from({ length: 10 }, () => track(newId())),
            relay,
          );
          await until(() => [...stage.acknowledged].every((id) => good.ids.has(id)), 5_000, "not delivered");
          check(
            good.received - before >= 10 || /batch/.test(changed.join()) === false,
            `batch.maxEvents was reported as changed (${changed.join()}), and 10 events left in ${good.received - before} requests`,
          );
          check(
            good.received - before >= 10,
            `batch.maxEvents: 1 was taken, and 10 events left in ${good.received - before} requests`,
          );
        },
      );
      const quiet = await reload(relay, config({}, { log: { level: "debug" } }));
      if (quiet.ok) {
        const lines = relay.lines.length;
        await stage.send([track(newId())], relay);
        await until(
          () => relay.lines.slice(lines).some((line) => line.includes('"level":"debug"')),
          3_000,
          "log.level: debug was taken, and no such line was written",
        );
      } else check(/log|restart/i.test(quiet.errors.join()), `refused without saying why: ${quiet.errors.join()}`);
      const limits = await reload(relay, config({}, { limits: { headersTimeout: "1s", requestTimeout: "2s" } }));
      check(!limits.ok || limits.changed.length > 0, "timeouts were changed silently");
      await stage.verify(relay, good);
    },
  },
  {
    name: "reload-renames-destination",
    holds: "what waits for a destination that is renamed or removed is reported, with its number",
    async run(stage) {
      const { relay, good, config } = await run(stage, {
        old: { vendor: "segment", url: "http://127.0.0.1:1", writeKey: "k" },
      });
      await stage.send(
        Array.from({ length: 37 }, () => track(newId())),
        relay,
      );
      const { ok, changed, errors } = await reload(
        relay,
        config({ renamed: { vendor: "segment", url: good.url, writeKey: "k" } }),
      );
      await pause(300);
      const reported = [
        ...changed,
        ...errors,
        relay.log
          .split("\n")
          .filter((line) => line.includes("old"))
          .join(),
      ].join("\n");
      const accounts = JSON.stringify(await relay.accounts());
      check(
        !ok || /\b37\b/.test(reported) || /"destination":"old"/.test(accounts),
        `37 events that waited are gone silently: ${cut(changed.join())}`,
      );
      await stage.verify(relay, good);
    },
  },
  {
    name: "reload-storm",
    holds: "60 reloads and SIGHUPs at once, of two plans, lose nothing and leak no descriptor",
    limitMs: 60_000,
    async run(stage) {
      const directory = stage.directory();
      const file = { vendor: "file", path: `${directory}/events.ndjson` };
      const { relay, good, config } = await run(stage, { file });
      const healthy = keepSending(relay, 10_000);
      for (let round = 0; round < 6; round++) {
        relay.writeConfig(config({ file: { ...file, rotateBytes: `${100 + round}MiB` } }));
        relay.signal("SIGHUP");
        await Promise.all(Array.from({ length: 10 }, () => relay.reload()));
      }
      const before = relay.descriptors;
      for (let round = 0; round < 30; round++) {
        const { ok, errors } = await reload(relay, config({ file: { ...file, rotateBytes: `${200 + round}MiB` } }));
        check(ok, `refused: ${errors.join()}`);
        // The file is opened again by what comes next.
        await pause(40);
      }
      await healthy.stop();
      for (const id of healthy.acknowledged) stage.acknowledged.add(id);
      await until(
        () => relay.descriptors <= before + 5,
        5_000,
        () => `${relay.descriptors} descriptors after 30 reloads, ${before} before`,
      );
      await stage.verify(relay, good);
    },
  },
  {
    name: "reload-flags-of-garbage",
    holds: "a flags file that becomes noise, a folder or nothing is refused, and the old plan goes on",
    async run(stage) {
      const directory = stage.directory();
      const flagsFile = `${directory}/flags.json`;
      writeFileSync(flagsFile, '{"flags":{}}');
      const flags = { vendor: "launchdarkly", url: "http://127.0.0.1:1", writeKey: "k", flagsFile };
      const { relay, good, config } = await run(stage, { flags });
      for (const text of [
        "\u0000",
        "[",
        "null",
        "1",
        '{"flags":null}',
        '{"flags":{"a":null}}',
        '{"flags":[]}',
        "[".repeat(100_000),
        '{"flags":{"__proto__":{"trackEvents":1}}}',
      ]) {
        writeFileSync(flagsFile, text);
        await reload(relay, config());
      }
      rmSync(flagsFile);
      check(!(await reload(relay, config())).ok, "a flags file that is gone was taken");
      mkdirSync(flagsFile);
      check(!(await reload(relay, config())).ok, "a flags file that is a folder was taken");
      await stage.verify(relay, good);
    },
  },
];
