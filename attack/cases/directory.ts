/** The data directory: who may have it, what it may look like at a start, who may read it. */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { check, cut, pause, Skipped, until } from "../lib/check.ts";
import { keepSending } from "../lib/load.ts";
import { type Refused, Relay } from "../lib/relay.ts";
import { configOf, EVERY_SOURCE, segmentTo } from "../lib/scenes.ts";
import { type Attack, basic, KEY, newId, type Stage, track } from "../lib/stage.ts";
import type { Vendor } from "../lib/vendor.ts";

const TMPFS_BYTES = 24 * 1024 * 1024;
const BALLAST_BYTES = 22 * 1024 * 1024;
const AT_ONCE = 10;
const ROUNDS = 2;
/** Longer than what a socket's path may be. */
const LONG_NAME = "long-".repeat(30);
const OTHERS_MODE = 0o077;
/** Of levels 40, 50 and 60. */
const WARNING = /"level":"(?:warn|error|fatal)"/;

interface Home {
  readonly directory: string;
  readonly config: Record<string, unknown>;
  readonly good: Vendor;
}

async function homeOf(
  stage: Stage,
  more: { readonly extra?: Record<string, unknown>; readonly destinations?: object; readonly data?: string } = {},
): Promise<Home> {
  const good = await stage.vendor();
  const directory = stage.directory();
  const destinations = { good: segmentTo(good), ...more.destinations };
  const config = configOf(directory, { sources: EVERY_SOURCE, destinations, extra: more.extra ?? {} });
  if (more.data !== undefined) config["dataDirectory"] = more.data;
  return { directory, config, good };
}

/**
 * Another relay on the same data, with a folder of its own for its configuration and its temporary
 * files.
 */
function another(stage: Stage, config: object): Promise<Relay | Refused> {
  const directory = stage.directory();
  return stage.tryLaunch({ directory, config, env: { TMPDIR: directory } });
}

function checkTurnedAway(second: Relay | Refused, path: string): void {
  check(!(second instanceof Relay), "a second relay runs on the same data directory");
  check(second.code !== 0, "the second relay ended with 0");
  check(second.text.includes(path), `the message does not name the directory: ${cut(second.text)}`);
  check(/another|in use|using|lock/i.test(second.text), `the message does not say why: ${cut(second.text)}`);
  check(!/\n\s+at /.test(second.text), `the message is a stack: ${cut(second.text)}`);
}

/**
 * A start on data that was changed while nothing ran; it must run, deliver, and say what it found.
 */
async function startDamaged(stage: Stage, damage: Damage): Promise<void> {
  const home = await homeOf(stage, { destinations: { down: segmentTo({ url: "http://127.0.0.1:1" } as Vendor) } });
  const first = await stage.launch(home);
  await stage.send(
    Array.from({ length: 50 }, () => track(newId())),
    first,
  );
  await until(
    () => [...stage.acknowledged].every((id) => home.good.ids.has(id)),
    5_000,
    "not delivered before the damage",
  );
  await first.stop();
  const data = `${home.directory}/data/attack`;
  damage.harm(data);
  const second = await stage.launch(home);
  await stage.verify(second, home.good);
  if (damage.warning !== undefined) {
    const warnings = second.lines.filter((line) => WARNING.test(line));
    const isWarned = warnings.some((line) => line.includes(damage.warning ?? ""));
    check(isWarned, `no warning names ${damage.warning}: ${cut(warnings.join("; "), 400)}`);
  }
  await second.stop();
  const third = await stage.launch(home);
  await stage.verify(third, home.good);
}

interface Damage {
  readonly harm: (data: string) => void;
  /** What a warning in the log must name. */
  readonly warning?: string;
}

/** Every file below, oldest first. */
function filesUnder(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesUnder(path) : [path];
  });
}

function overwrite(path: string, at: number, bytes: Buffer): void {
  const content = readFileSync(path);
  bytes.copy(content, Math.min(at, Math.max(0, content.length - bytes.length)));
  writeFileSync(path, content);
}

