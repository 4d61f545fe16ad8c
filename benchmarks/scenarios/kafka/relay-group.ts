/** Relays before one topic, each a process of its own, with a load for each and one destination. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { CountingOrder, CountingReport } from "../../children/counting-vendor.ts";
import type { LoadOrder, LoadReport } from "../../children/load.ts";
import { Child } from "../../lib/child.ts";
import { memoryOf } from "../../lib/memory.ts";
import { cpuSecondsOf } from "../../lib/one-core.ts";
import { RelayProcess } from "../../lib/relay-process.ts";

export interface RelayGroupOptions {
  readonly directory: string;
  readonly relays: 1 | 2;
  /** Addresses. */
  readonly brokers: readonly string[];
  readonly partitions: number;
  /** Requests that are under way at once, over all relays. */
  readonly concurrency: number;
  /** Whether relays write down the commits of their lanes, which costs them a little. */
  readonly recordsCommits?: true;
}

/** Of lanes' states, so far. */
export interface Commits {
  /** Calls of brokers, each with the states of one lane or several. */
  readonly calls: number;
  readonly states: number;
  readonly characters: number;
}

export interface Loaded {
  readonly requestsPerSecond: number;
  /** Of all relays, for a request. */
  readonly cpuMicros: number;
  /** Epoch ms with fraction. */
  readonly startedAtMs: number;
  /** Numbers of the events that were acknowledged: from, and up to but not including. */
  readonly acknowledged: readonly (readonly [number, number])[];
  readonly refused: number;
}

const DESTINATION = "fast";
const MICROS_PER_SECOND = 1_000_000;
const ASSIGNED_MAX_MS = 60_000;
const LOOK_EVERY_MS = 100;
const RECORDER = new URL("../../children/record-commits.js", import.meta.url).href;

export class RelayGroup {
  readonly topic: string;
  readonly #options: RelayGroupOptions;
  #relays: readonly RelayProcess[] = [];
  readonly #vendor: Child;
  readonly #vendorUrl: string;
  readonly #loaders: readonly Child[];
  #nextId = 1;

  private constructor(options: RelayGroupOptions, vendor: Child, vendorUrl: string) {
    this.#options = options;
    this.#vendor = vendor;
    this.#vendorUrl = vendorUrl;
    this.#loaders = Array.from({ length: options.relays }, () => new Child("load"));
    this.topic = `${prefixOf(options)}.bench`;
  }

  /** Resolves once the relays have all partitions. */
  static async start(options: RelayGroupOptions): Promise<RelayGroup> {
    const vendor = new Child("counting-vendor");
    const { port } = await vendor.receive<{ port: number }>();
    const group = new RelayGroup(options, vendor, `http://127.0.0.1:${port}`);
    await group.#startRelays();
    return group;
  }

