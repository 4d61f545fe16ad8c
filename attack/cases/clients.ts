/** The client in an application: what vendors, disks and callers can make of it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { lstatSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { endless, inTurn, reset, silent, status, WRONG_SHAPES, write, writeAndEnd } from "../lib/behaviours.ts";
import { Broken, check, cut, within } from "../lib/check.ts";
import { cleanEnv } from "../lib/relay.ts";
import type { Attack } from "../lib/stage.ts";
import { type Behaviour, healthy, respond } from "../lib/vendor.ts";

const CHILD = fileURLToPath(new URL("../children/client.js", import.meta.url));
const CHILD_MAX_MS = 25_000;
/** Beyond a deadline, on a machine that does other work too. */
const LATE_MS = 5_000;
/** Node's exit code for a promise at the top that can't settle any more. */
const UNSETTLED = 13;

interface Summary {
  readonly delivered: number;
  readonly rejected: number;
  readonly dropped: number;
  readonly left: number;
}

interface Report {
  readonly first?: string;
  readonly second?: string;
  readonly last?: string;
  readonly threw?: string;
  readonly wrong?: number;
  readonly ms?: number;
  readonly summary: Summary;
  /** Distinct calls of onDrop and onError, and how many there were. */
  readonly said: readonly string[];
  readonly times: number;
}

function start(scenario: string, args: object, shell?: string): ChildProcess {
  const command = [process.execPath, CHILD, scenario, JSON.stringify(args)];
  const [program = "", ...rest] =
    shell === undefined ? command : ["/bin/sh", "-c", `${shell}; exec "$0" "$@"`, ...command];
  return spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"], env: cleanEnv() });
}

/**
 * What the scenario reports at its end. **Errors**: `Broken` when the process ends otherwise, or
 * not at all.
 */
async function play(scenario: string, args: object): Promise<Report> {
  const child = start(scenario, args);
  let out = "";
  let err = "";
  child.stdout?.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (err += chunk.toString()));
  try {
    const [code] = (await within(CHILD_MAX_MS, once(child, "close"), "the application did not end")) as [number | null];
    check(code !== UNSETTLED, "the process ran out of work before close() or flush() settled");
    check(code === 0, `the application ended with ${code}: ${cut(err, 400)}`);
    return JSON.parse(out.trim().split("\n").at(-1) ?? "") as Report;
  } finally {
    child.kill("SIGKILL");
  }
}

async function playUntil(scenario: string, args: object, line: string, shell?: string): Promise<ChildProcess> {
  const child = start(scenario, args, shell);
  const said = new Promise<void>((resolve, reject) => {
    child.stdout?.on("data", (chunk: Buffer) => {
      if (chunk.toString().includes(line)) resolve();
    });
    child.once("exit", () => reject(new Broken("the application ended")));
  });
  await within(CHILD_MAX_MS, said, `the application did not say ${line}`);
  return child;
}

function total({ delivered, rejected, dropped, left }: Summary): number {
  return delivered + rejected + dropped + left;
}

/** Refuses every event of a batch by its index. */
const refuseAll: Behaviour = (socket, { body }) => {
  const { batch } = JSON.parse(body) as { readonly batch: readonly unknown[] };
  const rejected = batch.map((_, index) => ({ index, code: "attacked", message: "no" }));
  socket.write(respond("200 OK", JSON.stringify({ success: true, rejected })));
};