function damaged(name: string, holds: string, damage: Damage): Attack {
  return { name: `data-${name}`, holds, run: (stage) => startDamaged(stage, damage) };
}

const NOISE = Buffer.from(Array.from({ length: 64 }, (_, index) => (index * 37) % 256));

export const directories: readonly Attack[] = [
  {
    name: "two-relays-other-tmpdir",
    holds: "a second relay with another temporary folder is turned away, and says truly why",
    quick: true,
    async run(stage) {
      const home = await homeOf(stage);
      const first = await stage.launch({ ...home, env: { TMPDIR: stage.directory() } });
      const healthy = keepSending(first);
      const { dataDirectory } = home.config as { dataDirectory: string };
      checkTurnedAway(await another(stage, home.config), dataDirectory);
      await healthy.stop();
      for (const id of healthy.acknowledged) stage.acknowledged.add(id);
      await stage.verify(first, home.good);
    },
  },
  {
    name: "two-relays-by-symlink",
    holds: "a data directory under another name, by a symbolic link, is the same one",
    async run(stage) {
      const home = await homeOf(stage);
      const first = await stage.launch(home);
      const link = `${stage.directory()}/link`;
      symlinkSync(`${home.directory}/data`, link);
      checkTurnedAway(await another(stage, { ...home.config, dataDirectory: link }), link);
      await stage.verify(first, home.good);
    },
  },
  {
    name: "temporary-folder-cleaned",
    holds: "a cleaner of temporary files takes no lock away",
    async run(stage) {
      const home = await homeOf(stage);
      const temporary = stage.directory();
      const first = await stage.launch({ ...home, env: { TMPDIR: temporary } });
      for (const name of readdirSync(temporary)) rmSync(join(temporary, name), { recursive: true, force: true });
      const second = await stage.tryLaunch({
        directory: stage.directory(),
        config: home.config,
        env: { TMPDIR: temporary },
      });
      check(!(second instanceof Relay), "a second relay runs on the same data directory");
      await stage.verify(first, home.good);
    },
  },
  {
    name: "ten-relays-on-a-stale-lock",
    holds: "of ten relays that take over the lock of a killed one, one runs, and nine say why not",
    limitMs: 90_000,
    async run(stage) {
      const home = await homeOf(stage);
      for (let round = 0; round < ROUNDS; round++) {
        await (await stage.launch(home)).kill();
        const all = await Promise.all(Array.from({ length: AT_ONCE }, () => another(stage, home.config)));
        const running = all.filter((one): one is Relay => one instanceof Relay);
        check(running.length === 1, `${running.length} relays run on one data directory`);
        for (const one of all)
          if (!(one instanceof Relay))
            check(/another|in use|using|lock/i.test(one.text), `a message does not say why: ${cut(one.text)}`);
        const [winner] = running;
        await stage.verify(winner, home.good);
        await winner?.kill();
      }
    },
  },
  {
    name: "restart-after-kill",
    holds: "a killed relay's successor starts at once, five times, and nothing acknowledged is lost",
    async run(stage) {
      const home = await homeOf(stage);
      for (let life = 0; life < 5; life++) {
        const relay = await stage.launch(home);
        const healthy = keepSending(relay);
        await pause(200);
        await healthy.stop();
        for (const id of healthy.acknowledged) stage.acknowledged.add(id);
        await relay.kill();
      }
      await stage.verify(await stage.launch(home), home.good);
    },
  },
  {
    name: "data-directory-of-long-name",
    holds: "a path longer than a socket's may be is locked like any other",
    async run(stage) {
      const directory = stage.directory();
      const data = `${directory}/${LONG_NAME}/${LONG_NAME}/data`;
      const home = await homeOf(stage, { data });
      const first = await stage.launch(home);
      checkTurnedAway(await another(stage, home.config), data);
      await first.kill();
      await stage.verify(await stage.launch(home), home.good);
    },
  },
  {
    name: "data-directory-is-a-file",
    holds: "a data directory that is a file, or lies in one, is a message and not a stack",
    async run(stage) {
      for (const data of ["file", "file/data"]) {
        const directory = stage.directory();
        writeFileSync(`${directory}/file`, "x");
        const home = await homeOf(stage, { data: `${directory}/${data}` });
        const relay = await stage.tryLaunch(home);
        check(!(relay instanceof Relay), "it runs");
        check(relay.code === 1 || relay.code === 78, `ended with ${relay.code}`);
        check(!/\n\s+at /.test(relay.text), `the message is a stack: ${cut(relay.text)}`);
      }
    },
  },
  damaged("lane-state-noise", "a lane state of noise is reported in the log, and the lane sends again", {
    harm: (data) => writeFileSync(`${data}/lanes/good`, Buffer.concat(Array.from({ length: 128 }, () => NOISE))),
    warning: "good",
  }),
  damaged("lane-state-cut", "a lane state that was cut to nothing is reported in the log", {
    harm: (data) => truncateSync(`${data}/lanes/good`, 0),
    warning: "good",
  }),
  damaged("lane-state-ahead", "a lane state that points past the end of the log stops no lane", {
    harm(data) {
      for (const path of filesUnder(`${data}/log`)) rmSync(path);
    },
  }),
  damaged("log-damaged-inside", "a damaged record is skipped, and the loss is reported", {
    harm(data) {
      const [path = ""] = filesUnder(`${data}/log`);
      overwrite(path, 200, NOISE);
    },
  }),
  damaged("log-damaged-head", "a segment whose head is noise does not stop the start", {
    harm(data) {
      const [path = ""] = filesUnder(`${data}/log`);
      overwrite(path, 0, NOISE);
    },
  }),
  damaged("files-emptied", "every file of the environment emptied: the relay starts", {
    harm(data) {
      for (const path of filesUnder(data)) truncateSync(path, 0);
    },
  }),
  damaged("files-of-noise", "every file but the log replaced by noise: the relay starts", {
    harm(data) {
      for (const path of filesUnder(data))
        if (!path.includes("/log/")) writeFileSync(path, Buffer.concat(Array.from({ length: 100 }, () => NOISE)));
    },
  }),
  damaged("foreign-files", "files and folders of others in every folder are left alone", {
    harm(data) {
      for (const folder of ["log", "lanes", "dead/good", "attempts/good", "ids", "replays", ""]) {
        const at = `${data}/${folder}`;
        if (!existsSync(at)) mkdirSync(at, { recursive: true });
        writeFileSync(`${at}/.nfs0001`, "x");
        writeFileSync(`${at}/notes.txt`, "x");
        mkdirSync(`${at}/lost+found`, { recursive: true });
      }
    },
  }),
  {
    name: "files-of-their-user-alone",
    holds: "logs, states, dead letters and file destinations are 0600, folders 0700, whatever the umask",
    quick: true,
    async run(stage) {
      const directory = stage.directory();
      const home = await homeOf(stage, {
        destinations: { file: { vendor: "file", path: `${directory}/out/events.ndjson` } },
      });
      const relay = await stage.launch({ ...home, shell: "umask 000" });
      await stage.send([track(newId()), track(newId(), { properties: { pad: "x".repeat(40_000) } })], relay);
      stage.acknowledged.clear();
      await until(() => existsSync(`${directory}/out/events.ndjson`), 5_000, "the file destination wrote nothing");
      await relay.stop();
      const open = [...filesUnder(`${home.directory}/data`), ...filesUnder(`${directory}/out`)].filter(
        (path) => (statSync(path).mode & OTHERS_MODE) !== 0,
      );
      check(open.length === 0, `others may read ${open.length} files, such as ${open[0]}`);
      const folders = foldersUnder(`${home.directory}/data`).filter(
        (path) => (statSync(path).mode & OTHERS_MODE) !== 0,
      );
      check(folders.length === 0, `others may read ${folders.length} folders, such as ${folders[0]}`);
    },
  },
  {
    name: "files-as-permissions-say",
    holds: "permissions of the configuration are kept: 0640 and 0750",
    async run(stage) {
      const home = await homeOf(stage, { extra: { permissions: { files: "0640", directories: "0750" } } });
      const relay = await stage.launch({ ...home, shell: "umask 000" });
      await stage.send([track(newId())], relay);
      await stage.verify(relay, home.good);
      await relay.stop();
      const modes = new Set(
        filesUnder(`${home.directory}/data/attack`).map((path) => (statSync(path).mode & 0o777).toString(8)),
      );
      check([...modes].join() === "640", `files have the modes ${[...modes].join(", ")}`);
    },
  },
  {
    name: "disk-full",
    holds:
      "on a full disk ingest requests are 503 with Retry-After, /ready is red and turns green by itself when there is room",
    limitMs: 60_000,
    async run(stage) {
      const home = await homeOf(stage);
      const data = `${home.directory}/data`;
      mountMemory(data);
      stage.atEnd(() => void execFileSync("umount", ["-l", data]));
      const relay = await stage.launch(home);
      await stage.send([track(newId())], relay);
      fill(`${data}/ballast`);
      const pad = "x".repeat(30_000);
      const refused = async (): Promise<boolean> => {
        const body = JSON.stringify({
          batch: Array.from({ length: 8 }, () => track(newId("full"), { properties: { pad } })),
        });
        const answer = await relay.ask({ path: "/v1/batch", headers: basic(KEY), body });
        check(answer.status === 200 || answer.status === 503, `answered ${answer.status}`);
        if (answer.status === 503) check(answer.headers["retry-after"] !== undefined, "a 503 without Retry-After");
        return answer.status === 503;
      };
      await until(refused, 10_000, "a full disk refused nothing");
      const ready = async (): Promise<number> => (await relay.ask({ method: "GET", path: "/ready" })).status;
      check((await ready()) === 503, "/ready is not red while the disk is full");
      rmSync(`${data}/ballast`);
      // A load balancer sends nothing to a relay that is not ready: it must find out by itself.
      await until(
        async () => (await ready()) === 200,
        15_000,
        "/ready stays red without a request although there is room",
      );
      await stage.verify(relay, home.good);
    },
  },
  {
    name: "log-folder-removed",
    holds: "a data directory that is removed under a running relay ends nothing",
    async run(stage) {
      const home = await homeOf(stage);
      const relay = await stage.launch(home);
      await stage.send([track(newId())], relay);
      rmSync(`${home.directory}/data/attack`, { recursive: true, force: true });
      for (let sent = 0; sent < 20; sent++) {
        const { status } = await relay.ask({
          path: "/v1/batch",
          headers: basic(KEY),
          body: JSON.stringify({ batch: [track(newId())] }),
        });
        check(status === 200 || status === 503, `answered ${status}`);
        await pause(50);
      }
      await pause(1_500);
      check((await relay.ask({ method: "GET", path: "/health" })).status === 200, "/health is not 200");
      check(!relay.isEnded, `the relay ended: ${relay.lastWords}`);
    },
  },
];

function foldersUnder(folder: string): string[] {
  const inside = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [folder, ...inside.flatMap((entry) => foldersUnder(join(folder, entry.name)))];
}

/** **Errors**: `Skipped` where there are no rights to mount. */
function mountMemory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${TMPFS_BYTES},mode=0700`, "tmpfs", path], { stdio: "pipe" });
  } catch (error) {
    throw new Skipped(`a file system of its own takes root: ${cut(String((error as Error).message))}`);
  }
}

/** As much as there is room for. */
function fill(path: string): void {
  const piece = Buffer.alloc(64 * 1024);
  writeFileSync(path, "");
  try {
    for (let bytes = 0; bytes < BALLAST_BYTES; bytes += piece.length) writeFileSync(path, piece, { flag: "a" });
  } catch {
    // Full.
  }
}
