import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { owned } from "../child.ts";

const READY = "Kafka Server started";
const READY_MAX_MS = 90_000;
const FORMAT_MAX_MS = 60_000;
const STOP_MAX_MS = 15_000;
const LOOK_EVERY_MS = 40;
const LAST_LINES = 12;
/** Small, and quickly at its speed: what runs for a minute is not worth a second compiler. */
const JVM = ["-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"] as const;
const LOGGING = "-Dorg.slf4j.simpleLogger.logFile=System.out";
/** Where it is there, a broker ends with whoever started it, also when that is killed. */
const SETPRIV = "/usr/bin/setpriv";

const execute = promisify(execFile);

export interface BrokerProcessOptions {
  readonly id: number;
  /** For clients. */
  readonly address: string;
  readonly jars: string;
  /** Has `server.properties`. */
  readonly directory: string;
}

/** One broker of a cluster, which is also a controller. */
export class BrokerProcess {
  readonly id: number;
  /** Host and port for clients; the same after each start. */
  readonly address: string;
  readonly #options: BrokerProcessOptions;
  #process: ChildProcess | undefined;
  #starts = 0;

  constructor(options: BrokerProcessOptions) {
    this.id = options.id;
    this.address = options.address;
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** What the broker printed since its last start. */
  get log(): string {
    return readFileSync(this.#logFile, "utf8");
  }

  get #logFile(): string {
    return join(this.#options.directory, `broker-${this.#starts}.log`);
  }

  /** Makes the directory of its data; once, before the first start. */
  async format(clusterId: string, more: readonly string[]): Promise<void> {
    const { jars, directory } = this.#options;
    const args = ["-t", clusterId, "-c", join(directory, "server.properties"), ...more];
    try {
      await execute("java", [...JVM, "-cp", `${jars}/*`, "kafka.tools.StorageTool", "format", ...args], {
        timeout: FORMAT_MAX_MS,
      });
    } catch (error) {
      const { stderr = "", message } = error as Error & { readonly stderr?: string };
      // The settings come first, several hundred lines of them.
      const reason = stderr.trim().split("\n").slice(-2).join("\n") || message;
      throw new Error(`the directory of broker ${this.id} cannot be made: ${reason}`, { cause: error });
    }
  }

  /** Starts on the same directory and port; resolves at once, see {@link ready}. */
  start(): void {
    if (this.#process !== undefined) throw new Error(`broker ${this.id} runs already`);
    const { jars, directory } = this.#options;
    this.#starts += 1;
    const output = openSync(this.#logFile, "a");
    const java = ["java", ...JVM, LOGGING, "-cp", `${jars}/*`, "kafka.Kafka", join(directory, "server.properties")];
    const [program, ...args] = existsSync(SETPRIV) ? [SETPRIV, "--pdeathsig", "KILL", ...java] : java;
    const child = owned(spawn(program as string, args, { stdio: ["ignore", output, output] }));
    closeSync(output);
    child.once("exit", () => {
      if (this.#process === child) this.#process = undefined;
    });
    this.#process = child;
  }

  /** **Errors**: when it ends instead, or takes too long, with its last lines. */
  async ready(): Promise<void> {
    for (let waitedMs = 0; !this.log.includes(READY); waitedMs += LOOK_EVERY_MS) {
      if (this.#process === undefined) throw new Error(`broker ${this.id} ended:\n${this.#lastLines()}`);
      if (waitedMs > READY_MAX_MS) throw new Error(`broker ${this.id} does not start:\n${this.#lastLines()}`);
      await sleep(LOOK_EVERY_MS);
    }
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** SIGTERM, and SIGKILL when that takes too long. */
  async stop(): Promise<void> {
    this.thaw();
    await this.#end("SIGTERM");
  }

  /** SIGSTOP: it keeps its connections and answers nothing. */
  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  /** SIGCONT. */
  thaw(): void {
    this.#process?.kill("SIGCONT");
  }

  async #end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    const exited = once(child, "exit");
    child.kill(signal);
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_MAX_MS);
    await exited;
    clearTimeout(late);
  }

  #lastLines(): string {
    return this.log.split("\n").slice(-LAST_LINES).join("\n");
  }
}