  /** Stops the relays on a signal and starts them again. Resolves to the ms that the start took. */
  async restart(): Promise<number> {
    await Promise.all(this.#relays.map((relay) => relay.stop()));
    const startedAt = performance.now();
    await this.#startRelays();
    return performance.now() - startedAt;
  }

  /** Pauses or resumes the lanes of all partitions. */
  async steer(action: "pause" | "resume"): Promise<void> {
    await this.#relays[0]?.steer(DESTINATION, action);
  }

  get #recording(): string {
    return join(this.#options.directory, `${prefixOf(this.#options)}-commits`);
  }

  /** Zero without `recordsCommits`. */
  commits(): Commits {
    const text = existsSync(this.#recording) ? readFileSync(this.#recording, "utf8") : "";
    const calls = text.split("\n\n").slice(0, -1);
    const states = calls.flatMap((call) => call.split("\n"));
    const lengths = states.map((line) => (JSON.parse(line) as { readonly metadata: string }).metadata.length);
    return { calls: calls.length, states: states.length, characters: lengths.reduce((sum, one) => sum + one, 0) };
  }

  async #startRelays(): Promise<void> {
    const { brokers, partitions, recordsCommits } = this.#options;
    const topicPrefix = prefixOf(this.#options);
    const relays: RelayProcess[] = [];
    for (let number = 1; number <= this.#options.relays; number++) {
      const directory = join(this.#options.directory, `${topicPrefix}-${number}`);
      mkdirSync(directory, { recursive: true });
      relays.push(
        await RelayProcess.start({
          directory,
          destinations: { [DESTINATION]: this.#vendorUrl },
          extra: { engine: "kafka", kafka: { brokers, partitions, replicationFactor: brokers.length, topicPrefix } },
          imports: recordsCommits === true ? [`${RECORDER}?to=${encodeURIComponent(this.#recording)}`] : [],
        }),
      );
    }
    this.#relays = relays;
    await this.#assigned();
  }

  get relays(): 1 | 2 {
    return this.#options.relays;
  }

  /** Sends requests as fast as they are answered, to all relays at once. */
  async load(events: number, requests: number): Promise<Loaded> {
    const { relays, concurrency } = this.#options;
    const each = Math.ceil(requests / relays);
    const before = this.#cpuSeconds;
    const sent = this.#loaders.map(async (loader, at) => {
      const firstId = this.#nextId + at * each * events;
      const order: LoadOrder = {
        port: (this.#relays[at] as RelayProcess).port,
        connections: Math.ceil(concurrency / relays),
        events,
        requests: each,
        firstId,
        bodies: "segment-many-users",
      };
      return { report: await loader.ask<LoadReport>(order), firstId };
    });
    this.#nextId += relays * each * events;
    const reports = await Promise.all(sent);
    const startedAtMs = Math.min(...reports.map(({ report }) => report.startedAtMs));
    const endedAtMs = Math.max(...reports.map(({ report }) => report.startedAtMs + report.seconds * 1_000));
    const refused = reports.reduce((sum, { report }) => sum + report.failed, 0);
    const accepted = relays * each - refused;
    return {
      requestsPerSecond: accepted / ((endedAtMs - startedAtMs) / 1_000),
      cpuMicros: ((this.#cpuSeconds - before) * MICROS_PER_SECOND) / (relays * each),
      startedAtMs,
      acknowledged: reports.flatMap(({ report, firstId }) =>
        acceptedRanges(firstId, firstId + each * events, { refused: report.failedFirstIds, events }),
      ),
      refused,
    };
  }

  /** Whether the destination answers nothing. */
  async hold(hold: boolean): Promise<void> {
    await this.#vendor.ask({ hold } satisfies CountingOrder);
  }

  /** Resolves once the destination has all of it, or the time is over. */
  delivered({ acknowledged }: Loaded, withinMs: number): Promise<CountingReport> {
    return this.#vendor.ask<CountingReport>({ expect: { ranges: acknowledged, withinMs } } satisfies CountingOrder);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#relays.map((relay) => relay.stop()));
    await Promise.all([this.#vendor, ...this.#loaders].map((child) => child.stop()));
  }

  /** Of the relay that has the most memory now. */
  get rssMb(): number {
    return Math.max(...this.#relays.map(({ process }) => memoryOf(process.pid, "VmRSS")));
  }

  get #cpuSeconds(): number {
    return this.#relays.reduce((sum, { process }) => sum + cpuSecondsOf(process.pid), 0);
  }

  async #assigned(): Promise<void> {
    const deadline = performance.now() + ASSIGNED_MAX_MS;
    for (;;) {
      const lanes = (await Promise.all(this.#relays.map((relay) => relay.accounts()))).map((one) => one.lanes.length);
      const all = lanes.reduce((sum, count) => sum + count, 0);
      if (all === this.#options.partitions && lanes.every((count) => count > 0)) return;
      if (performance.now() > deadline) throw new Error(`the relays have ${lanes.join(" and ")} partitions`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }
}

function prefixOf({ relays }: Pick<RelayGroupOptions, "relays">): string {
  return `relays-${relays}`;
}

/** Between the requests that were refused. */
function acceptedRanges(
  from: number,
  to: number,
  { refused, events }: { readonly refused: readonly number[]; readonly events: number },
): readonly (readonly [number, number])[] {
  const starts = [from, ...refused.map((id) => id + events)].sort((a, b) => a - b);
  const ends = [...refused, to].sort((a, b) => a - b);
  return starts.map((start, at) => [start, ends[at] as number] as const).filter(([start, end]) => start < end);
}
