/**
 * Relays before one simulated Kafka cluster. They run in this process, as the cluster is in its
 * memory.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { nodeClock } from "@waybill/node";
import { loadConfig, type RunningRelay, startRelay } from "@waybill/relay";
import { freePort, SegmentEmulator, type StartedServer, startServer } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { until } from "./check.ts";
import {
  type AdminRequest,
  type AnyRelay,
  askAdmin,
  type Config,
  newDirectory,
  READ_ONLY_TOKEN,
  type SendOptions,
  sendTo,
  TOKEN,
} from "./relay.ts";
import { eventOf, isAboutInk, segmentAt } from "./world.ts";

const SHARED_MAX_MS = 20_000;
/** As long as a relay allows without a warning. */
const SESSION_MS = 10_000;
const HEARTBEAT_MS = 200;
const KEEP_IDS = 1_000;

interface ClusterLane {
  readonly environment: string;
  readonly partition: number;
  readonly destination: string;
  /** Its id; `null`: none. */
  readonly relay: string | null;
  readonly mode: string;
}

export interface ClusterAnswer {
  readonly relays: readonly { readonly id: string; readonly name: string; readonly lanes: number }[];
  readonly lanes: readonly ClusterLane[];
}

export interface ClusterOptions {
  readonly relays: readonly string[];
  readonly partitions: number;
  /** Names of destinations; `warehouse` refuses events about ink. */
  readonly destinations: readonly string[];
  /** How long a relay that died keeps its lanes. Default: 10 s. */
  readonly sessionMs?: number;
}

const silent = { info: ignore, warn: ignore, error: ignore, debug: ignore, level: "silent" };

function ignore(): void {}

/** The way on which the other relays reach one: it can be made to hang. */
class Gate {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #hangs = false;

  constructor(port: number, to: number) {
    this.#server = createServer((socket) => {
      this.#keep(socket);
      const onward = this.#keep(connect(to, "127.0.0.1"));
      socket.on("data", (chunk) => this.#hangs || onward.write(chunk)).once("close", () => onward.destroy());
      onward.on("data", (chunk) => this.#hangs || socket.write(chunk)).once("close", () => socket.destroy());
    }).listen(port, "127.0.0.1");
  }

  hang(hangs: boolean): void {
    this.#hangs = hangs;
    // What was held back is not sent late.
    if (!hangs) this.#drop();
  }

