/** Runs the command as a user does: a process of its own, from what was built. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
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
export async function runHere(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const collected = { out: "", err: "" };
  const sink = (name: "out" | "err"): NodeJS.WriteStream =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        collected[name] += String(chunk);
        done();
      },
    }) as NodeJS.WriteStream;
  const ignore = (): void => undefined;
  const io: Io = {
    out: sink("out"),
    err: sink("err"),
    env,
    self: "waybill",
    onStop: ignore,
    onReload: ignore,
    onGone: ignore,
  };
  const code = await runCommand(["node", "waybill", ...args], io);
  return { code, ...collected };
}

export function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "waybill-cli-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
