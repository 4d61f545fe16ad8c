import { messageOf, WaybillError } from "@waybill/core";

/** Where a command writes, and how it learns that it should end; replaced by tests. */
export interface Io {
  readonly out: NodeJS.WriteStream;
  readonly err: NodeJS.WriteStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Calls `run` on SIGINT and SIGTERM. */
  onStop(run: () => void): void;
  /** Calls `run` on SIGHUP. */
  onReload(run: () => void): void;
}

/** Exit codes, as sysexits.h has them where it has them. */
export const EXIT = { ok: 0, failed: 1, usage: 2, config: 78 } as const;

export const processIo: Io = {
  out: process.stdout,
  err: process.stderr,
  env: process.env,
  onStop(run) {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, run);
  },
  onReload(run) {
    process.on("SIGHUP", run);
  },
};

/** Says what went wrong and what to do; a stack only for a defect of ours. Returns the exit code. */
export function report(error: unknown, io: Io): number {
  if (!(error instanceof WaybillError)) {
    io.err.write(`waybill: ${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}\n`);
    return EXIT.failed;
  }
  io.err.write(error.code === "WAYBILL_CONFIG" ? `${error.message}\n` : `waybill: ${error.message}\n`);
  if (error.hint !== undefined) io.err.write(`  ${error.hint}\n`);
  return error.code === "WAYBILL_CONFIG" ? EXIT.config : EXIT.failed;
}
