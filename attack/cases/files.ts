/** File destinations. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { check, cut, pause, until } from "../lib/check.ts";
import { Relay } from "../lib/relay.ts";
import { configOf, segmentTo } from "../lib/scenes.ts";
import { type Attack, newId, type Stage, track } from "../lib/stage.ts";
import { drained } from "./events.ts";

const LINES = 3_000;

async function linesIn(folder: string): Promise<Set<string>> {
  const texts = readdirSync(folder).map((name) => readFileSync(`${folder}/${name}`, "utf8"));
  return new Set(texts.join("\n").match(/event-\d+-\d+/g));
}

/** Two destinations that exclude each other, which is reported before anything runs. */
async function refusedPair(stage: Stage, destinations: object, what: string): Promise<void> {
  const directory = stage.directory();
  const good = await stage.vendor();
  const config = configOf(directory, { destinations: { good: segmentTo(good), ...destinations } });
  const relay = await stage.tryLaunch({ directory, config });
  check(!(relay instanceof Relay), `${what} was taken`);
  check(relay.code === 78, `${what}: ended with ${relay.code}: ${cut(relay.text)}`);
}

export const files: readonly Attack[] = [
  {
    name: "file-rotation-at-once",
    holds: "files that are full within a millisecond of each other keep every line",
    async run(stage) {
      const good = await stage.vendor();
      const directory = stage.directory();
      // Where syncing costs nothing, so that many files are full within a millisecond.
      const fast = existsSync("/dev/shm") ? mkdtempSync("/dev/shm/waybill-attack-") : directory;
      stage.atEnd(() => rmSync(fast, { recursive: true, force: true }));
      const out = `${fast}/out`;
      const file = { vendor: "file", path: `${out}/events.ndjson`, rotateBytes: 200, batch: { maxEvents: 1 } };
      const relay = await stage.launch({
        directory,
        config: configOf(directory, { destinations: { good: segmentTo(good), file } }),
      });
      const ids = Array.from({ length: LINES }, () => newId());
      for (let at = 0; at < ids.length; at += 500)
        await stage.send(
          ids.slice(at, at + 500).map((id) => track(id)),
          relay,
        );
      await drained(relay, 40_000);
      const written = await linesIn(out);
      const missing = ids.filter((id) => !written.has(id));
      check(missing.length === 0, `${missing.length} of ${LINES} lines are gone`);
      await stage.verify(relay, good);
    },
  },
  {
    name: "file-replaced-by-folder",
    holds:
      "a file that became a folder, or was removed, holds up its own lane and nothing else, until it is a file again",
    async run(stage) {
      const good = await stage.vendor();
      const directory = stage.directory();
      const path = `${directory}/out/events.ndjson`;
      const file = { vendor: "file", path, rotateBytes: 300, backoff: { base: "50ms", max: "200ms" } };
      const relay = await stage.launch({
        directory,
        config: configOf(directory, { destinations: { good: segmentTo(good), file } }),
      });
      await stage.send([track(newId())], relay);
      await until(() => existsSync(path), 5_000, "nothing was written");
      rmSync(path);
      mkdirSync(path);
      for (let sent = 0; sent < 10; sent++) {
        await stage.send([track(newId()), track(newId()), track(newId())], relay);
        await pause(50);
      }
      rmSync(path, { recursive: true, force: true });
      await stage.send([track(newId())], relay);
      await drained(relay);
      await stage.verify(relay, good);
    },
  },
  {
    name: "file-destinations-on-one-path",
    holds: "two destinations on one file, however it is written, are a configuration fault",
    async run(stage) {
      const directory = stage.directory();
      const at = (path: string): object => ({ vendor: "file", path });
      for (const [one, other] of [
        [`${directory}/a`, `${directory}/a`],
        [`${directory}/a`, `${directory}/./a`],
        [`${directory}/a`, `${directory}/x/../a`],
        [`${directory}/a`, `${directory}//a`],
      ])
        await refusedPair(stage, { one: at(one ?? ""), other: at(other ?? "") }, `${one} and ${other}`);
    },
  },
  {
    name: "file-destination-on-the-log",
    holds: "a destination on the relay's own data is a configuration fault",
    async run(stage) {
      const directory = stage.directory();
      const good = await stage.vendor();
      for (const path of [
        "data/attack/log/00000000000000000000.log",
        "data/attack/lanes/good",
        "data/../data/attack/log/x",
      ]) {
        const destinations = { good: segmentTo(good), file: { vendor: "file", path: `${directory}/${path}` } };
        const relay = await stage.tryLaunch({ directory, config: configOf(directory, { destinations }) });
        check(!(relay instanceof Relay), `${path} was taken`);
        check(relay.code === 78, `${path}: ended with ${relay.code}`);
      }
    },
  },
];
