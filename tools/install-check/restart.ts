/** A relay that is restarted while clients send: how long it is away, what is lost. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "@waybill/testing";
import { type LoadReport, startLoad } from "./load.ts";

export interface RestartOptions {
  /** An empty folder. */
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** The program and its arguments before `relay`. */
  readonly command: readonly string[];
  readonly vendorUrl: string;
  /** Of the events that the vendor has so far. */
  readonly deliveredIds: () => readonly unknown[];
  readonly restarts: number;
  /** Whether the service manager listens, and passes its socket. */
  readonly socket: boolean;
}

export interface Restarted extends Omit<LoadReport, "accepted"> {
  /** From SIGTERM until the next process's `/ready` answers 200, of each restart. */
  readonly gapsMs: readonly number[];
  readonly accepted: number;
  /** Accepted, and not delivered. */
  readonly lost: number;
  /** Delivered more than once. */
  readonly doubled: number;
}

const KEY = "dev";
const START_MAX_MS = 60_000;
const DELIVER_MAX_MS = 60_000;
const POLL_MS = 2;
/** Under load between two restarts. */
const RUN_MS = 400;
const MANAGER = fileURLToPath(new URL("./service-manager.mjs", import.meta.url));

export async function restartUnderLoad(options: RestartOptions): Promise<Restarted> {
  const { socket, restarts, deliveredIds } = options;
  // Without a socket that was given a restart takes the same port again.
  const port = socket ? 0 : await freePort();
  const relay = await ManagedRelay.start(options, port);
  try {
    const load = startLoad(() => relay.port, KEY);
    const gapsMs: number[] = [];
    for (let restart = 0; restart < restarts; restart++) {
      await sleep(RUN_MS);
      gapsMs.push(await relay.restart());
    }
    await sleep(RUN_MS);
    const { accepted, ...rest } = await load.stop();
    const lost = await lostOf(accepted, deliveredIds);
    const delivered = deliveredIds();
    return { ...rest, gapsMs, accepted: accepted.size, lost, doubled: delivered.length - new Set(delivered).size };
  } finally {
    await relay.end();
  }
}

async function lostOf(accepted: ReadonlySet<string>, deliveredIds: () => readonly unknown[]): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    const delivered = new Set(deliveredIds());
    const lost = [...accepted].filter((id) => !delivered.has(id)).length;
    if (lost === 0 || performance.now() - startedAt > DELIVER_MAX_MS) return lost;
    await sleep(POLL_MS);
  }
}

/** What the manager and the relay print that is of use here. */
interface Line {
  readonly ports?: readonly number[];
  readonly pid?: number;
  readonly intake?: string;
  readonly admin?: string;
}

class ManagedRelay {
  readonly #manager: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #pid = 0;
  port = 0;

  private constructor(manager: ChildProcess) {
    this.#manager = manager;
    const stdout = manager.stdout as NodeJS.ReadableStream;
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  static async start({ folder, env, command, vendorUrl, socket }: RestartOptions, port: number): Promise<ManagedRelay> {
    mkdirSync(folder, { recursive: true });
    const config = join(folder, "waybill.yaml");
    writeFileSync(config, configOf(port, vendorUrl));
    const named = socket ? "intake" : "";
    const args = [MANAGER, named, ...command, "relay", "--config", config];
    const stdio = ["ignore", "pipe", "inherit"] as const;
    const relay = new ManagedRelay(spawn(process.execPath, args, { cwd: folder, env, stdio: [...stdio] }));
    const { ports = [] } = await relay.#line((line) => line.ports !== undefined);
    await relay.#ready();
    if (socket && relay.port !== ports[0]) throw new Error("the relay does not use the socket that it was given");
    return relay;
  }

  /** Returns how long it was away. */
  async restart(): Promise<number> {
    const startedAt = performance.now();
    process.kill(this.#pid, "SIGTERM");
    await this.#ready();
    return performance.now() - startedAt;
  }

  async end(): Promise<void> {
    // Or it would start another relay.
    this.#manager.kill("SIGKILL");
    process.kill(this.#pid, "SIGTERM");
    while ((await this.#lines.next()).done !== true);
  }

  async #ready(): Promise<void> {
    const startedAt = performance.now();
    const { pid } = await this.#line((line) => line.pid !== undefined);
    this.#pid = pid as number;
    const { intake = "", admin = "" } = await this.#line((line) => line.intake !== undefined);
    this.port = Number(new URL(intake).port);
    while ((await fetch(`${admin}/ready`)).status !== 200) {
      if (performance.now() - startedAt > START_MAX_MS) throw new Error("the relay does not become ready");
      await sleep(POLL_MS);
    }
  }

  async #line(isWanted: (line: Line) => boolean): Promise<Line> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error("the relay ended before it was ready");
      const line = JSON.parse(value) as Line;
      if (isWanted(line)) return line;
    }
  }
}

function configOf(port: number, vendorUrl: string): string {
  return `listen: 127.0.0.1:${port}
admin: { listen: 127.0.0.1:0 }
dataDirectory: ./data
shutdown: { deadline: 60s }
network: { allowPrivateAddresses: true }
environments:
  production:
    sources: { app: { protocol: segment, writeKeys: [${KEY}] } }
    destinations: { segment: { vendor: segment, url: "${vendorUrl}", writeKey: dev } }
`;
}
