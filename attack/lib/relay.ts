/** A relay as an operator starts it, in a process of its own, watched from outside. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Accounts } from "@waybill/relay";
import { Broken, check, cut, until, within } from "./check.ts";
import { type Answer, type Ask, ask } from "./http.ts";

/** The built command, seen from this file and from what it is compiled to. */
export const WAYBILL: string =
  ["../../packages", "../../../packages"]
    .map((packages) => fileURLToPath(new URL(`${packages}/cli/dist/main.js`, import.meta.url)))
    .find((path) => existsSync(path)) ?? "";

export interface RelayOptions {
  /** The configuration file is written here. */
  readonly directory: string;
  /** Written as JSON, which is YAML too; a text as it is. */
  readonly config: object | string;
  readonly env?: Readonly<Record<string, string>>;
  /** Run before the relay by the shell, such as `umask 000`. */
  readonly shell?: string;
  /** The admin token, where it has one: for what is looked at beside an attack. */
  readonly token?: string;
}

/** A time in which the event loop did not come round. */
export interface Block {
  readonly ms: number;
  /**
   * How long the relay waited for a processor in the second around it: a busy machine stops any
   * process for a while.
   */
  readonly waitedMs: number;
}

const NO_BLOCK: Block = { ms: 0, waitedMs: 0 };
const NS_PER_MS = 1e6;

export interface Refused {
  readonly code: number | null;
  /** Standard output and error. */
  readonly text: string;
}

const START_MAX_MS = 30_000;
/** After SIGTERM, with nothing in flight. */
const STOP_MAX_MS = 10_000;
const SCRAPE_EVERY_MS = 1_000;
const SCRAPE_MAX_MS = 20_000;
/**
 * What `monitorEventLoopDelay` measures contains its own interval; the default metrics do not take
 * it off.
 */
const LAG_RESOLUTION_MS = 10;
/** Of a stack: `TypeError: …`, `AssertionError [ERR_ASSERTION]: …`. */
const ERROR_LINE = /^\w*Error\b/;
const KEPT_LINES = 20_000;
const KEPT_ERROR_CHARACTERS = 100_000;

