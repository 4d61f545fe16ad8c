/** Relays before one cluster that reach each other's admin API. */
import type { Cluster, RunningRelay } from "@waybill/relay";
import { freePort } from "@waybill/testing";
import { type Answered, JSON_TYPE, send, until } from "../../lib/world.ts";
import { areShared, type ClusterWorld } from "./cluster-world.ts";

export const TOKEN = "a-long-token";
export const AUTHORIZED: Readonly<Record<string, string>> = { authorization: `Bearer ${TOKEN}` };

/**
 * Two, each of which has lanes, and knows those of the other one. `advertised`: where the second
 * one says that it is.
 */
export async function startTwo(
  world: ClusterWorld,
  advertised?: string,
): Promise<readonly [RunningRelay, RunningRelay]> {
  const relays = [await startReachable(world, "one"), await startReachable(world, "two", advertised)] as const;
  await until(() => areShared(...relays));
  await until(() => isKnown(...relays));
  return relays;
}

/** A relay that the others reach. */
async function startReachable({ start }: ClusterWorld, name: string, advertised?: string): Promise<RunningRelay> {
  const port = await freePort();
  return start(name, {
    admin: { listen: `127.0.0.1:${port}`, token: TOKEN },
    kafka: { advertise: advertised ?? `http://127.0.0.1:${port}` },
  });
}

export const get = (relay: RunningRelay, path: string): Promise<Answered> =>
  send(relay.adminUrl, "GET", path, "", AUTHORIZED);

export const post = (relay: RunningRelay, path: string, body: unknown = ""): Promise<Answered> =>
  send(relay.adminUrl, "POST", path, body, { ...AUTHORIZED, ...(body === "" ? {} : JSON_TYPE) });

export async function clusterOf(relay: RunningRelay): Promise<Cluster> {
  return (await get(relay, "/v1/cluster")).json as unknown as Cluster;
}

/** Whether each of them knows of every lane whose it is. */
async function isKnown(...relays: readonly RunningRelay[]): Promise<boolean> {
  const clusters = await Promise.all(relays.map(clusterOf));
  return clusters.every(
    (cluster) =>
      cluster.lanes.every(({ relay }) => relay !== null) &&
      cluster.relays.length === relays.length &&
      cluster.relays.every(({ lanes }) => lanes > 0),
  );
}
