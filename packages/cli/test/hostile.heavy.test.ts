/** What events, vendors, relays and operators' mistakes may not do to a terminal and its reader. */
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createNetServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openLog } from "@waybill/log";
import { nodeClock, nodeDisk } from "@waybill/node";
import { SegmentEmulator, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { accountTable } from "../src/account-table.ts";
import { linesOf } from "../src/lines.ts";
import { run, runHere, start, startHere, temporary } from "./lib/command.ts";

/**
 * Clears the screen, sets the title, forges a line, turns the direction round: in C0, C1 and
 * beyond.
 */
const EVIL = "\u001b[2J\u001b]0;owned\u0007\r\nforged: delivered\u009b31m\u202e\u2028x\u007f";
const UNSAFE = /[^\P{Cc}\n]|[\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
const STACK = /^\s+at /m;

const ATTEMPT = {
  first: 0,
  count: 1,
  atMs: 0,
  durationMs: 1,
  status: 400,
  delivered: 0,
  retryable: 0,
  rejected: 1,
  halted: 0,
  reason: EVIL,
};
const EVENT = { type: EVIL, event: EVIL, userId: EVIL, messageId: EVIL };
const ACCOUNT = {
  accepted: 1,
  delivered: 0,
  rejected: 1,
  dropped: 0,
  droppedByReason: {},
  expired: 0,
  pending: 0,
  balanced: true,
};
const DEAD_LETTER = {
  deadLetterId: 0,
  state: EVIL,
  position: 0,
  source: EVIL,
  receivedAtMs: 0,
  rejectedAtMs: 0,
  reason: EVIL,
  messageId: EVIL,
  name: EVIL,
  attempts: [ATTEMPT],
  event: EVENT,
};
const LANE = {
  environment: EVIL,
  destination: EVIL,
  vendor: EVIL,
  mode: EVIL,
  reason: EVIL,
  account: ACCOUNT,
  deadLetters: { waiting: 0, retried: 0, discarded: 0 },
  lastError: EVIL,
};
const LANE_DETAIL = {
  ...LANE,
  order: EVIL,
  settings: { [EVIL]: EVIL, nested: { [EVIL]: [EVIL] } },
  limiter: { inFlight: 0, limit: 1, perSecond: null, reason: EVIL },
  strands: 1,
  parked: { users: 0, events: 0 },
  sources: [EVIL],
  lane: LANE,
};
const OVERVIEW = {
  now: 0,
  version: EVIL,
  startedAt: 0,
  ready: true,
  environments: [
    {
      name: EVIL,
      sources: [
        { name: EVIL, protocol: EVIL, eventsPerSecond: 0, refusedByReason: { [EVIL]: 1 }, refusedRequestsByReason: {} },
      ],
      destinations: [
        { name: EVIL, vendor: EVIL, mode: EVIL, reason: EVIL, eventsPerSecondOut: 0, limitReason: EVIL, lossAt: null },
      ],
    },
  ],
  problems: [{ severity: EVIL, code: EVIL, environment: EVIL, source: EVIL, since: 0, what: EVIL, doThis: EVIL }],
  replays: [
    { eventsPerSecond: 0, state: EVIL, environment: EVIL, destination: EVIL, id: EVIL, reason: EVIL, account: ACCOUNT },
  ],
};
const ANSWERS: Readonly<Record<string, unknown>> = {
  "/v1/trace/x": {
    messageId: EVIL,
    events: [
      {
        environment: EVIL,
        source: EVIL,
        position: 0,
        receivedAtMs: 0,
        event: EVENT,
        destinations: [
          {
            destination: EVIL,
            outcome: EVIL,
            reason: EVIL,
            lane: EVIL,
            deadLetter: { deadLetterId: 0, state: EVIL, rejectedAtMs: 0 },
            attempts: [ATTEMPT],
            replays: [{ replay: EVIL, outcome: EVIL, reason: EVIL, attempts: [ATTEMPT] }],
          },
        ],
      },
    ],
  },
  "/v1/dead-letters/e/d": { deadLetters: [DEAD_LETTER], next: 0 },
  "/v1/dead-letters/e/d/reasons": {
    groups: [{ reason: EVIL, waiting: 1, first: 0, last: 0, example: 0 }],
    others: 1,
  },
  "/v1/dead-letters/e/d/retry": { id: EVIL, account: ACCOUNT },
  "/v1/dead-letters/e/d/discard": { discarded: EVIL },
  "/v1/replays": [
    {
      id: EVIL,
      environment: EVIL,
      destination: EVIL,
      of: EVIL,
      createdAtMs: 0,
      state: EVIL,
      reason: EVIL,
      account: ACCOUNT,
    },
  ],
  "/v1/replays/e": { id: EVIL, account: ACCOUNT },
  "/v1/overview": OVERVIEW,
  "/v1/lanes/e/d": LANE_DETAIL,
  "/v1/lanes/e/d/attempts": { attempts: [{ ...ATTEMPT, sequence: 1, at: 0, events: 1, bytes: 1 }] },
  "/v1/reload": { ok: true, changed: [EVIL], errors: [] },
};

/** A server in the place of a relay; to its URL. */
async function serveInstead(
  answer: (path: string) => { readonly status?: number; readonly text: string },
): Promise<string> {
  const server = createServer((request, response) => {
    const { status = 200, text } = answer(new URL(request.url ?? "/", "http://x").pathname);
    response.writeHead(status).end(text);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const COMMANDS = [
  ["trace", "x"],
  ["dead-letters", "list", "e/d"],
  ["dead-letters", "show", "e/d"],
  ["dead-letters", "retry", "e/d"],
  ["dead-letters", "discard", "e/d", "--yes"],
  ["dead-letters", "reasons", "e/d"],
  ["replay", "list"],
  ["replay", "start", "e/d"],
  ["tail"],
  ["lanes"],
  ["lanes", "show", "e/d"],
  ["pause", "e/d"],
  ["reload"],
];

test("whatever a relay answers, what is printed is plain, and a line stays a line", async () => {
  const admin = await serveInstead((path) => {
    if (path === "/v1/tail")
      return {
        text: `data: ${JSON.stringify({ environment: EVIL, source: EVIL, position: 0, receivedAtMs: 0, event: EVENT })}\n\n`,
      };
    if (path === "/v1/dead-letters/e/d/export") return { text: `${JSON.stringify(DEAD_LETTER)}\n` };
    return { text: JSON.stringify(ANSWERS[path]) };
  });
  const ended = await Promise.all(COMMANDS.map((args) => runHere([...args, "--admin", admin])));
  for (const [index, { code, out, err }] of ended.entries()) {
    const name = COMMANDS[index]?.join(" ");
    expect({ name, code, err }).toEqual({ name, code: 0, err: "" });
    expect(out, name).not.toMatch(UNSAFE);
    expect(out, name).not.toMatch(/^forged/m);
    expect(out, name).toContain("\\u001b[2J");
  }
  // For programs it is the same value.
  for (const args of [
    ["trace", "x"],
    ["dead-letters", "list", "e/d"],
    ["replay", "list"],
  ]) {
    const { out } = await runHere([...args, "--json", "--admin", admin]);
    expect(out).not.toMatch(UNSAFE);
    expect(JSON.parse(out)).toEqual(ANSWERS[`/v1/${args.join("/").replace("/list", "").replace("replay", "replays")}`]);
  }
  const tailed = await runHere(["tail", "--json", "--admin", admin]);
  expect(JSON.parse(tailed.out)).toMatchObject({ event: EVENT });
  const exported = await runHere(["dead-letters", "export", "e/d", "--admin", admin]);
  expect(exported.out).not.toMatch(UNSAFE);
  expect(JSON.parse(exported.out)).toEqual(DEAD_LETTER);
});

test("whatever is wrong with a relay, status prints it plain, in a terminal too", async () => {
  const admin = await serveInstead(() => ({ text: JSON.stringify(OVERVIEW) }));
  for (const columns of [undefined, 80]) {
    const options = { env: { NO_COLOR: "1" }, ...(columns === undefined ? {} : { columns }) };
    const { code, out } = await startHere(["status", "--admin", admin], options).ended;
    expect(code).toBe(1);
    expect(out).not.toMatch(UNSAFE);
    expect(out).not.toMatch(/^forged/m);
    expect(out).toContain("\\u001b[2J");
  }
});

test("a refusal is printed in one plain line, whatever its text", async () => {
  const detail = JSON.stringify({ code: "x", detail: EVIL });
  const admin = await serveInstead(() => ({ status: 400, text: detail }));
  const { code, err } = await runHere(["replay", "list", "--admin", admin]);
  expect(code).toBe(1);
  expect(err).not.toMatch(UNSAFE);
  expect(err).not.toMatch(/^forged/m);
});

test.each([
  ["not JSON", "<html>"],
  ["nothing", ""],
  ["null", "null"],
  ["a number", "1"],
  ["a list of nothing", "[null]"],
  ["another program's JSON", '{"events":[{}],"deadLetters":[{}],"account":null}'],
])("a server that is not a relay (%s) is reported as such, without a stack", async (_name, text) => {
  const admin = await serveInstead((path) => ({ text: path === "/v1/tail" ? `data: ${text}\n\n` : text }));
  const ended = await Promise.all(COMMANDS.map((args) => runHere([...args, "--admin", admin])));
  for (const [index, { code, out, err }] of ended.entries()) {
    const name = COMMANDS[index]?.join(" ");
    expect(`${out}${err}`, name).not.toMatch(STACK);
    if (code === 0) continue;
    expect(err, name).toContain("does not answer as the admin API of a relay");
  }
  expect(ended.filter(({ code }) => code === 0).length).toBeLessThan(4);
});

test.each([
  ["an admin URL that is not one", ["trace", "x", "--admin", "nonsense"], "--admin is not an http or https URL"],
  ["an admin URL of a file", ["trace", "x", "--admin", "file:///etc"], "--admin is not an http or https URL"],
  ["a port that is not one", ["tail", "--admin", "http://127.0.0.1:99999"], "--admin is not an http or https URL"],
  ["nobody there", ["replay", "list", "--admin", "http://127.0.0.1:9"], "There is no relay at"],
  ["a token beyond ASCII", ["replay", "list", "--token", "schlüssel-schlüssel"], "The admin token has characters"],
  ["a token with a line break", ["replay", "list", "--token", "token-token\n"], "The admin token ends in a line break"],
  ["a write key beyond ASCII", ["send", "-", "--write-key", "schlüssel→"], "The write key has characters that are not"],
  ["a write key with a line break", ["send", "-", "--write-key", "key\n"], "The write key ends in a line break"],
  ["an empty write key", ["send", "-", "--write-key", ""], "The write key is empty"],
  [
    "a URL that is not one",
    ["send", "-", "--write-key", "k", "--url", "127.0.0.1:8080"],
    "--url is not an http or https URL",
  ],
  ["a directory to send", ["send", "/tmp", "--write-key", "k"], "Cannot read /tmp: it is a directory"],
  ["a file that is not there", ["send", "/nowhere", "--write-key", "k"], "Cannot read /nowhere: ENOENT"],
  ["a lane without a name", ["dead-letters", "list", "production/"], "does not name a destination"],
  ["a replay without a name", ["replay", "cancel", "x"], "does not name a replay"],
  ["a log that is a file", ["log", "verify", "/etc/passwd"], "There is no log in /etc/passwd"],
  ["a log that is not there", ["log", "dump", "/nowhere"], "There is no log in /nowhere"],
  ["a configuration that is a directory", ["config", "check", "/tmp"], "Cannot read /tmp"],
  ["a device", ["config", "check", "/dev/zero"], "has more than 1048576 bytes"],
  ["a device", ["relay", "--config", "/dev/zero"], "has more than 1048576 bytes"],
])("%s is reported without a stack", async (_name, args, expected) => {
  const { code, out, err } = await runHere(args);
  expect(code).toBeGreaterThan(0);
  expect(err).toContain(expected);
  expect(`${out}${err}`).not.toMatch(STACK);
  expect(err).not.toMatch(UNSAFE);
});

test("a configuration that is empty or not a text is reported as such", async () => {
  const directory = temporary();
  for (const [name, text, expected] of [
    ["empty.yaml", "", "environments: is required"],
    ["program.yaml", "\u007fELF\0\0", "is not a text file"],
    ["large.yaml", "a: 1\n".repeat(300_000), "has more than 1048576 bytes"],
  ] as const) {
    writeFileSync(join(directory, name), text);
    const { code, err } = await runHere(["config", "check", join(directory, name)]);
    expect([code, err.includes(expected), STACK.test(err)]).toEqual([78, true, false]);
  }
});

test("a port in use ends dev and relay at once, and leaves nothing behind", async () => {
  const taken = createNetServer();
  taken.listen(0, "127.0.0.1");
  await once(taken, "listening");
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  const temporaries = temporary();
  const dev = await run(["dev", "--port", String(port), "--admin-port", "0"], { TMPDIR: temporaries });
  const relay = await run(["relay"], {
    WAYBILL_LISTEN: `127.0.0.1:${port}`,
    WAYBILL_ADMIN_LISTEN: "127.0.0.1:0",
    WAYBILL_DATA_DIRECTORY: temporary(),
  });
  for (const { code, err } of [dev, relay]) {
    expect(code).toBe(1);
    expect(err).toContain("Cannot listen on");
    expect(err).not.toMatch(STACK);
  }
  expect(readdirSync(temporaries).filter((name) => name.startsWith("waybill-dev-"))).toEqual([]);
});

test("a reader that goes away ends a command quietly", async () => {
  const event = JSON.stringify({
    environment: "e",
    source: "s",
    position: 0,
    receivedAtMs: 0,
    event: { pad: "x".repeat(10_000) },
  });
  const admin = await serveInstead((path) => {
    if (path === "/v1/tail") return { text: `data: ${event}\n\n`.repeat(200) };
    if (path.endsWith("/export")) return { text: `${event}\n`.repeat(500) };
    return { text: JSON.stringify(new Array(2_000).fill((ANSWERS["/v1/replays"] as object[])[0])) };
  });
  for (const args of [["tail"], ["dead-letters", "export", "e/d"], ["replay", "list"]]) {
    const left = start([...args, "--admin", admin]);
    left.process.stdout?.destroy();
    expect(await left.ended, args.join(" ")).toMatchObject({ code: 0, err: "" });
  }
  const dev = start(["dev", "--port", "0", "--admin-port", "0"]);
  await dev.says(/accepted/);
  dev.process.stdout?.destroy();
  expect(await dev.ended).toMatchObject({ code: 0, err: "" });
});

test("a relay whose log lines nobody reads goes on", async () => {
  const relay = start(["relay"], {
    WAYBILL_LISTEN: "127.0.0.1:0",
    WAYBILL_ADMIN_LISTEN: "127.0.0.1:0",
    WAYBILL_DATA_DIRECTORY: temporary(),
    WAYBILL_LOG_LEVEL: "debug",
  });
  const [, intake = "", admin = ""] = await relay.says(/"intake":"([^"]+)","admin":"([^"]+)"/);
  relay.process.stdout?.destroy();
  const file = join(temporary(), "events.ndjson");
  writeFileSync(file, '{"type":"track","userId":"u","event":"E"}\n');
  // Each of them has log lines at this level.
  for (let index = 0; index < 5; index++)
    expect(await runHere(["send", file, "--url", intake, "--write-key", "dev"])).toMatchObject({ code: 0 });
  expect((await runHere(["replay", "list", "--admin", admin])).code).toBe(0);
  relay.process.kill("SIGTERM");
  expect((await relay.ended).code).toBe(0);
});

test("separators of Unicode within a text end no line of what is sent", async () => {
  const emulator = new SegmentEmulator({ clock: nodeClock });
  const server = await startServer(emulator.handle);
  onTestFinished(() => server.close());
  const line = `\uFEFF{"type":"track","userId":"u","event":"a\u2028b\u2029c\u0085d"}\r\n{"type":"page","userId":"u"}`;
  expect((await run(["send", "-", "--url", server.url, "--write-key", "k"], {}, line)).code).toBe(0);
  expect(emulator.events.map(({ event }) => event["event"])).toEqual(["a\u2028b\u2029c\u0085d", undefined]);
});

test("an event that was stored over several lines is dumped on one", async () => {
  const directory = join(temporary(), "data/production/log");
  mkdirSync(directory, { recursive: true });
  const log = await openLog({ directory }, { disk: nodeDisk, clock: nodeClock });
  const body = Buffer.from('{\r\n  "n": 12345678901234567890,\n  "at": "\u2028"\n}');
  await log.append({ source: "s", receivedAtMs: 1, metadata: "", body: [body], ends: Uint32Array.of(body.length) });
  await log.close();
  const { out } = await runHere(["log", "dump", directory, "--raw"]);
  expect(out).toBe('{    "n": 12345678901234567890,   "at": "\\u2028" }\n');
  expect((await runHere(["log", "dump", directory])).out.split("\n")).toHaveLength(2);
});

test("the account's table is plain, whatever a vendor answered", () => {
  const lane = {
    environment: "e",
    destination: "d",
    vendor: "segment",
    mode: "halted",
    reason: EVIL,
    account: ACCOUNT,
  } as never;
  const table = accountTable({ lanes: [lane], sources: [], replays: [], atMs: 0, startedAtMs: 0, version: "" });
  expect(table.join("\n")).not.toMatch(UNSAFE);
  expect(table).toHaveLength(2);
});

test("lines come whole from any chunks; one without end is refused", async () => {
  async function* chunks(parts: readonly Buffer[]): AsyncGenerator<Buffer> {
    for (const part of parts) yield await Promise.resolve(part);
  }
  const text = Buffer.from("ä\nb\r\n\nc\u2028d");
  for (let size = 1; size <= text.length; size++) {
    const parts = Array.from({ length: Math.ceil(text.length / size) }, (_, at) =>
      text.subarray(at * size, (at + 1) * size),
    );
    const lines: string[] = [];
    for await (const line of linesOf(chunks(parts))) lines.push(line);
    expect(lines).toEqual(["ä", "b", "", "c\u2028d"]);
  }
  const endless = linesOf(chunks(new Array(80).fill(Buffer.alloc(1024 * 1024, "x")) as Buffer[]));
  await expect(endless.next()).rejects.toMatchObject({ code: "WAYBILL_INPUT" });
});

test("commands print through io.ts and line-writer.ts alone", () => {
  const sources = fileURLToPath(new URL("../src", import.meta.url));
  const files = readdirSync(sources, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
  expect(files.length).toBeGreaterThan(15);
  const printing = files.filter((file) =>
    /\b(?:out|err|stdout|stderr)\.write\(|console\./.test(readFileSync(join(sources, file), "utf8")),
  );
  // index.ts hands commander's own texts on.
  expect(printing.sort()).toEqual(["index.ts", "io.ts", "line-writer.ts"]);
});
