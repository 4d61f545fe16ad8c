import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Accounts } from "@waybill/relay";
import { owned } from "./child.ts";

export interface RelayProcessOptions {
  /** Data and configuration go here. */
  readonly directory: string;
  readonly destinations: Readonly<Record<string, string>>;
  /** Whose API the destinations speak. Default: Segment's. */
  readonly vendor?: string;
  /** Whose clients send to the source `load`, with the key `bench`. Default: Segment's. */
  readonly protocol?: string;
  /** Options of each destination in the place of its address and key, from its address. */
  readonly destination?: (url: string) => Readonly<Record<string, unknown>>;
  readonly extra?: Readonly<Record<string, unknown>>;
  /**
   * The process's own place for temporary files. Its complaints are not shown then: it is one of
   * several that are started together.
   */
  readonly temporary?: string;
  /** The checkout whose relay it is, which must be built. Default: this one. */
  readonly checkout?: string | undefined;
  /** Modules that the process loads before the relay. */
  readonly imports?: readonly string[];
  /** Called with the id of the process before it does anything. */
  readonly spawned?: (pid: number) => void;
}

/** The real relay, as a user starts it. */
export class RelayProcess {
  readonly process: ChildProcess;
  readonly port: number;
  readonly adminUrl: string;
  /** From spawn to the first `200` of /ready. */
  readonly startMs: number;

  private constructor(process: ChildProcess, port: number, adminUrl: string, startMs: number) {
    this.process = process;
    this.port = port;
    this.adminUrl = adminUrl;
    this.startMs = startMs;
  }

  static async start(options: RelayProcessOptions): Promise<RelayProcess> {
    const startedAt = performance.now();
    const file = `${options.directory}/waybill.yaml`;
    writeFileSync(file, JSON.stringify(configOf(options), undefined, 2));
    const { temporary, checkout = fileURLToPath(new URL("../../..", import.meta.url)), imports = [] } = options;
    const main = join(checkout, "packages/cli/dist/main.js");
    const before = imports.flatMap((module) => ["--import", module]);
    const child = owned(
      spawn(process.execPath, [...before, main, "relay", "--config", file], {
        stdio: ["ignore", "pipe", temporary === undefined ? "inherit" : "ignore"],
        env: temporary === undefined ? process.env : { ...process.env, TMPDIR: temporary },
      }),
    );
    if (child.pid !== undefined) options.spawned?.(child.pid);
    const { intake, admin } = await startLine(child);
    while ((await fetch(`${admin}/ready`)).status !== 200) await new Promise((resolve) => setTimeout(resolve, 5));
    return new RelayProcess(child, Number(new URL(intake).port), admin, performance.now() - startedAt);
  }

  async accounts(): Promise<Accounts> {
    return (await (await fetch(`${this.adminUrl}/v1/accounts`)).json()) as Accounts;
  }

  async steer(destination: string, action: "pause" | "resume"): Promise<void> {
    const response = await fetch(`${this.adminUrl}/v1/lanes/bench/${destination}/${action}`, { method: "POST" });
    if (response.status !== 204) throw new Error(`${action} answered ${response.status}`);
  }

  /** Resolves once no lane has anything pending; to whether every ledger balances. */
  async drained(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const { lanes } = await this.accounts();
      if (lanes.every(({ account }) => account.pending === 0)) return lanes.every(({ account }) => account.balanced);
      if (performance.now() > deadline) return false;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<number | null> {
    const exited = once(this.process, "exit");
    this.process.kill(signal);
    const [code] = (await exited) as [number | null];
    return code;
  }
}

/** The port comes from the start-up line: the configuration asks for any free one. */
async function startLine(child: ChildProcess): Promise<{ readonly intake: string; readonly admin: string }> {
  if (child.stdout === null) throw new Error("the relay has no output");
  const lines = createInterface({ input: child.stdout });
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the relay ended with ${code} at its start`)));
    lines.on("line", (line) => {
      const { intake, admin } = JSON.parse(line) as { readonly intake?: string; readonly admin?: string };
      if (intake !== undefined && admin !== undefined) resolve({ intake, admin });
    });
  });
}

function configOf({
  directory,
  destinations,
  vendor = "segment",
  protocol = "segment",
  destination = (url) => ({ url, writeKey: "bench" }),
  extra,
}: RelayProcessOptions): object {
  return {
    listen: "127.0.0.1:0",
    dataDirectory: `${directory}/data`,
    admin: { listen: "127.0.0.1:0" },
    log: { level: "info" },
    network: { allowPrivateAddresses: true },
    environments: {
      bench: {
        sources: {
          load: { protocol, writeKeys: ["bench"] },
          flags: { protocol: "launchdarkly", writeKeys: ["bench-sdk"] },
        },
        destinations: Object.fromEntries(
          Object.entries(destinations).map(([name, url]) => [name, { vendor, ...destination(url) }]),
        ),
      },
    },
    ...extra,
  };
}