export const clients: readonly Attack[] = [
  {
    name: "client-delivered-asked-late",
    holds:
      "delivered of an event that was delivered settles as delivered, however late it is read and whatever waits after it",
    quick: true,
    async run(stage) {
      let requests = 0;
      const vendor = await stage.vendor((socket, request) => {
        requests += 1;
        if (requests === 1) healthy(socket, request);
      });
      const { first, second } = await play("late", { url: vendor.url });
      check(first === "delivered", `the delivered event is reported as: ${first}`);
      check(second !== "never settled" && second !== "delivered", `the event that waits is reported as: ${second}`);
    },
  },
  {
    name: "client-rejected-of-many",
    holds: "of 1,500 refused events none is reported as delivered, the first one neither",
    async run(stage) {
      const vendor = await stage.vendor(refuseAll);
      const { first, wrong, summary } = await play("rejected", { url: vendor.url, events: 1_500 });
      check(first !== "delivered", "the first refused event is reported as delivered");
      check(wrong === 0, `${wrong} of 1,500 refused events are reported as something else`);
      check(summary.rejected === 1_500, `${summary.rejected} are counted as rejected`);
    },
  },
  {
    name: "client-close-of-deaf-transport",
    holds: "close keeps its deadline although the transport never settles and ignores its signal",
    quick: true,
    async run(stage) {
      const vendor = await stage.vendor(silent);
      const { ms = 0, summary } = await play("deaf", { url: vendor.url });
      check(ms < 300 + LATE_MS, `close took ${Math.round(ms)} ms with a deadline of 300`);
      check(total(summary) === 1, `the event is not in the summary: ${JSON.stringify(summary)}`);
    },
  },
  {
    name: "client-calls-odd",
    holds: "no argument makes a call throw or the process end, and the event after them is delivered",
    quick: true,
    async run(stage) {
      const vendor = await stage.vendor();
      const { threw, last } = await play("odd", { url: vendor.url });
      check(threw === "", `a call threw: ${threw}`);
      check(last === "delivered", `the event after them: ${last}`);
    },
  },
  {
    name: "client-of-hostile-server",
    holds: "a hostile server ends no application; close keeps its deadline and counts every event",
    limitMs: 90_000,
    async run(stage) {
      const behaviours = [
        status("000 x"),
        status("099 x"),
        inTurn(WRONG_SHAPES.map((shape) => write(respond("200 OK", shape)))),
        write("HTTP/1.1 101 x\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", `10000\r\n${"x".repeat(65_536)}\r\n`),
        silent,
        inTurn([reset, writeAndEnd("HTTP/1.1 200")]),
        write(respond("429 x", "{}", ["retry-after: 99999999999999999999"])),
      ];
      await Promise.all(
        behaviours.map(async (behaviour, index) => {
          const vendor = await stage.vendor(behaviour);
          const { ms = 0, summary } = await play("hostile", { url: vendor.url, events: 20 });
          check(ms < 500 + 1_500, `server ${index}: close took ${Math.round(ms)} ms with a deadline of 500`);
          check(total(summary) === 20, `server ${index}: of 20 events ${JSON.stringify(summary)}`);
        }),
      );
    },
  },
  {
    name: "spool-in-use",
    holds: "a spool that another process uses loses no event silently",
    async run(stage) {
      const directory = stage.directory();
      const vendor = await stage.vendor();
      const holder = await playUntil("hold", { url: vendor.url, directory, events: 1 }, "holding");
      stage.atEnd(() => void holder.kill("SIGKILL"));
      const own = await stage.vendor();
      const { summary, said } = await play("spooled", { url: own.url, directory, events: 10 });
      check(said.length > 0, "neither onError nor onDrop was called");
      check(total(summary) === 10, `of 10 events ${JSON.stringify(summary)}`);
      check(
        summary.delivered === vendorCount(own.text),
        `${summary.delivered} are reported as delivered, ${vendorCount(own.text)} were`,
      );
      check(summary.dropped === 0 || said.some((one) => one.startsWith("drop")), "events were dropped without onDrop");
    },
  },
  {
    name: "spool-damaged-end",
    holds: "a spool whose end is damaged delivers the rest, and tells what is lost",
    async run(stage) {
      const directory = stage.directory();
      const down = await stage.vendor(reset);
      const holder = await playUntil("hold", { url: down.url, directory, events: 50 }, "holding");
      holder.kill("SIGKILL");
      await once(holder, "exit");
      const [name] = readdirSync(`${directory}/log`);
      const path = `${directory}/log/${name}`;
      const bytes = readFileSync(path);
      let end = bytes.length;
      while (end > 0 && bytes[end - 1] === 0) end -= 1;
      bytes.fill(0x5a, Math.max(0, end - 20), end);
      writeFileSync(path, bytes);
      const up = await stage.vendor();
      const { said, summary } = await play("spooled", { url: up.url, directory, events: 5 });
      const arrived = vendorCount(up.text);
      check(up.text.includes("later-4"), "the events after the damage were not delivered");
      check(arrived >= 55 || said.length > 0, `${55 - arrived} events are lost silently: ${JSON.stringify(summary)}`);
    },
  },
  {
    name: "spool-of-its-user-alone",
    holds: "a spool's files are 0600, its folders 0700, whatever the umask",
    async run(stage) {
      const directory = `${stage.directory()}/spool`;
      const down = await stage.vendor(reset);
      const holder = await playUntil("hold", { url: down.url, directory, events: 5 }, "holding", "umask 000");
      holder.kill("SIGKILL");
      const open = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((name) =>
        isOpen(`${directory}/${name}`),
      );
      check(open.length === 0, `others may read ${open.join(", ")}`);
      check((statSync(directory).mode & 0o077) === 0, "others may read the folder");
    },
  },
];

/**
 * What a folder that is closed has in it besides files, such as the lock's socket, nobody reaches.
 */
function isOpen(path: string): boolean {
  const entry = lstatSync(path);
  return (entry.mode & 0o077) !== 0 && !entry.isSocket();
}

function vendorCount(text: string): number {
  return new Set(text.match(/"messageId":"[^"]+"/g)).size;
}
