/** Runs the command as a user does: a process of its own, from what was built. */
import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { type Io, run as runCommand } from "../../src/index.ts";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Ends when the output so far matches; to the match. */
  says(pattern: RegExp): Promise<RegExpMatchArray>;
}

export function start(args: readonly string[], env: Record<string, string> = {}, input?: string): Running {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => {
    out += String(chunk);
  });
  child.stderr.on("data", (chunk: Buffer) => {
    err += String(chunk);
  });
  child.stdin.end(input);
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, out, err }));
  return {
    process: child,
    ended,
    async says(pattern) {
      for (;;) {
        const match = pattern.exec(out);
        if (match !== null) return match;
        if (child.exitCode !== null) throw new Error(`it ended without saying ${pattern}: ${out}${err}`);
        await Promise.race([once(child.stdout, "data"), ended]);
      }
    },
  };
}

export const run = (args: readonly string[], env?: Record<string, string>, input?: string): Promise<Ended> =>
  start(args, env, input).ended;

/** The same within this process, for commands that end by themselves: much faster. */
export const runHere = (
  args: readonly string[],
  env: Record<string, string> = {},
  terminal?: TerminalOptions,
): Promise<Ended> =>
  startHere(args, {
    env,
    ...(terminal === undefined ? {} : { columns: TERMINAL_COLUMNS, types: terminal.types ?? "" }),
  }).ended;

const TERMINAL_COLUMNS = 120;

export interface Here {
  readonly ended: Promise<Ended>;
  /** What it wrote until now. */
  out(): string;
  /** Ends when the output so far matches; to the match. */
  says(pattern: RegExp): Promise<RegExpMatchArray>;
  /** As Ctrl-C does. */
  stop(): void;
}

interface HereOptions {
  readonly env?: Record<string, string>;
  /** A terminal of this width; a pipe without. */
  readonly columns?: number;
  readonly rows?: number;
  /** What a person types there. */
  readonly types?: string;
}

/** Within this process, for a command that goes on until it is stopped. */
export function startHere(args: readonly string[], { env = {}, columns, rows, types }: HereOptions = {}): Here {
  const collected = { out: "", err: "" };
  const stops: (() => void)[] = [];
  const written = new EventEmitter();
  const sink = (name: "out" | "err"): NodeJS.WriteStream => {
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        collected[name] += String(chunk);
        written.emit("more");
        done();
      },
    });
    return Object.assign(stream, columns === undefined ? {} : { isTTY: true, columns, rows }) as NodeJS.WriteStream;
  };
  const input = types === undefined ? {} : { in: typed(types) };
  const ignore = (): void => undefined;
  const io: Io = {
    out: sink("out"),
    err: sink("err"),
    ...input,
    env,
    self: "waybill",
    onStop: (stop) => void stops.push(stop),
    onReload: ignore,
    onGone: ignore,
  };
  let isOver = false;
  const ended = runCommand(["node", "waybill", ...args], io).then((code) => {
    isOver = true;
    written.emit("more");
    return { code, ...collected };
  });
  return {
    ended,
    out: () => collected.out,
    async says(pattern) {
      for (;;) {
        const match = pattern.exec(collected.out);
        if (match !== null) return match;
        if (isOver) throw new Error(`it ended without saying ${pattern}: ${collected.out}${collected.err}`);
        await once(written, "more");
      }
    },
    stop: () => {
      for (const stop of stops) stop();
    },
  };
}

/** A terminal at which a person sits. */
export interface TerminalOptions {
  /** What that person types; then the input ends. */
  readonly types?: string;
}

function typed(text: string): NodeJS.ReadStream {
  const input = Readable.from([Buffer.from(text)]);
  return Object.assign(input, { isTTY: true, setRawMode: () => input }) as unknown as NodeJS.ReadStream;
}

export function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "waybill-cli-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
