/** Admin servers with views of a test's own making, each with what it knows of the others. */
import type { Clock, Transport } from "@waybill/core";
import { createNodeTransport, nodeClock, openHttpStream } from "@waybill/node";
import { SeededRandom } from "@waybill/testing";
import { Peers } from "../../../../src/admin/cluster/peers.ts";
import type { RelayEntry } from "../../../../src/cluster/relay-directory.ts";
import { steadyClock } from "../../../lib/steady-clock.ts";
import { type Answered, JSON_TYPE, send } from "../../../lib/world.ts";
import { serveView } from "../../lib/serve-view.ts";

export const TOKEN = "a-long-token";
export const READ_ONLY = "a-token-that-reads";
export const AUTHORIZED: Readonly<Record<string, string>> = { authorization: `Bearer ${TOKEN}` };

export interface TestRelay {
  readonly url: string;
  /** What it knows of others. */
  readonly known: RelayEntry[];
  /** Requests that it sent to others. */
  readonly asked: { url: string; headers: Readonly<Record<string, string>> }[];
  readonly peers: Peers;
}

export interface TestRelayOptions {
  readonly token?: string;
  readonly transport?: Transport;
  /** Default: the real one. */
  readonly clock?: Clock;
  /** What it has. */
  readonly environments?: Readonly<Record<string, object>>;
  /** Default 12. */
  readonly partitions?: number;
  readonly view?: object;
}

/** Timers run ten times as fast, long ones a hundred times; the time is the real one. */
export const FAST: Clock = {
  ...nodeClock,
  after: (delayMs, run, hold) => steadyClock.after(delayMs / (delayMs > 10_000 ? 100 : 10), run, hold),
};

/** An admin server with a view of our making, in a cluster of the relays in `known`. */
export async function startRelay(name: string, options: TestRelayOptions = {}): Promise<TestRelay> {
  const { token = TOKEN, environments = {}, partitions = 12, view = {}, clock = nodeClock } = options;
  const known: RelayEntry[] = [];
  const asked: TestRelay["asked"] = [];
  const send = options.transport ?? createNodeTransport();
  const peers = new Peers({
    clock,
    random: new SeededRandom(1),
    transport: (request, signal) => {
      asked.push(request);
      return send(request, signal);
    },
    openStream: (request, signal) => {
      asked.push(request);
      return openHttpStream(request, signal);
    },
    token: () => token,
    directory: { selfId: `id-${name}`, relays: () => known },
    partitions,
  });
  const whole = {
    guard: () => ({ hosts: [], token, readOnlyToken: READ_ONLY }),
    clock,
    onError: (error: unknown) => {
      throw error;
    },
    peers: () => peers,
    environment: (wanted: string) => environments[wanted],
    environments: () => Object.values(environments),
    plan: () => [
      {
        environment: "production",
        sources: [{ source: "web" }],
        destinations: [{ destination: "segment", vendor: "segment" }],
      },
    ],
    accounts: () => ({ replays: [] }),
    ...view,
  };
  return { url: await serveView(whole), known, asked, peers };
}

export const ask = (
  relay: TestRelay,
  method: string,
  path: string,
  body: unknown = "",
  headers: Readonly<Record<string, string>> = {},
): Promise<Answered> =>
  send(relay.url, method, path, body, { ...AUTHORIZED, ...(body === "" ? {} : JSON_TYPE), ...headers });
