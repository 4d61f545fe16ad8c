/** The waybill command as a process that ends. */
import { spawn } from "node:child_process";
import { Broken } from "./check.ts";
import { cleanEnv, WAYBILL } from "./relay.ts";

export interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

const COMMAND_MAX_MS = 30_000;

/** **Errors**: `Broken` when it does not end. */
export function waybill(
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly forMs?: number } = {},
): Promise<Said> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [WAYBILL, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...cleanEnv(), ...options.env },
    });
    let out = "";
    let err = "";
    child.stdout.on("data", (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      err += chunk.toString();
    });
    // A command that follows something ends when it is interrupted.
    const interrupt = options.forMs === undefined ? undefined : setTimeout(() => child.kill("SIGINT"), options.forMs);
    const late = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Broken(`waybill ${args.join(" ")} did not end`));
    }, COMMAND_MAX_MS);
    child.on("close", (code) => {
      clearTimeout(late);
      clearTimeout(interrupt);
      resolve({ code, out, err });
    });
  });
}
