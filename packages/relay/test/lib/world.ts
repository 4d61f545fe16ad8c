import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, WaybillError } from "@waybill/core";
import { nodeClock, nodeRuntime } from "@waybill/node";
import { loadConfig, type RelayConfig, type RunningRelay, startRelay } from "@waybill/relay";
import { SeededRandom, SegmentEmulator, SimDisk, type StartedServer, startServer } from "@waybill/testing";
import { afterAll, onTestFinished } from "vitest";
import { CA, filesOf, NAME, overTls } from "./tls.ts";

export const KEY = "write-key";
const TLS = filesOf();
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };

export interface RelayWorld {
  readonly relay: RunningRelay;
  readonly emulator: SegmentEmulator;
  readonly server: StartedServer;
  readonly config: RelayConfig;
  readonly directory: string;
  /** Bodies the destination got, as they came. */
  readonly delivered: readonly string[];
  /** Posts to the relay; the body as JSON unless it is text or bytes. */
  post(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Answered>;
  /** Ends when the emulator has this many events. */
  arrived(count: number): Promise<void>;
}

export interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

export interface WorldOptions {
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly sources?: Readonly<Record<string, unknown>>;
  readonly destinations?: (emulatorUrl: string) => Readonly<Record<string, unknown>>;
  readonly emulatorKeys?: readonly string[];
  /** For all tests of a file: it ends with the process. */
  readonly keep?: boolean;
  readonly logger?: Parameters<typeof startRelay>[1]["logger"];
  readonly reloadConfig?: () => Promise<RelayConfig>;
  readonly configFile?: string;
  /** On a disk in memory: for what is about a thousand lanes, whose files are most of the work. */
  readonly inMemory?: true;
  /** Whether the disk fails at a path. */
  readonly isBroken?: (path: string) => boolean;
  /** The relay's. Default: the real one. */
  readonly clock?: Clock;
}

/** `undefined`: as the configuration wants it. */
function runtimeOf({ isBroken, inMemory, clock }: WorldOptions): ReturnType<typeof nodeRuntime> | undefined {
  if (isBroken === undefined && inMemory === undefined && clock === undefined) return undefined;
  const runtime = { ...nodeRuntime(), clock: clock ?? nodeClock };
  if (inMemory !== undefined) return { ...runtime, disk: new SimDisk(new SeededRandom(1)) };
  if (isBroken === undefined) return runtime;
  const { disk } = runtime;
  const check = (path: string): void => {
    if (isBroken(path)) throw new WaybillError("WAYBILL_DISK", `Cannot open ${path}: EIO`, { reason: "EIO" });
  };
  return {
    ...runtime,
    disk: {
      ...disk,
      makeDirectory: async (path) => {
        check(path);
        await disk.makeDirectory(path);
      },
      open: async (path, options) => {
        check(path);
        return disk.open(path, options);
      },
    },
  };
}

/** A real relay on real sockets before an emulator, gone when the test is. */
export async function startWorld(options: WorldOptions = {}): Promise<RelayWorld> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-test-"));
  const emulator = new SegmentEmulator({
    clock: nodeClock,
    limits: "none",
    ...(options.emulatorKeys === undefined ? {} : { writeKeys: options.emulatorKeys }),
  });
  const delivered: string[] = [];
  const server = await startServer((request) => {
    delivered.push(Buffer.from(request.body).toString());
    return emulator.handle(request);
  });
  const config = configOf(directory, server.url, options);
  const { logger = silent as never, reloadConfig, configFile, inMemory } = options;
  // Its lock is a real one.
  if (inMemory !== undefined) mkdirSync(`${directory}/data`);
  const runtime = runtimeOf(options);
  const relay = await startRelay(config, {
    logger,
    ...(runtime === undefined ? {} : { runtime }),
    ...(reloadConfig === undefined ? {} : { reloadConfig }),
    ...(configFile === undefined ? {} : { configFile }),
  });
  const end = async (): Promise<void> => {
    await relay.stop();
    await server.close();
    rmSync(directory, { recursive: true, force: true });
  };
  if (options.keep === true) afterAll(end);
  else onTestFinished(end);
  return {
    relay,
    emulator,
    server,
    config,
    directory,
    delivered,
    post: (path, body, headers) => send(relay.intakeUrl, "POST", path, body, headers),
    arrived: (count) => until(() => emulator.received >= count),
  };
}

export function configOf(
  directory: string,
  emulatorUrl: string,
  { extra, sources, destinations }: WorldOptions = {},
): RelayConfig {
  const text = JSON.stringify({
    listen: "127.0.0.1:0",
    dataDirectory: `${directory}/data`,
    admin: { listen: "127.0.0.1:0" },
    shutdown: { deadline: "2s" },
    network: { allowPrivateAddresses: true },
    ...(overTls.isOn ? { tls: TLS, admin: { listen: "127.0.0.1:0", tls: TLS } } : {}),
    environments: {
      test: {
        sources: sources ?? { web: { protocol: "segment", writeKeys: [KEY] } },
        destinations: destinations?.(emulatorUrl) ?? { emulator: destination(emulatorUrl) },
      },
    },
    ...extra,
  });
  return loadConfig({ file: "test", text, env: {} });
}

export function destination(url: string, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    vendor: "segment",
    url,
    writeKey: "outbound",
    backoff: { base: "10ms", max: "50ms" },
    batch: { linger: "1ms" },
    ...more,
  };
}

export const BASIC: Readonly<Record<string, string>> = { authorization: `Basic ${btoa(`${KEY}:`)}` };

/** What the admin API wants to know of a body. */
export const JSON_TYPE: Readonly<Record<string, string>> = { "content-type": "application/json" };

/** One request over bare HTTP: nothing is added that is not named. */
export function send(
  origin: string,
  method: string,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = BASIC,
): Promise<Answered> {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  const { hostname, port, protocol } = new URL(origin);
  const secure = protocol === "https:" ? { servername: NAME, ca: CA.cert } : undefined;
  return new Promise((resolve, reject) => {
    const outgoing = (secure === undefined ? httpRequest : httpsRequest)(
      {
        ...secure,
        hostname,
        port,
        method,
        path,
        agent: false,
        headers: { ...headers, "content-length": bytes.length },
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text, json: parse(text) });
        });
      },
    );
    outgoing.on("error", reject);
    outgoing.end(bytes);
  });
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

const POLL_MS = 5;
const GIVE_UP_MS = 15_000;

/** Real processes and sockets have no virtual clock: look again until it is so. */
export async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = nodeClock.monotonic() + GIVE_UP_MS;
  while (!(await done())) {
    if (nodeClock.monotonic() > deadline) throw new Error("it did not happen in time");
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
