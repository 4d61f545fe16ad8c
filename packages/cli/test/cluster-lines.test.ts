/** The cluster in `waybill status`: relays, lanes with their relay, not more than one can read. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Cluster, ClusterLane } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { laneOf } from "../src/command.ts";
import { clusterLines } from "../src/status/cluster-lines.ts";
import { terminalOf } from "../src/terminal/terminal.ts";
import { runHere } from "./lib/command.ts";

const NOW = 1_000_000;
const PIPE = terminalOf({ out: { isTTY: false, columns: 80 }, env: {} });

const LANE: ClusterLane = {
  environment: "production",
  destination: "segment",
  partition: 0,
  relay: "id-one",
  mode: "sending",
  reason: null,
  pendingEvents: 1_234,
  oldestAt: NOW - 61_000,
  inFlight: 2,
};

const RELAY: Cluster["relays"][number] = {
  id: "id-one",
  name: "one",
  version: "1.0.0",
  isSelf: true,
  startedAt: 0,
  seenAt: NOW - 1_000,
  isMissing: false,
  adminUrl: null,
  hasSameConfig: true,
  lanes: 1,
  faults: [],
};

function textOf(cluster: Partial<Cluster>): string {
  const whole = { now: NOW, readAt: NOW, isStale: false, relays: [RELAY], lanes: [LANE], ...cluster };
  return clusterLines(whole, NOW, PIPE).flat().join("\n");
}

test("each relay and each lane has a line: who has it, what waits and since when", () => {
  const missing = { ...RELAY, id: "id-two", name: "two", isSelf: false, isMissing: true, seenAt: NOW - 30_000 };
  const unowned: ClusterLane = {
    ...LANE,
    partition: 1,
    relay: null,
    mode: "unowned",
    pendingEvents: null,
    oldestAt: null,
    inFlight: 0,
  };
  const text = textOf({ relays: [RELAY, missing], lanes: [LANE, unowned] });
  expect(text).toMatch(/^one \(this one\) +running +/m);
  expect(text).toMatch(/^two +missing +30 s ago +/m);
  expect(text).toMatch(/^production\/0\/segment +one +sending +1,234 +61 s +2$/m);
  expect(text).toMatch(/^production\/1\/segment +- +unowned +- +- +0$/m);
});

test("of a thousand lanes those without a relay are shown, then those with most to deliver", () => {
  const lanes = Array.from({ length: 1_000 }, (_, partition) => ({ ...LANE, partition, pendingEvents: partition }));
  const unowned: ClusterLane = { ...LANE, partition: 1_000, relay: null, mode: "unowned", pendingEvents: null };
  const lines = textOf({ lanes: [...lanes, unowned] }).split("\n");
  const shown = lines.filter((line) => line.startsWith("production/"));
  expect(shown).toHaveLength(100);
  expect(shown[0]).toMatch(/^production\/1000\/segment .*unowned/);
  expect(shown[1]).toMatch(/^production\/999\/segment/);
  expect(lines.at(-1)).toBe("… 901 more lanes, with less to deliver");
});

test("a list that lacks what a relay has says which relay did not answer", async () => {
  const headers = { "content-type": "application/json", "waybill-unanswered": "two is missing" };
  const server = createServer((_request, response) => response.writeHead(200, headers).end("[]"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const admin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { code, err } = await runHere(["replay", "list"], { WAYBILL_ADMIN_URL: admin });
  expect([code, err]).toEqual([0, "not all relays answered: two is missing\n"]);
});

test("a pause in a cluster is of all partitions, also when one is named or none", async () => {
  const lanes = [0, 1, 2].map((partition) => ({ ...LANE, partition }));
  const cluster = { lanes: [...lanes, { ...LANE, destination: "other" }] };
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (request.method === "POST") response.writeHead(204).end();
    else response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ cluster }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const admin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ask = (...args: string[]): ReturnType<typeof runHere> => runHere(args, { WAYBILL_ADMIN_URL: admin });
  expect(await ask("pause", "production/segment")).toMatchObject({
    code: 0,
    out: "Paused production/segment in all of its 3 partitions.\n",
  });
  expect(asked).toEqual(["POST /v1/lanes/production/segment/pause", "GET /v1/overview"]);
  expect((await ask("resume", "production/1/segment")).out).toBe(
    "Resumed production/segment in all of its 3 partitions.\n",
  );
  expect(JSON.parse((await ask("pause", "production/segment", "--json")).out)).toEqual(lanes);
});

test("lanes lists each destination with its lanes and their relays, and names those that nobody reported", async () => {
  const account = { accepted: 7, delivered: 7, rejected: 0, dropped: 0, expired: 0, pending: 0, balanced: true };
  const figures = {
    mode: "idle",
    reason: null,
    eventsPerSecondOut: 0,
    waitingBytes: 0,
    oldestAt: null,
    inFlight: 0,
    inFlightLimit: 4,
    limitReason: "",
    deadLetters: 0,
    lossAt: null,
    account,
  };
  const lane = (partition: number, waitingEvents: number): object => ({
    ...figures,
    partition,
    waitingEvents,
    report: { relay: "id-one", epoch: 1, offset: 7 },
  });
  const partitions = [lane(0, 5), { ...lane(2, 6), mode: "halted" }];
  const whole = { ...figures, name: "segment", vendor: "segment", mode: "halted", waitingEvents: 11 };
  const overview = {
    now: NOW,
    cluster: { relays: [RELAY] },
    environments: [{ name: "production", destinations: [{ ...whole, partitions, missingPartitions: [1] }] }],
  };
  const server = createServer((_request, response) => response.end(JSON.stringify(overview)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const env = { WAYBILL_ADMIN_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  const { out, err } = await runHere(["lanes"], env);
  expect(err).toBe("no relay has reported production/1/segment\n");
  expect(out.split("\n").map((line) => line.split(/ {2,}/).slice(0, 6).join(" "))).toEqual([
    "destination relay vendor mode out/s waiting",
    "production/segment - segment halted 0 11",
    "production/0/segment one segment idle 0 5",
    "production/2/segment one segment halted 0 6",
    "",
  ]);
  const ofMode = await runHere(["lanes", "--mode", "halted", "--environment", "production/2", "--json"], env);
  expect(JSON.parse(ofMode.out)).toMatchObject([{ environment: "production/2", name: "segment", relay: "one" }]);
});

test("a lane of a partition is named as the cluster shows it", () => {
  expect(laneOf("production/3/segment")).toEqual(["production/3", "segment"]);
  expect(laneOf("production/segment")).toEqual(["production", "segment"]);
  for (const text of ["production", "production/x/segment", "production/3/segment/4", "/3/segment", "production/3/"])
    expect(() => laneOf(text), text).toThrow(`${text} does not name a destination`);
});
