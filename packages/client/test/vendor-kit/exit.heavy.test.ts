/**
 * What of a client's queue leaves the process, by how the process ends. Real processes of the built
 * package.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { nodeClock } from "@waybill/node";
import { emulators, SegmentEmulator, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  /** What the program wrote, errors too. */
  readonly output: string;
}

interface Program {
  readonly code: string;
  /** Sent each time the program writes `ready`. */
  readonly signal?: NodeJS.Signals;
  /** Once it holds the program is sent SIGUSR2. */
  readonly isOver?: () => boolean;
}

/** Runs a program to its end. */
async function run({ code, signal, isOver }: Program): Promise<Ended> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
    cwd: new URL(".", import.meta.url),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += String(chunk);
    if (signal !== undefined && String(chunk).includes("ready")) child.kill(signal);
  });
  child.stderr.on("data", (chunk: Buffer) => {
    output += String(chunk);
  });
  const closed = once(child, "close");
  if (isOver !== undefined) {
    while (child.exitCode === null && !isOver()) await sleep(10);
    child.kill("SIGUSR2");
  }
  const [exitCode, exitSignal] = (await closed) as [number | null, string | null];
  return { code: exitCode, signal: exitSignal, output };
}

async function letterWorld(): Promise<{
  readonly emulator: emulators.LetterEmulator;
  /** A program with two events in its queue. `then` is its end. */
  readonly program: (then: string, options?: string) => string;
}> {
  const emulator = new emulators.LetterEmulator({ clock: nodeClock });
  const server = await startServer(emulator.handle);
  onTestFinished(() => server.close());
  const url = JSON.stringify(server.url);
  const program = (then: string, options = ""): string => `
    import { LetterClient } from "waybill/letter";
    const alive = () => setInterval(() => {}, 1000);
    const onError = ({ code, events, message }) => console.log(JSON.stringify({ code, events, message }));
    const letter = new LetterClient({ apiKey: "lt_live_1", baseUrl: ${url}, flushIntervalMs: 0, onError, ${options} });
    letter.track({ userId: "u", event: "A" });
    letter.track({ userId: "u", event: "B" });
    ${then}`;
  return { emulator, program };
}

const READY = 'alive(); console.log("ready");';
const left = (reason: string): string =>
  `${JSON.stringify({ code: "exit", events: 2, message: `2 events were not sent or not answered: ${reason}` })}\n`;

test("normal end: everything is sent", async () => {
  const { emulator, program } = await letterWorld();
  expect(await run({ code: program("") })).toEqual({ code: 0, signal: null, output: "" });
  expect(emulator.events).toHaveLength(2);
});

test("normal end with registerAtExit false: nothing is sent, nothing is printed", async () => {
  const { emulator, program } = await letterWorld();
  expect(await run({ code: program("", "registerAtExit: false") })).toEqual({ code: 0, signal: null, output: "" });
  expect(emulator.requests).toBe(0);
});

test("process.exit(): nothing can be sent, and onError receives the number of events left", async () => {
  const { emulator, program } = await letterWorld();
  expect(await run({ code: program("process.exit(3);") })).toEqual({
    code: 3,
    signal: null,
    output: left("the process ended with exit code 3"),
  });
  expect(emulator.requests).toBe(0);
});

test("process.exit() after close: nothing is left, nothing is printed", async () => {
  const { emulator, program } = await letterWorld();
  expect(await run({ code: program("await letter.close(); process.exit(0);") })).toEqual({
    code: 0,
    signal: null,
    output: "",
  });
  expect(emulator.events).toHaveLength(2);
});

test("an uncaught exception: nothing can be sent, and onError receives the number of events left", async () => {
  const { emulator, program } = await letterWorld();
  const { code, output } = await run({ code: program('setTimeout(() => { throw new Error("thrown"); });') });
  expect(code).toBe(1);
  expect(output).toContain("Error: thrown");
  expect(output).toContain(left("the process ended with exit code 1"));
  expect(emulator.requests).toBe(0);
});

test.each(["SIGTERM", "SIGINT"] as const)(
  "a signal that nobody else listens to: everything is sent, then the process ends by it (%s)",
  async (signal) => {
    const { emulator, program } = await letterWorld();
    expect(await run({ code: program(READY), signal })).toEqual({ code: null, signal, output: "ready\n" });
    expect(emulator.events).toHaveLength(2);
  },
);

test("SIGTERM with exitSignals: everything is sent; a signal that is not among them is not", async () => {
  const { emulator, program } = await letterWorld();
  const code = program(READY, 'exitSignals: ["SIGTERM"]');
  expect(await run({ code, signal: "SIGINT" })).toEqual({ code: null, signal: "SIGINT", output: "ready\n" });
  expect(emulator.requests).toBe(0);
  expect(await run({ code, signal: "SIGTERM" })).toEqual({ code: null, signal: "SIGTERM", output: "ready\n" });
  expect(emulator.events).toHaveLength(2);
});

const HANDLER = `process.on("SIGTERM", () => { console.log("theirs"); setTimeout(() => process.exit(7), 1_000); }); ${READY}`;

test("SIGTERM with a handler of the application's: the end is its own, and what is left is reported", async () => {
  const { emulator, program } = await letterWorld();
  expect(await run({ code: program(HANDLER), signal: "SIGTERM" })).toEqual({
    code: 7,
    signal: null,
    output: `ready\ntheirs\n${left("the process ended with exit code 7")}`,
  });
  expect(emulator.requests).toBe(0);
});

