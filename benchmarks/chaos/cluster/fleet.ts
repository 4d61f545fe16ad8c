/** Relays before one cluster, each a process of its own that is started again when it has ended. */
import { createWriteStream, mkdirSync } from "node:fs";
import { join } from "node:path";
import { RelayProcess } from "../../lib/relay-process.ts";
import { say } from "../../lib/result.ts";
import { pause } from "../load.ts";

export interface FleetOptions {
  readonly directory: string;
  readonly relays: number;
  /** Addresses of the brokers. */
  readonly brokers: readonly string[];
  readonly partitions: number;
  readonly vendorUrl: string;
}

interface One {
  readonly name: string;
  relay: RelayProcess | undefined;
  state: "starting" | "running" | "paused";
}

const START_AGAIN_MS = 500;
const RECORDER = new URL("../../children/record-commits.js", import.meta.url).href;

export class Fleet {
  readonly #options: FleetOptions;
  readonly #all: readonly One[];
  readonly #starting = new Set<Promise<void>>();
  #isClosing = false;
  /** Processes that ended though nobody killed them, and starts that failed. */
  ended = 0;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#all = Array.from({ length: options.relays }, (_, index) => ({
      name: `relay-${index + 1}`,
      relay: undefined,
      state: "starting",
    }));
  }

  /** Where each relay wrote down its commits. */
  get recordings(): readonly string[] {
    return this.#all.map((one) => this.#recordingOf(one));
  }

  /** Names of those that serve. */
  get running(): readonly string[] {
    return this.#all.filter(({ state }) => state === "running").map(({ name }) => name);
  }

  /** Of all processes that there are, also one that is stopped: clients do not know. */
  get ports(): readonly number[] {
    return this.#all.flatMap(({ relay }) => (relay === undefined ? [] : [relay.port]));
  }

  get relays(): readonly RelayProcess[] {
    return this.#all.flatMap(({ relay }) => (relay === undefined ? [] : [relay]));
  }

  async start(): Promise<void> {
    await Promise.all(this.#all.map((one) => this.#start(one)));
  }

  /** SIGKILL; another process takes its place after `downMs`. */
  async kill(name: string, downMs: number): Promise<void> {
    const one = this.#one(name);
    const { relay } = one;
    one.state = "starting";
    one.relay = undefined;
    await relay?.stop("SIGKILL");
    this.#startLater(one, downMs);
  }

  /** SIGSTOP, and SIGCONT after `forMs`. */
  async freeze(name: string, forMs: number): Promise<void> {
    const one = this.#one(name);
    const { relay } = one;
    if (relay === undefined) return;
    one.state = "paused";
    relay.process.kill("SIGSTOP");
    await pause(forMs);
    relay.process.kill("SIGCONT");
    if (one.relay === relay) one.state = "running";
  }

  /** Resolves once all run. */
  async ready(): Promise<void> {
    while (this.#starting.size > 0) await Promise.all(this.#starting);
  }

  async stop(): Promise<void> {
    this.#isClosing = true;
    await this.ready();
    await Promise.all(this.#takeAll().map((relay) => relay.stop()));
  }

  /** SIGKILL to whatever still runs. */
  async end(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(this.#takeAll().map((relay) => relay.stop("SIGKILL")));
  }

  #takeAll(): readonly RelayProcess[] {
    const { relays } = this;
    for (const one of this.#all) one.relay = undefined;
    return relays.filter(({ process }) => process.exitCode === null && process.signalCode === null);
  }

  #startLater(one: One, afterMs: number): void {
    const started = pause(afterMs)
      .then(() => this.#start(one))
      .finally(() => this.#starting.delete(started));
    this.#starting.add(started);
  }

  /** Tries until it runs. */
  async #start(one: One): Promise<void> {
    while (!this.#isClosing) {
      try {
        this.#started(one, await this.#startProcess(one));
        return;
      } catch (error) {
        this.ended += 1;
        say(`${one.name} did not start: ${(error as Error).message}`);
        await pause(START_AGAIN_MS);
      }
    }
  }

  #started(one: One, relay: RelayProcess): void {
    one.relay = relay;
    one.state = "running";
    say(`${one.name} is ready after ${Math.round(relay.startMs)} ms`);
    const lines = createWriteStream(join(this.#directoryOf(one), "lines"), { flags: "a" });
    relay.process.stdout?.pipe(lines);
    relay.process.once("exit", (code, signal) => {
      if (one.relay !== relay || this.#isClosing) return;
      this.ended += 1;
      say(`${one.name} ended with ${code ?? signal}`);
      one.relay = undefined;
      one.state = "starting";
      this.#startLater(one, START_AGAIN_MS);
    });
  }

  #startProcess(one: One): Promise<RelayProcess> {
    const { brokers, partitions, vendorUrl } = this.#options;
    const directory = this.#directoryOf(one);
    mkdirSync(directory, { recursive: true });
    return RelayProcess.start({
      directory,
      destinations: { emulator: vendorUrl },
      extra: { engine: "kafka", kafka: { brokers, partitions, clientId: one.name } },
      imports: [`${RECORDER}?to=${encodeURIComponent(this.#recordingOf(one))}`],
    });
  }

  #directoryOf({ name }: One): string {
    return join(this.#options.directory, name);
  }

  #recordingOf(one: One): string {
    return join(this.#directoryOf(one), "commits");
  }

  #one(name: string): One {
    const found = this.#all.find((one) => one.name === name);
    if (found === undefined) throw new Error(`there is no ${name}`);
    return found;
  }
}
