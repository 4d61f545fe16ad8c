/**
 * A relay's intake, log and lanes in memory, fed by Node's own HTTP parser: a source of every
 * protocol, on a virtual clock and a simulated disk.
 */
import assert from "node:assert";
import { isUtf8 } from "node:buffer";
import type { Server } from "node:http";
import { Duplex } from "node:stream";
import { createUuidV7, type DiskRuntime, type HttpRequest, type HttpResponse } from "@waybill/core";
import {
  arrayScanner,
  BodyReader,
  batchScanner,
  createIntakeServer,
  Drain,
  Environment,
  type EnvironmentConfig,
  Intake,
  type RawDestination,
  resolveEnvironment,
  SourceTable,
} from "@waybill/relay/headless";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { DEFAULT_LIMITS } from "@waybill/vendors";

const BODY_MAX_BYTES: number = 256 * 1024;
const SEGMENT_BYTES = 64 * 1024;
const DAY_MS = 86_400_000;
const EXCHANGE_DEADLINE_MS = 1_000;
/** How far the clock goes at once while an answer is waited for. */
const STEP_MS = 20;
const CLOSE_MS = 1_000;

export const SOURCES: Parameters<typeof resolveEnvironment>[1]["sources"] = {
  web: { protocol: "segment", writeKeys: ["segment-key"], prefix: "/eu", maxRequestsPerSecond: 1_000_000 },
  plain: { protocol: "segment", writeKeys: ["plain-key"] },
  mail: { protocol: "letter", writeKeys: ["lt_live_in"] },
  fluxly: { protocol: "getfluxly", writeKeys: ["gflux_secret_in", "gflux_pub_in"] },
  game: { protocol: "trophy", writeKeys: ["in.secret"] },
  success: { protocol: "valued", writeKeys: ["valued-in"] },
  flags: { protocol: "launchdarkly", writeKeys: ["sdk-in"], mobileKeys: ["mob-in"], environmentId: "env-in" },
  memory: { protocol: "launchdarkly", writeKeys: ["sdk-memory"], memory: { capacity: 10 } },
  hog: { protocol: "posthog", writeKeys: ["phc_in"], hosts: ["hog.test"] },
};

export const QUICK: Pick<RawDestination, "backoff" | "batch"> = {
  backoff: { base: 1_000, max: 60_000 },
  batch: { linger: 1 },
};
export const DESTINATIONS: Readonly<Record<string, RawDestination>> = {
  segment: { vendor: "segment", url: "http://segment.test", writeKey: "k", ...QUICK },
  letter: {
    vendor: "letter",
    url: "http://letter.test",
    writeKey: "k",
    ...QUICK,
    filter: { exclude: ["*secret*"] },
    redact: ["context.ip", "properties.email"],
    sampleRate: 0.5,
  },
  trophy: { vendor: "trophy", url: "http://trophy.test", writeKey: "k", ...QUICK },
  getfluxly: { vendor: "getfluxly", url: "http://getfluxly.test", writeKey: "k", ...QUICK },
  launchdarkly: { vendor: "launchdarkly", url: "http://launchdarkly.test", writeKey: "k", mobileKey: "m", ...QUICK },
};

export type Answering = (request: HttpRequest) => HttpResponse;
/** What every vendor calls a success, GetFluxly's alias included. */
export const FINE: HttpResponse = {
  status: 200,
  headers: { "content-type": "application/json", date: "Thu, 01 Jan 2026 00:00:00 GMT" },
  body: '{"alias":{"user_id":"u"}}',
};

export interface SmallRelayOptions {
  readonly destinations?: Readonly<Record<string, RawDestination>>;
  readonly disk?: SimDisk;
  readonly segmentMaxBytes?: number;
  readonly maxIds?: number;
}

