/** Runs the command as a user does: a process of its own, from what was built. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

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
  return {
    process: child,
    ended: once(child, "close").then(([code]) => ({ code: code as number | null, out, err })),
    async says(pattern) {
      for (;;) {
        const match = pattern.exec(out);
        if (match !== null) return match;
        if (child.exitCode !== null) throw new Error(`it ended without saying ${pattern}: ${out}${err}`);
        await Promise.race([once(child.stdout, "data"), once(child, "close")]);
      }
    },
  };
}

export const run = (args: readonly string[], env?: Record<string, string>, input?: string): Promise<Ended> =>
  start(args, env, input).ended;

export function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "waybill-cli-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
