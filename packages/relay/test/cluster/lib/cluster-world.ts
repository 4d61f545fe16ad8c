/** Relays before one cluster, simulated or real, and the emulator that they deliver to. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "@waybill/core";
import type { Broker, KafkaTls } from "@waybill/log-kafka";
import { nodeClock, nodeRuntime } from "@waybill/node";
import { type RelayConfig, type RunningRelay, startRelay } from "@waybill/relay";
import { SeededRandom, SegmentEmulator, startServer } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, onTestFinished } from "vitest";
import type { RelayRecord } from "../../../src/cluster/relay-directory.ts";
import { configOf, destination, JSON_TYPE, KEY, send } from "../../lib/world.ts";

export const PARTITIONS = 4;

export interface RelayOptions {
  /** Makes the relay's connection another one. */
  readonly around?: (broker: Broker) => Broker;
  /** Gets what its connections have to use. */
  readonly tls?: (inUse: () => KafkaTls) => void;
  readonly kafka?: Readonly<Record<string, unknown>>;
  readonly admin?: Readonly<Record<string, unknown>>;
  readonly sources?: Readonly<Record<string, unknown>>;
  /** What a reload reads; it may throw. */
  readonly reloadConfig?: (config: RelayConfig) => RelayConfig;
}

export interface ClusterWorld {
  readonly cluster: SimCluster;
  readonly emulator: SegmentEmulator;
  /** Of each request that the emulator got. */
  readonly authorizations: readonly string[];
  /** What the relays logged, by relay: a code each. */
  readonly lines: ReadonlyMap<string, readonly string[]>;
  start(name: string, options?: RelayOptions): Promise<RunningRelay>;
}

export interface ClusterSettings {
  readonly sources?: Readonly<Record<string, unknown>>;
  /** Default: one to the emulator. */
  readonly destinations?: Readonly<Record<string, unknown>>;
  /** Of the destination. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /**
   * Of the relays and of the simulated cluster. Default: the real one. With another one relays open
   * no streams at each other.
   */
  readonly clock?: Clock;
  /** Before the vendor answers. */
  readonly arrived?: () => Promise<void>;
  /** A real Kafka, by its addresses, and where in it. Default: the simulated one. */
  readonly real?: { readonly brokers: readonly string[]; readonly topicPrefix: string };
}

export async function startCluster(settings: ClusterSettings = {}): Promise<ClusterWorld> {
  const { clock } = settings;
  const cluster = new SimCluster({
    clock: clock ?? nodeClock,
    random: new SeededRandom(1),
    brokers: 3,
    heartbeatIntervalMs: 200,
  });
  const emulator = new SegmentEmulator({ clock: nodeClock, limits: "none" });
  const authorizations: string[] = [];
  const server = await startServer(async (request) => {
    authorizations.push(String(request.headers["authorization"]));
    await settings.arrived?.();
    return emulator.handle(request);
  });
  const lines = new Map<string, string[]>();
  onTestFinished(() => server.close());
  return {
    cluster,
    emulator,
    authorizations,
    lines,
    async start(name, options = {}) {
      const {
        around = (broker: Broker) => broker,
        tls = () => undefined,
        kafka = {},
        admin,
        sources = settings.sources,
        reloadConfig,
      } = options;
      const directory = mkdtempSync(join(tmpdir(), "waybill-test-"));
      const config = configOf(directory, server.url, {
        extra: {
          engine: "kafka",
          kafka: { brokers: ["kafka:9092"], partitions: PARTITIONS, ...settings.real, ...kafka },
          ...(admin === undefined ? {} : { admin }),
        },
        ...(sources === undefined ? {} : { sources }),
        destinations: (url) => settings.destinations ?? { emulator: destination(url, settings.settings) },
      });
      const logged: string[] = [];
      lines.set(name, logged);
      const note = (fields: { readonly code?: string }): void => void logged.push(fields.code ?? "");
      const relay = await startRelay(config, {
        logger: { level: "info", info: note, warn: note, error: note, debug: note } as never,
        ...(clock === undefined ? {} : { runtime: { ...nodeRuntime(), clock } }),
        ...(settings.real === undefined
          ? {
              connectKafka: (_config, inUse): Promise<Broker> => {
                tls(inUse);
                return Promise.resolve(around(cluster.connect(name)));
              },
            }
          : {}),
        ...(reloadConfig === undefined ? {} : { reloadConfig: async () => reloadConfig(config) }),
      });
      onTestFinished(async () => {
        await relay.stop();
        rmSync(directory, { recursive: true, force: true });
      });
      return relay;
    },
  };
}

const authorization = { authorization: `Basic ${btoa(`${KEY}:`)}` };

/** Events `from` to `from + count`, of ten users. */
export async function capture(relay: RunningRelay, from: number, count: number): Promise<string> {
  const batch = Array.from({ length: count }, (_, index) => ({
    type: "track",
    event: "E",
    userId: `user-${(from + index) % 10}`,
    messageId: `m-${from + index}`,
    properties: { number: from + index },
  }));
  const { status, headers } = await send(relay.intakeUrl, "POST", "/v1/batch", { batch }, authorization);
  expect(status).toBe(200);
  return String(headers["waybill-receipt"]);
}

/** A POST to the admin API. */
export function ask(relay: RunningRelay, path: string, body: unknown = ""): ReturnType<typeof send> {
  return send(relay.adminUrl, "POST", path, body, body === "" ? {} : JSON_TYPE);
}

/** Each has lanes, and together they have those of all destinations. */
export function areShared(...relays: readonly RunningRelay[]): boolean {
  const lanes = relays.map((relay) => relay.accounts().lanes);
  const destinations = new Set(lanes.flat().map(({ destination }) => destination));
  return lanes.every(({ length }) => length > 0) && lanes.flat().length === PARTITIONS * destinations.size;
}

/** Whether their lanes have taken so many events, copies too, and nothing waits. */
export function areDone(events: number, ...relays: readonly RunningRelay[]): boolean {
  const accounts = relays.flatMap((relay) => relay.accounts().lanes.map(({ account }) => account));
  const accepted = accounts.reduce((sum, account) => sum + account.accepted, 0);
  return accepted >= events && accounts.every(({ pending }) => pending === 0);
}

export function modesOf(...relays: readonly RunningRelay[]): ReadonlySet<string> {
  return new Set(relays.flatMap((relay) => relay.accounts().lanes.map(({ mode }) => mode)));
}

/** The last record of each relay. */
export function recordsOf(cluster: SimCluster): readonly RelayRecord[] {
  const last = new Map<string, string>();
  for (const { key = "", value } of cluster.records({ topic: "waybill.relays", partition: 0 }))
    last.set(key, Buffer.from(value).toString());
  return [...last.values()].flatMap((value) => (value === "" ? [] : [JSON.parse(value) as RelayRecord]));
}