export class SmallRelay {
  readonly clock: VirtualClock = new VirtualClock();
  readonly disk: SimDisk;
  readonly bodies: BodyReader = new BodyReader({ maxBytes: BODY_MAX_BYTES, maxTotalBytes: 4 * BODY_MAX_BYTES });
  /** What the intake says is a defect of its own. */
  readonly defects: unknown[] = [];
  /** What vendors answer. */
  vendors: Answering = () => FINE;
  readonly #options: SmallRelayOptions;
  readonly #config: EnvironmentConfig;
  readonly #runtime: DiskRuntime;
  #environment: Environment | undefined;
  #server: Server | undefined;

  constructor(options: SmallRelayOptions = {}) {
    this.#options = options;
    this.disk = options.disk ?? new SimDisk();
    this.#config = resolveEnvironment("fuzz", { sources: SOURCES, destinations: options.destinations ?? DESTINATIONS });
    this.#runtime = {
      clock: this.clock,
      random: new SeededRandom(1),
      disk: this.disk,
      transport: (request) => Promise.resolve(this.vendors(request)),
    };
  }

  get environment(): Environment {
    return this.#environment as Environment;
  }

  async open(): Promise<void> {
    const ignore = (): void => undefined;
    const environment = await Environment.open({
      config: this.#config,
      directory: "/data",
      runtime: this.#runtime,
      dedupe: { windowMs: DAY_MS, maxIds: this.#options.maxIds ?? 1_000 },
      segmentMaxBytes: this.#options.segmentMaxBytes ?? SEGMENT_BYTES,
      observer: { attempted: ignore, modeChanged: ignore, stateNotWritten: ignore },
    });
    const intake = new Intake(new SourceTable([{ environment, sources: this.#config.sources }], this.clock), {
      clock: this.clock,
      makeId: createUuidV7(this.clock, this.#runtime.random),
      limits: { ...DEFAULT_LIMITS, isUtf8, scanBatch: batchScanner() },
      scanArray: arrayScanner(),
      observer: { requestRefused: ignore, requestRetried: ignore },
      exchangeDeadlineMs: EXCHANGE_DEADLINE_MS,
    });
    this.#environment = environment;
    this.#server = createIntakeServer({
      intake,
      bodies: this.bodies,
      readiness: () => ({ ready: true, components: [], lanes: [] }),
      headersTimeoutMs: DAY_MS,
      requestTimeoutMs: DAY_MS,
      onError: (error) => this.defects.push(error),
      drain: new Drain(),
    });
    environment.start();
  }

  /** What comes back on a connection that `bytes` are sent over, until the relay closes it. */
  async exchange(bytes: Uint8Array): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let ended = false;
    const connection = new Duplex({
      read: () => undefined,
      write(chunk: Buffer, _encoding, done) {
        chunks.push(chunk);
        done();
      },
      final(done) {
        ended = true;
        done();
      },
    });
    connection.on("error", () => undefined);
    connection.on("close", () => (ended = true));
    this.#server?.emit("connection", Object.assign(connection, { remoteAddress: "127.0.0.1" }));
    connection.push(bytes);
    while (!ended) await this.pass(STEP_MS);
    connection.destroy();
    return Buffer.concat(chunks);
  }

  /** Lets virtual time pass, and what zlib and the streams do meanwhile. */
  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
    await new Promise((resolve) => setImmediate(resolve));
  }

  /**
   * With vendors that take everything each lane ends with nothing left. **Errors**: one does not.
   */
  async drain(patienceMs: number): Promise<void> {
    const { environment } = this;
    for (const { destination } of environment.lanes(0)) environment.destination(destination)?.resume();
    await this.pass(patienceMs);
    for (const { destination, account, mode, lastError } of environment.lanes(this.clock.now())) {
      assert.ok(account.balanced, `the account of ${destination} balances: ${JSON.stringify(account)}`);
      assert.equal(account.pending, 0, `${destination} is ${mode} with events left: ${lastError}`);
    }
  }

  /** As a process does that ends in order. */
  async close(): Promise<void> {
    let closed = false;
    const closing = this.environment.close(CLOSE_MS).then(() => (closed = true));
    while (!closed) await this.pass(STEP_MS);
    await closing;
  }
}