/** Ended with this process, however that ends. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

interface Launched {
  readonly configFile: string;
  readonly token: string | undefined;
}

export class Relay {
  readonly #child: ChildProcess;
  /** For looks at the admin API. */
  readonly #credential: Readonly<Record<string, string>>;
  readonly configFile: string;
  readonly port: number;
  /** Whether {@link port} speaks TLS. The admin port does not. */
  readonly isSecure: boolean;
  readonly adminPort: number;
  /** Lines of its log, the newest ones. */
  readonly lines: string[];
  readonly ended: Promise<number | null>;
  #errors = "";
  #isStopping = false;
  #isEnded = false;
  #blocked: Block = NO_BLOCK;
  #lap: Block = NO_BLOCK;
  #waitedBeforeMs = 0;
  #peakRssMb = 0;
  #watching: NodeJS.Timeout | undefined;
  #scraping: Promise<void> | undefined;

  private constructor(child: ChildProcess, { configFile, token }: Launched, started: Started) {
    this.#child = child;
    this.#credential = token === undefined ? {} : { authorization: `Bearer ${token}` };
    this.configFile = configFile;
    this.port = started.port;
    this.isSecure = started.isSecure;
    this.adminPort = started.adminPort;
    this.lines = started.lines;
    child.stderr?.on("data", (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString()).slice(-KEPT_ERROR_CHARACTERS);
    });
    this.ended = once(child, "exit").then(([code]) => {
      this.#isEnded = true;
      clearInterval(this.#watching);
      running.delete(child);
      return code as number | null;
    });
  }

  /**
   * Resolves when it is ready, or to how it ended before. **Errors**: `Broken` when it does
   * neither.
   */
  static async start(options: RelayOptions): Promise<Relay | Refused> {
    const { directory, config, env = {}, shell } = options;
    const file = `${directory}/waybill.yaml`;
    writeFileSync(file, typeof config === "string" ? config : JSON.stringify(config, undefined, 2));
    const command = [process.execPath, WAYBILL, "relay", "--config", file];
    const [program = "", ...args] =
      shell === undefined ? command : ["/bin/sh", "-c", `${shell}; exec "$0" "$@"`, ...command];
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...cleanEnv(), ...env } });
    running.add(child);
    const started = await within(
      START_MAX_MS,
      startOf(child),
      `the relay neither started nor ended within ${START_MAX_MS} ms`,
    );
    if ("code" in started) {
      running.delete(child);
      return started;
    }
    const relay = new Relay(child, { configFile: file, token: options.token }, started);
    await relay.#ready();
    return relay;
  }

  async #ready(): Promise<void> {
    const ready = async (): Promise<boolean> =>
      this.#isEnded || (await ask({ port: this.adminPort, method: "GET", path: "/ready" })).status === 200;
    await until(ready, START_MAX_MS, "the relay did not become ready");
    await this.measure();
    // What the start took is not counted.
    this.#blocked = NO_BLOCK;
    this.#lap = NO_BLOCK;
    this.#watching = setInterval(() => void this.measure(), SCRAPE_EVERY_MS);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** It ended although nothing here ended it. */
  get fell(): boolean {
    return this.#isEnded && !this.#isStopping;
  }

  get errors(): string {
    return this.#errors;
  }

  /** Longest block of its event loop since {@link begin}, as it says itself. */
  get blocked(): Block {
    return this.#blocked;
  }

  get peakRssMb(): number {
    return this.#peakRssMb;
  }

  get url(): string {
    return `${this.isSecure ? "https" : "http"}://127.0.0.1:${this.port}`;
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${this.adminPort}`;
  }

  /** Measures anew from here. */
  async begin(): Promise<void> {
    await this.lap();
    this.#blocked = NO_BLOCK;
    this.#peakRssMb = 0;
    try {
      // 5: the high-water mark becomes what is resident now.
      writeFileSync(`/proc/${this.pid}/clear_refs`, "5");
    } catch {
      // The mark of the whole life then.
    }
  }

  /** Longest block since the last lap, or since it began. */
  async lap(): Promise<Block> {
    await this.measure();
    const lap = this.#lap;
    this.#lap = NO_BLOCK;
    return lap;
  }

  /**
   * Takes the numbers of now. Only one runs at a time: each takes away what the relay remembers of
   * the loop.
   */
  measure(): Promise<void> {
    this.#scraping ??= this.#measure().finally(() => {
      this.#scraping = undefined;
    });
    return this.#scraping;
  }

  async #measure(): Promise<void> {
    if (this.#isEnded) return;
    this.#noteMemory();
    await this.metrics().catch(() => undefined);
    this.#noteMemory();
  }

  /** The metrics as text; what they say of the event loop is noted. */
  async metrics(headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const given = { ...this.#credential, ...headers };
    const asked = { port: this.adminPort, method: "GET", path: "/metrics", headers: given, timeoutMs: SCRAPE_MAX_MS };
    const { status, text } = await ask(asked);
    check(status === 200, `/metrics answered ${status}`);
    const waitedMs = this.#waitedMs();
    const block = { ms: blockedMsIn(text), waitedMs: waitedMs - this.#waitedBeforeMs };
    this.#waitedBeforeMs = waitedMs;
    if (block.ms > this.#blocked.ms) this.#blocked = block;
    if (block.ms > this.#lap.ms) this.#lap = block;
    return text;
  }

  /**
   * How long its main thread could have run, and another one had the processor; 0 where the kernel
   * does not tell.
   */
  #waitedMs(): number {
    try {
      const [, waitedNs] = readFileSync(`/proc/${this.pid}/task/${this.pid}/schedstat`, "utf8").split(" ");
      return Number(waitedNs) / NS_PER_MS;
    } catch {
      return 0;
    }
  }

  #noteMemory(): void {
    try {
      const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
      const kilobytes = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? "0");
      this.#peakRssMb = Math.max(this.#peakRssMb, Math.round(kilobytes / 1_024));
    } catch {
      // It ended meanwhile.
    }
  }

  get rssMb(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? "0") / 1_024);
  }

  /** Open files and sockets. */
  get descriptors(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  ask(asked: Omit<Ask, "port">): Promise<Answer> {
    return ask({ port: this.port, secure: this.isSecure, ...asked });
  }

  admin(method: string, path: string, more: Omit<Ask, "port" | "method" | "path"> = {}): Promise<Answer> {
    const json = more.body === undefined && method === "GET" ? {} : { "content-type": "application/json" };
    return ask({ port: this.adminPort, method, path, ...more, headers: { ...json, ...more.headers } });
  }

  async accounts(): Promise<Accounts> {
    const { status, text } = await this.admin("GET", "/v1/accounts", { headers: this.#credential });
    check(status === 200, `/v1/accounts answered ${status}`);
    return JSON.parse(text) as Accounts;
  }

  async lane(destination: string): Promise<Accounts["lanes"][number]> {
    const { lanes } = await this.accounts();
    const lane = lanes.find((one) => one.destination === destination);
    if (lane === undefined) throw new Broken(`there is no lane ${destination}`);
    return lane;
  }

  /** The sum of a metric over the labels that `labels` matches. */
  async metric(name: string, labels: RegExp = /.*/): Promise<number> {
    const text = await this.metrics();
    return text
      .split("\n")
      .filter((line) => (line.startsWith(`${name}{`) || line.startsWith(`${name} `)) && labels.test(line))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }

  writeConfig(config: object | string | Buffer): void {
    const isText = typeof config === "string" || Buffer.isBuffer(config);
    writeFileSync(this.configFile, isText ? config : JSON.stringify(config, undefined, 2));
  }

  reload(config?: object | string | Buffer): Promise<Answer> {
    if (config !== undefined) this.writeConfig(config);
    return this.admin("POST", "/v1/reload", { timeoutMs: START_MAX_MS });
  }

  signal(signal: NodeJS.Signals): void {
    if (signal !== "SIGHUP") this.#isStopping = true;
    if (!this.#isEnded) this.#child.kill(signal);
  }

  /**
   * Exit code and time from SIGTERM to the end. **Errors**: `Broken` when it does not end within
   * `ms`.
   */
  async stop(ms: number = STOP_MAX_MS): Promise<{ readonly code: number | null; readonly ms: number }> {
    await this.measure();
    const startedAtMs = performance.now();
    this.signal("SIGTERM");
    const code = await within(ms, this.ended, `did not end within ${ms} ms of SIGTERM`);
    return { code, ms: performance.now() - startedAtMs };
  }

  async kill(): Promise<void> {
    if (this.#isEnded) return;
    this.signal("SIGKILL");
    await this.ended;
  }

  /** Why it ended, as far as it said so. */
  get lastWords(): string {
    return cut(this.#errors.split("\n").find((line) => ERROR_LINE.test(line)) ?? this.#errors.trim());
  }

  /** Its log as text. */
  get log(): string {
    return this.lines.join("\n");
  }
}

function blockedMsIn(metrics: string): number {
  const own = /^waybill_event_loop_blocked_max_seconds(?:\{[^}]*\})? (\S+)$/m.exec(metrics)?.[1];
  if (own !== undefined) return Math.max(0, Number(own) * 1_000 || 0);
  const lag = /^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(metrics)?.[1];
  return Math.max(0, (Number(lag) || 0) * 1_000 - LAG_RESOLUTION_MS);
}

interface Started {
  readonly port: number;
  readonly isSecure: boolean;
  readonly adminPort: number;
  readonly lines: string[];
}

/** The ports come from the start-up line: the configuration asks for any free one. */
async function startOf(child: ChildProcess): Promise<Started | Refused> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error("the relay has no output");
  const lines: string[] = [];
  let errors = "";
  const noteError = (chunk: Buffer): void => {
    errors += chunk.toString();
  };
  stderr.on("data", noteError);
  return new Promise((resolve) => {
    child.once("close", (code) => resolve({ code, text: `${lines.join("\n")}\n${errors}` }));
    createInterface({ input: stdout }).on("line", (line) => {
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      const { intake, admin } = addressesIn(line);
      if (intake === undefined || admin === undefined) return;
      stderr.off("data", noteError);
      const { port, protocol } = new URL(intake);
      resolve({ port: Number(port), isSecure: protocol === "https:", adminPort: Number(new URL(admin).port), lines });
    });
  });
}

function addressesIn(line: string): { readonly intake?: string; readonly admin?: string } {
  if (!line.includes('"intake"')) return {};
  try {
    return JSON.parse(line) as { readonly intake?: string; readonly admin?: string };
  } catch {
    return {};
  }
}

/** Of this process, without what would steer a relay. */
export function cleanEnv(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:WAYBILL_|NODE_|VITEST)/.test(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, value ?? ""]));
}