test("SIGTERM with a handler of the application's and exitSignals: everything is sent, and the end is its own", async () => {
  const { emulator, program } = await letterWorld();
  // The vendor has everything by then, and the client soon its answer.
  const end = 'process.on("SIGUSR2", () => letter.close().then(() => process.exit(7)));';
  const handler = `process.on("SIGTERM", () => console.log("theirs")); ${end} ${READY}`;
  const code = program(handler, 'exitSignals: ["SIGTERM"]');
  expect(await run({ code, signal: "SIGTERM", isOver: () => emulator.events.length === 2 })).toEqual({
    code: 7,
    signal: null,
    output: "ready\ntheirs\n",
  });
  expect(emulator.events).toHaveLength(2);
});

test("SIGTERM while the vendor does not answer: the process ends by close's deadline, and what is left is reported", async () => {
  const { emulator, program } = await letterWorld();
  emulator.fail({ kind: "hang" });
  const { signal, output } = await run({
    code: program(READY, "readTimeoutMs: 50, maxRetries: 0"),
    signal: "SIGTERM",
  });
  expect(signal).toBe("SIGTERM");
  expect(output).toContain('"events":2,"message":');
});

test("a second signal ends the process at once, and what is left is reported", async () => {
  const { emulator, program } = await letterWorld();
  emulator.fail({ kind: "hang" });
  const kill = 'process.kill(process.pid, "SIGTERM")';
  expect(await run({ code: program(`alive(); ${kill}; setTimeout(() => ${kill}, 200);`) })).toEqual({
    code: null,
    signal: "SIGTERM",
    output: left("the process ended by SIGTERM"),
  });
});

test("GetFluxly: the normal end and SIGTERM send everything, process.exit() says on the console what is left", async () => {
  const emulator = new emulators.GetFluxlyEmulator({ clock: nodeClock });
  const server = await startServer(emulator.handle);
  onTestFinished(() => server.close());
  const program = (then: string): string => `
    import { GetFluxlyClient } from "waybill/getfluxly";
    const alive = () => setInterval(() => {}, 1000);
    const fluxly = new GetFluxlyClient({ token: "gflux_secret_1", apiHost: ${JSON.stringify(server.url)} });
    fluxly.track({ event: "a", userId: "u" });
    ${then}`;
  expect(await run({ code: program("") })).toEqual({ code: 0, signal: null, output: "" });
  expect(emulator.events).toHaveLength(1);
  expect(await run({ code: program(READY), signal: "SIGTERM" })).toMatchObject({ signal: "SIGTERM" });
  expect(emulator.events).toHaveLength(2);
  expect(await run({ code: program("process.exit(3);") })).toEqual({
    code: 3,
    signal: null,
    output: "[getfluxly] 1 event was not sent or not answered: the process ended with exit code 3\n",
  });
  emulator.fail({ kind: "status", status: 401 });
  // An error at exit is swallowed: the process ends as it would have.
  expect(await run({ code: program("") })).toEqual({ code: 0, signal: null, output: "" });
  expect(emulator.events).toHaveLength(2);
});

test("Valued: the normal end and SIGTERM send everything, process.exit() reports each event that is left", async () => {
  const emulator = new emulators.ValuedEmulator({ clock: nodeClock });
  const server = await startServer(emulator.handle);
  onTestFinished(() => server.close());
  const program = (then: string): string => `
    import { ValuedClient } from "waybill/valued";
    const alive = () => setInterval(() => {}, 1000);
    const onError = ({ code, reason, message }, { key }) => console.log(key, code, reason, message);
    const valued = new ValuedClient("token", ${JSON.stringify(`${server.url}/events`)}, { onError });
    for (let index = 0; index < 30; index++) valued.action("a" + index, { "user.id": 1 });
    ${then}`;
  expect(await run({ code: program("") })).toEqual({ code: 0, signal: null, output: "" });
  expect(emulator.events).toHaveLength(30);
  expect(await run({ code: program(READY), signal: "SIGTERM" })).toEqual({
    code: null,
    signal: "SIGTERM",
    output: "ready\n",
  });
  expect(emulator.events).toHaveLength(60);
  const { code, output } = await run({ code: program("process.exit(3);") });
  const lines = Array.from(
    { length: 30 },
    (_, index) =>
      `a${index} WAYBILL_TRANSPORT exit 1 event was not sent or not answered: the process ended with exit code 3\n`,
  );
  expect([code, output]).toEqual([3, lines.join("")]);
  expect(emulator.events).toHaveLength(60);
});

test.each([
  ["process.exit(3);", undefined],
  ["setInterval(() => {}, 1000);", "SIGTERM"],
] as const)("createClient with a spool keeps events on disk for the next process (%s)", async (then, signal) => {
  const directory = mkdtempSync(join(tmpdir(), "waybill-exit-"));
  const emulator = new SegmentEmulator({ clock: nodeClock });
  const server = await startServer(emulator.handle);
  onTestFinished(async () => {
    await server.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const relay = `{ url: ${JSON.stringify(server.url)}, writeKey: "k" }`;
  const start = `import { createClient } from "waybill"; import { spool } from "waybill/spool";
    const client = createClient({ relay: ${relay}, spool: spool({ directory: ${JSON.stringify(directory)} }), flushIntervalMs: 60_000 });`;
  const keep = `${start} import { existsSync, readdirSync, readFileSync } from "node:fs"; import { join } from "node:path";
    client.track({ userId: "u", event: "E" });
    const log = ${JSON.stringify(join(directory, "log"))};
    const isStored = () => existsSync(log) && readdirSync(log).some((name) => readFileSync(join(log, name)).includes('"event":"E"'));
    const look = setInterval(() => { if (isStored()) { clearInterval(look); console.log("ready"); ${then} } }, 5);`;
  await run({ code: keep, ...(signal === undefined ? {} : { signal }) });
  expect(emulator.received).toBe(0);
  await run({ code: `${start} await client.flush(); await client.close();` });
  expect(emulator.received).toBe(1);
});