  close(): void {
    this.#server.close();
    this.#drop();
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on("error", ignore).once("close", () => this.#sockets.delete(socket));
    return socket;
  }

  #drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

interface Parts {
  readonly directory: string;
  readonly relay: RunningRelay;
  readonly gate: Gate;
}

export class ClusterRelay implements AnyRelay {
  readonly name: string;
  readonly directory: string;
  readonly #relay: RunningRelay;
  readonly #gate: Gate;

  private constructor(name: string, { directory, relay, gate }: Parts) {
    this.name = name;
    this.directory = directory;
    this.#relay = relay;
    this.#gate = gate;
  }

  static async start(name: string, cluster: SimCluster, config: Config): Promise<ClusterRelay> {
    const [intake, admin, gate] = [await freePort(), await freePort(), await freePort()];
    const directory = newDirectory();
    const text = JSON.stringify({
      listen: `127.0.0.1:${intake}`,
      dataDirectory: join(directory, "data"),
      admin: { listen: `127.0.0.1:${admin}`, token: TOKEN, readOnlyToken: READ_ONLY_TOKEN },
      network: { allowPrivateAddresses: true },
      shutdown: { deadline: "2s" },
      ...config,
      kafka: { ...(config["kafka"] as Config), clientId: name, advertise: `http://127.0.0.1:${gate}` },
    });
    const read = (): ReturnType<typeof loadConfig> => loadConfig({ file: "waybill.yaml", text, env: {} });
    const relay = await startRelay(read(), {
      logger: silent,
      name,
      connectKafka: async () => cluster.connect(name),
      reloadConfig: async () => read(),
    });
    return new ClusterRelay(name, { directory, relay, gate: new Gate(gate, admin) });
  }

  get adminUrl(): string {
    return this.#relay.adminUrl;
  }

  admin<T>(path: string, request?: AdminRequest): Promise<T> {
    return askAdmin<T>(this.adminUrl + path, request);
  }

  send(events: readonly object[], options?: SendOptions): Promise<string> {
    return sendTo(this.#relay.intakeUrl, events, options);
  }

  /** To other relays it does not answer any more, or does again. */
  hang(hangs = true): void {
    this.#gate.hang(hangs);
  }

  async stop(): Promise<void> {
    await this.#relay.stop();
    this.#gate.close();
  }
}

export interface ClusterWorld {
  readonly cluster: SimCluster;
  readonly relays: readonly ClusterRelay[];
  /** By the name of the destination. */
  readonly vendors: ReadonlyMap<string, SegmentEmulator>;
  /** As it is at first. */
  refuseInk(): void;
  close(): Promise<void>;
}

/** Resolves when each relay knows who has which lane. */
export async function startCluster({
  relays: names,
  partitions,
  destinations,
  sessionMs = SESSION_MS,
}: ClusterOptions): Promise<ClusterWorld> {
  const cluster = new SimCluster({
    clock: nodeClock,
    heartbeatIntervalMs: HEARTBEAT_MS,
    sessionTimeoutMs: sessionMs,
  });
  const vendors = new Map(
    destinations.map((name) => [name, new SegmentEmulator({ keepEvents: 0, keepIds: KEEP_IDS })] as const),
  );
  const refuseInk = (): void => vendors.get("warehouse")?.refuse((event) => isAboutInk(event));
  refuseInk();
  const servers: StartedServer[] = [];
  const configured: Record<string, Config> = {};
  for (const [name, vendor] of vendors) {
    const server = await startServer(vendor.handle);
    servers.push(server);
    configured[name] = segmentAt(server);
  }
  const config: Config = {
    engine: "kafka",
    kafka: { brokers: ["kafka:9092"], partitions },
    environments: {
      production: {
        sources: { shop: { protocol: "segment", writeKeys: ["shop-key"] } },
        destinations: configured,
      },
    },
  };
  const relays = await Promise.all(names.map((name) => ClusterRelay.start(name, cluster, config)));
  await until(
    async () =>
      (await Promise.all(relays.map(clusterOf))).every((one) => isShared(one, { names, partitions, destinations })),
    SHARED_MAX_MS,
    "the relays did not share the lanes",
  );
  return {
    cluster,
    relays,
    vendors,
    refuseInk,
    close: async () => {
      await Promise.all(relays.map((relay) => relay.stop()));
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

export function clusterOf(relay: AnyRelay): Promise<ClusterAnswer> {
  return relay.admin<ClusterAnswer>("/v1/cluster");
}

interface Wanted {
  readonly names: readonly string[];
  readonly partitions: number;
  readonly destinations: readonly string[];
}

/** No lane goes from one relay to another any more. */
function isShared({ relays, lanes }: ClusterAnswer, { names, partitions, destinations }: Wanted): boolean {
  if (relays.length !== names.length || lanes.length !== partitions * destinations.length) return false;
  return destinations.every((destination) => {
    const own = lanes.filter((lane) => lane.destination === destination);
    const counts = relays.map(({ id }) => own.filter(({ relay }) => relay === id).length);
    const isEven = Math.max(...counts) - Math.min(...counts) <= 1;
    return isEven && own.every(({ relay }) => relay !== null);
  });
}

/** Events of many users, so that each partition has some; the fourth part are orders. */
export function manyEvents(count: number, product?: string): readonly object[] {
  return Array.from({ length: count }, (_, index) => eventOf(index, product));
}
