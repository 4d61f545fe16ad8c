/**
 * What every chaos run has: a load with unique ids, an oracle that keeps what was acknowledged, an
 * emulator, and the count at the end.
 */
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeClock } from "@waybill/node";
import { type SeededRandom, SegmentEmulator, type StartedServer, startServer } from "@waybill/testing";
import { RelayProcess } from "../lib/relay-process.ts";
import { say } from "../lib/result.ts";
import { countOvertaken, type Distance } from "./distance.ts";
import { WORKERS, work } from "./load.ts";

const DRAIN_MAX_MS = 60_000;

export interface Tally {
  readonly acknowledged: number;
  /** Different events at the emulator. */
  readonly delivered: number;
  readonly lost: number;
  readonly duplicatesInEffect: number;
  readonly sentTwice: number;
  /** Events that the vendor took after a later one of their user. */
  readonly orderViolations: number;
  readonly booksBalance: boolean;
}

export interface SceneOptions {
  /** Between the relay and the emulator. Default: none. */
  readonly distance?: Distance;
  /** Options of the destination. */
  readonly destination?: (url: string) => Readonly<Record<string, unknown>>;
}

/** A relay under load before an emulator. */
export class Scene {
  readonly directory: string;
  readonly emulator: SegmentEmulator;
  readonly #server: StartedServer;
  readonly #destination: SceneOptions["destination"];
  readonly #oracle: string;
  readonly #workers: Promise<void>[] = [];
  #relay: RelayProcess | undefined;
  /** More that run on the same directory, though none may. */
  #others: readonly RelayProcess[] = [];
  #lastPort = 0;
  #stopping = false;
  /** Answers by status; 0 for none. */
  readonly answers: Map<number, number> = new Map();

  private constructor(
    directory: string,
    emulator: SegmentEmulator,
    server: StartedServer,
    destination: SceneOptions["destination"],
  ) {
    this.#destination = destination;
    this.directory = directory;
    this.emulator = emulator;
    this.#server = server;
    this.#oracle = join(directory, "acknowledged");
    writeFileSync(this.#oracle, "");
  }

  static async open({ distance, destination }: SceneOptions = {}): Promise<Scene> {
    const directory = mkdtempSync(join(tmpdir(), "waybill-chaos-"));
    const emulator = new SegmentEmulator({ clock: nodeClock });
    const handle = distance?.before(emulator.handle) ?? emulator.handle;
    return new Scene(directory, emulator, await startServer(handle), destination);
  }

  get relay(): RelayProcess {
    if (this.#relay === undefined) throw new Error("no relay was started");
    return this.#relay;
  }

  async start(): Promise<void> {
    const { directory } = this;
    const options = this.#destination === undefined ? {} : { destination: this.#destination };
    this.#relay = await RelayProcess.start({ directory, destinations: { emulator: this.#server.url }, ...options });
  }

  /**
   * Starts several relays on the one directory at the same time, each with a temporary folder of
   * its own; resolves to how many of them run.
   */
  async startTogether(count: number): Promise<number> {
    const { directory } = this;
    const started = await Promise.allSettled(
      Array.from({ length: count }, (_, index) => {
        const temporary = join(directory, `tmp-${index}`);
        mkdirSync(temporary, { recursive: true });
        return RelayProcess.start({ directory, destinations: { emulator: this.#server.url }, temporary });
      }),
    );
    const running = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const [relay, ...others] = running;
    // Where one ran before, and still does, none of these may.
    if (this.#relay === undefined) this.#relay = relay;
    else if (relay !== undefined) others.push(relay);
    this.#others = [...this.#others, ...others];
    return running.length;
  }

  /** Kills whatever runs. */
  async killAll(): Promise<void> {
    const running = [this.relay, ...this.#others];
    this.#relay = undefined;
    this.#others = [];
    await Promise.all(running.map((relay) => relay.stop("SIGKILL")));
  }

  /** Of one that runs, or ran last: requests to it are refused then, and made again. */
  #port(random: SeededRandom): number {
    if (this.#relay !== undefined) this.#lastPort = random.pick([this.#relay, ...this.#others]).port;
    return this.#lastPort;
  }

  /** Begins to send; goes on over restarts of the relay. */
  load(random: SeededRandom): void {
    for (let worker = 0; worker < WORKERS; worker++) {
      const own = random.fork();
      this.#workers.push(
        work({
          name: `u${worker}`,
          port: () => this.#port(own),
          stopping: () => this.#stopping,
          random: own,
          acknowledge: (ids) => this.acknowledge(ids),
          answered: (status) => this.answers.set(status, (this.answers.get(status) ?? 0) + 1),
        }),
      );
    }
  }

  /** The relay has answered for these events. */
  acknowledge(ids: readonly string[]): void {
    appendFileSync(this.#oracle, `${ids.join("\n")}\n`);
  }

  /** Ends the load, waits until all is delivered, counts. */
  async finish(): Promise<Tally> {
    this.#stopping = true;
    await Promise.all(this.#workers);
    this.emulator.recover();
    const booksBalance = await this.relay.drained(DRAIN_MAX_MS);
    await this.relay.stop();
    await this.#server.close();
    const acknowledged = new Set(
      readFileSync(this.#oracle, "utf8")
        .split("\n")
        .filter((id) => id !== ""),
    );
    const times = new Map<string, number>();
    for (const { messageId } of this.emulator.events) times.set(messageId, (times.get(messageId) ?? 0) + 1);
    return {
      acknowledged: acknowledged.size,
      delivered: times.size,
      lost: [...acknowledged].filter((id) => !times.has(id)).length,
      duplicatesInEffect: [...times.values()].filter((count) => count > 1).length,
      sentTwice: this.emulator.duplicates,
      orderViolations: countOvertaken(this.emulator.events),
      booksBalance,
    };
  }

  /** Removes what is left on disk, unless something failed and it must be inspected. */
  clear(tally: Tally): void {
    if (isBroken(tally)) say(`kept for inspection: ${this.directory}`);
    else rmSync(this.directory, { recursive: true, force: true });
  }
}

export function isBroken(tally: Tally): boolean {
  const { acknowledged, lost, duplicatesInEffect, orderViolations, booksBalance } = tally;
  return acknowledged === 0 || lost + duplicatesInEffect + orderViolations > 0 || !booksBalance;
}
