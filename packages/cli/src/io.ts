import { messageOf, printable, WaybillError } from "@waybill/core";
import type { Painted } from "./terminal/terminal.ts";

/** Where a command writes, and how it learns that it should end; replaced by tests. */
export interface Io {
  readonly out: NodeJS.WriteStream;
  readonly err: NodeJS.WriteStream;
  /** Where a person answers. Absent: nobody can be asked. */
  readonly in?: NodeJS.ReadStream;
  readonly env: Record<string, string | undefined>;
  /** What runs this command again in a shell, in any directory. */
  readonly self: string;
  /** Calls `run` on SIGINT and SIGTERM. */
  onStop(run: () => void): void;
  /** Calls `run` on SIGHUP. */
  onReload(run: () => void): void;
  /** Calls `run` when nobody reads the output any more, as with `| head`. */
  onGone(run: () => void): void;
}

/** Exit codes, as sysexits.h has them where it has them. */
export const EXIT = { ok: 0, failed: 1, usage: 2, config: 78 } as const;

export interface ProcessIo extends Io {
  /** Why the output could not be written; `undefined` when it could, or its reader went away. */
  failure(): Error | undefined;
}

export function createProcessIo(): ProcessIo {
  const gone = new Set<() => void>();
  let failure: Error | undefined;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") failure ??= error;
    for (const run of gone) run();
  });
  process.stderr.on("error", () => undefined);
  return {
    out: process.stdout,
    err: process.stderr,
    // Read only when somebody is to answer.
    get in() {
      return process.stdin;
    },
    env: process.env,
    self: selfOf(process.execPath, process.argv[1] ?? ""),
    onStop(run) {
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, run);
    },
    onReload(run) {
      process.on("SIGHUP", run);
    },
    onGone: (run) => void gone.add(run),
    failure: () => failure,
  };
}

/** A link of a package manager's runs by itself; the file it leads to by Node. */
function selfOf(node: string, script: string): string {
  return (script.endsWith("/waybill") ? [script] : [node, script]).map(quotedForShell).join(" ");
}

function quotedForShell(word: string): string {
  return /^[\w./:@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * One line for a person. Parts of it come from events, vendors and relays: nothing in it steers the
 * terminal or begins another line.
 */
export function say({ out }: Pick<Io, "out">, line: string): void {
  out.write(`${printable(line)}\n`);
}

/** Lines that a terminal's `paint` has made safe, with our own colours in them. */
export function show({ out }: Pick<Io, "out">, lines: readonly Painted[]): void {
  for (const line of lines) out.write(`${line}\n`);
}

/** As {@link say}, on standard error. */
export function complain({ err }: Pick<Io, "err">, line: string): void {
  err.write(`${printable(line)}\n`);
}

/**
 * One line for a program. What `printable` escapes occurs in texts alone, where JSON has the same
 * escapes: the value is the same.
 */
export function sayJson(io: Pick<Io, "out">, value: unknown): void {
  say(io, JSON.stringify(value));
}

/**
 * Says what went wrong and what to do; a stack only for a defect of ours. Returns the exit code.
 */
export function report(error: unknown, io: Pick<Io, "err">): number {
  if (!(error instanceof WaybillError)) {
    const lines =
      isSystemError(error) || !(error instanceof Error)
        ? [`waybill: ${messageOf(error)}`]
        : `waybill: ${error.stack ?? error.message}`.split("\n");
    for (const line of lines) complain(io, line);
    return EXIT.failed;
  }
  const isConfig = error.code === "WAYBILL_CONFIG";
  const text = isConfig ? error.message : `waybill: ${error.message}`;
  // A line for each fault of a configuration or of topics; of anything else one.
  const lines = isConfig || error.code === "WAYBILL_LOG_TOPIC" ? text.split("\n") : [text];
  for (const line of lines) complain(io, line);
  if (error.hint !== undefined) complain(io, `  ${error.hint}`);
  return isConfig ? EXIT.config : EXIT.failed;
}

/** A refusal of the operating system: a file that is missing, a port in use. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === "string";
}
