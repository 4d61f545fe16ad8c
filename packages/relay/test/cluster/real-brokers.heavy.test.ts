/** Two relays before three real brokers: what operators and callers ask of either of them. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Analytics } from "@segment/analytics-node";
import { nodeClock, nodeRuntime } from "@waybill/node";
import type { ReplayView, RunningRelay } from "@waybill/relay";
import { emulators, SegmentEmulator } from "@waybill/testing";
import { PostHog } from "posthog-node";
import { expect, onTestFinished, test } from "vitest";
import { TrophyClient } from "waybill/trophy";
import { alterConfigs, connectTo, withCluster } from "../../../log-kafka/test/lib/real-cluster.ts";
import { ClusterControl } from "../../src/cluster/cluster-control.ts";
import { WatchedTopics } from "../../src/cluster/watched-topics.ts";
import { KEY, until } from "../lib/world.ts";
import { areDone, type ClusterSettings, capture, PARTITIONS, startCluster } from "./lib/cluster-world.ts";
import { get, post, startTwo, TOKEN } from "./lib/reachable.ts";

const kafka = withCluster({ brokers: 3 });
const COMMAND = fileURLToPath(new URL("../../../cli/dist/main.js", import.meta.url));
const TEST_MAX_MS = 60_000;
const EVENTS = 400;
const SLOW_MS = 20;
const ROUNDS = 20;
const USERS = Array.from({ length: 12 }, (_, index) => `user-${index}`);

function startReal(topicPrefix: string, settings: ClusterSettings = {}): ReturnType<typeof startCluster> {
  return startCluster({ ...settings, real: { brokers: kafka().addresses, topicPrefix } });
}

async function serve(emulator: emulators.VendorEmulator): Promise<string> {
  const server = await emulator.listen();
  onTestFinished(() => server.close());
  return server.url;
}

async function ended(relay: RunningRelay): Promise<readonly ReplayView[]> {
  const views = async (): Promise<readonly ReplayView[]> =>
    JSON.parse((await get(relay, "/v1/replays")).text) as readonly ReplayView[];
  await until(async () => (await views()).every(({ state }) => state === "done"));
  return views();
}

test("a replay of all partitions goes on at the other relay when one stops in the middle", {
  timeout: TEST_MAX_MS,
}, async () => {
  let isSlow = false;
  const pause = (): Promise<void> => new Promise((resume) => setTimeout(resume, isSlow ? SLOW_MS : 0));
  const settings = { batch: { maxEvents: 5, linger: "1ms" } };
  const world = await startReal("replay", { settings, arrived: pause });
  const { emulator } = world;
  const [one, two] = await startTwo(world);
  await capture(one, 0, EVENTS);
  await until(() => areDone(EVENTS, one, two));
  isSlow = true;
  const begun = await post(two, "/v1/replays/test", { destination: "emulator" });
  expect([begun.status, begun.json["account"]]).toMatchObject([202, { accepted: EVENTS }]);
  await until(() => emulator.duplicates > EVENTS / 8);
  await two.stop();
  expect(emulator.duplicates).toBeLessThan(EVENTS);
  const [replay] = await ended(one);
  expect(replay?.id).toBe(begun.json["id"]);
  expect(replay?.account).toMatchObject({ accepted: EVENTS, delivered: EVENTS, pending: 0, balanced: true });
  expect(replay?.partitions?.map(({ partition }) => partition)).toEqual([0, 1, 2, 3]);
  // Who stops ends what is in flight: nothing is sent twice.
  expect([emulator.received, emulator.duplicates]).toEqual([EVENTS, EVENTS]);
});

/** A process of its own, as the command starts it. */
function startProcess(topicPrefix: string, destinations: object): ChildProcess {
  const directory = mkdtempSync(join(tmpdir(), "waybill-test-"));
  const config = {
    engine: "kafka",
    kafka: { brokers: kafka().addresses, topicPrefix, partitions: PARTITIONS },
    listen: "127.0.0.1:0",
    dataDirectory: directory,
    admin: { listen: "127.0.0.1:0", token: TOKEN },
    network: { allowPrivateAddresses: true },
    environments: { test: { sources: { web: { protocol: "segment", writeKeys: [KEY] } }, destinations } },
  };
  const file = join(directory, "waybill.yaml");
  writeFileSync(file, JSON.stringify(config));
  const child = spawn(process.execPath, [COMMAND, "relay", "--config", file], { stdio: "ignore" });
  onTestFinished(() => {
    child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  });
  return child;
}

test("a replay of all partitions goes on at the other relay when one is killed in the middle", {
  timeout: TEST_MAX_MS,
}, async () => {
  const emulator = new SegmentEmulator({ clock: nodeClock, limits: "none" });
  const destinations = { segment: { vendor: "segment", url: await serve(emulator), writeKey: "out" } };
  const one = await (await startReal("killed", { destinations })).start("one", { admin: { token: TOKEN } });
  const two = startProcess("killed", destinations);
  const lanes = (): number => one.accounts().lanes.length;
  await until(() => lanes() === PARTITIONS / 2);
  await capture(one, 0, EVENTS);
  await until(() => emulator.received === EVENTS);
  const begun = await post(one, "/v1/replays/test", { destination: "segment", eventsPerSecond: EVENTS / 4 });
  expect([begun.status, begun.json["account"]]).toMatchObject([202, { accepted: EVENTS }]);
  await until(() => emulator.duplicates > EVENTS / 4);
  two.kill("SIGKILL");
  expect(emulator.duplicates).toBeLessThan(EVENTS / 2);
  await until(() => lanes() === PARTITIONS);
  const [replay] = await ended(one);
  expect(replay?.account).toMatchObject({ accepted: EVENTS, delivered: EVENTS, pending: 0, balanced: true });
  // What was in flight at the death goes twice, as events of the same ids.
  expect(emulator.received).toBe(EVENTS);
  expect(emulator.duplicates).toBeGreaterThanOrEqual(EVENTS);
  expect(emulator.duplicates).toBeLessThan(1.5 * EVENTS);
});

test("dead letters are retried from the relay that does not have them, and from any over all partitions", {
  timeout: TEST_MAX_MS,
}, async () => {
  const world = await startReal("retry");
  const { emulator } = world;
  const [one, two] = await startTwo(world);
  emulator.refuse((event) => (event["properties"] as { number: number }).number % 2 === 1);
  await capture(one, 0, 40);
  await until(() => areDone(40, one, two));
  expect(emulator.received).toBe(20);
  emulator.refuse(() => false);
  const theirs = two.accounts().lanes.find(({ account }) => account.rejected > 0);
  const partition = encodeURIComponent(theirs?.environment ?? "");
  const some = await post(one, `/v1/dead-letters/${partition}/emulator/retry`);
  expect([some.status, some.json["account"]]).toMatchObject([202, { accepted: theirs?.account.rejected }]);
  await ended(two);
  expect(emulator.received).toBe(20 + (theirs?.account.rejected ?? 0));
  const left = 40 - emulator.received;
  expect((await get(one, "/v1/dead-letters/test/emulator?state=waiting")).json["deadLetters"]).toHaveLength(left);
  const rest = await post(two, "/v1/dead-letters/test/emulator/retry");
  expect([rest.status, rest.json["events"]]).toEqual([202, left]);
  await until(() => emulator.received === 40);
  await ended(one);
  expect((await get(two, "/v1/dead-letters/test/emulator/reasons")).json).toMatchObject({ groups: [] });
  expect(emulator.duplicates).toBe(0);
});

test("a metric event gets Trophy's own answer through either relay", { timeout: TEST_MAX_MS }, async () => {
  const emulator = new emulators.TrophyEmulator({});
  const url = await serve(emulator);
  const backoff = { base: "10ms", max: "50ms" };
  const relays = await startTwo(
    await startReal("answers", {
      sources: { app: { protocol: "trophy", writeKeys: ["in.secret"] } },
      destinations: { trophy: { vendor: "trophy", url, writeKey: "out", backoff } },
    }),
  );
  for (const [round, relay] of relays.entries()) {
    const trophy = new TrophyClient({ apiKey: "in.secret", baseUrl: `${relay.intakeUrl}/v1`, maxRetries: 0 });
    const answers = await Promise.all(
      USERS.map((id) =>
        trophy.metrics.event({ key: "words", user: { id }, value: 2, idempotencyKey: `${id}-${round}` }),
      ),
    );
    expect(answers.map(({ total }) => total)).toEqual(USERS.map(() => 2 * (round + 1)));
    const refused = trophy.metrics.event({ key: "words", user: { id: "user-0" }, value: 1, attributes: { odd: "x" } });
    await expect(refused).rejects.toMatchObject({ statusCode: 422 });
  }
});

test("vendors' own SDKs that send to both relays in turn deliver each event once, a user's in order", {
  timeout: TEST_MAX_MS,
}, async () => {
  const posthogEmulator = new emulators.PosthogEmulator({ apiKeys: ["phc_out"] });
  const segmentEmulator = new SegmentEmulator({ clock: nodeClock });
  const relays = await startTwo(
    await startReal("sdks", {
      sources: {
        web: { protocol: "segment", writeKeys: [KEY] },
        app: { protocol: "posthog", writeKeys: ["phc_in"] },
      },
      destinations: {
        segment: { vendor: "segment", url: await serve(segmentEmulator), writeKey: "out", sources: ["web"] },
        posthog: { vendor: "posthog", url: await serve(posthogEmulator), writeKey: "phc_out", sources: ["app"] },
      },
    }),
  );
  let requests = 0;
  const inTurn = (url: string, init: RequestInit): Promise<Response> =>
    fetch(`${relays[requests++ % relays.length]?.intakeUrl}${new URL(url).pathname}`, init);
  const errors: unknown[] = [];
  const segment = new Analytics({ writeKey: KEY, flushAt: 5, httpClient: inTurn });
  segment.on("error", (error) => errors.push(error));
  const posthog = new PostHog("phc_in", { flushAt: 5, fetch: inTurn });
  posthog.on("error", (error) => errors.push(error));
  for (let round = 0; round < ROUNDS; round++) {
    for (const id of USERS) {
      segment.track({ userId: id, event: "Tracked", properties: { round } });
      posthog.capture({ distinctId: id, event: "captured", properties: { round } });
    }
    await Promise.all([segment.flush(), posthog.flush()]);
  }
  await Promise.all([segment.closeAndFlush(), posthog.shutdown()]);
  expect(errors).toEqual([]);
  expect(requests).toBeGreaterThan(ROUNDS);
  const expected = ROUNDS * USERS.length;
  await until(() => areDone(2 * 2 * expected, ...relays));
  expect([segmentEmulator.received, segmentEmulator.duplicates]).toEqual([expected, 0]);
  expect([posthogEmulator.events.length, posthogEmulator.duplicates]).toEqual([expected, 0]);
  const rounds = Array.from({ length: ROUNDS }, (_, round) => round);
  const roundOf = (event: object): number => (event as { properties: { round: number } }).properties.round;
  for (const id of USERS) {
    const tracked = segmentEmulator.events.filter(({ event }) => event["userId"] === id);
    expect(tracked.map(({ event }) => roundOf(event))).toEqual(rounds);
    const captured = posthogEmulator.events.filter((event) => event["distinct_id"] === id);
    expect(captured.map(roundOf)).toEqual(rounds);
  }
});

test("a setting of a topic that an operator changes is reported until it is set back", async () => {
  const { addresses } = kafka();
  const lines: string[] = [];
  const topics = new WatchedTopics({
    broker: await connectTo(kafka()),
    brokers: addresses,
    // Topics are looked at every minute.
    clock: { ...nodeClock, after: (ms, run, hold) => nodeClock.after(ms / 1_000, run, hold) },
    needs: {
      partitions: 1,
      replicationFactor: 3,
      minInSyncReplicas: 2,
      retention: { maxAgeMs: 0, hardMaxBytes: 0 },
    },
    report: (code) => void lines.push(code),
  });
  onTestFinished(() => topics.close());
  await topics.open(["watched"]);
  topics.watch();
  await alterConfigs(kafka(), { type: "topic", name: "watched" }, { "min.insync.replicas": "1" });
  await until(() => topics.faults.length > 0);
  expect(topics.faults).toEqual([expect.stringMatching(/^watched: it acknowledges what 1 /)]);
  await alterConfigs(kafka(), { type: "topic", name: "watched" }, { "min.insync.replicas": "2" });
  await until(() => topics.faults.length === 0);
  expect(lines).toEqual(["topic_faulty", "topic_repaired"]);
});

test("a relay that died is missing no more once another process has its address and its lanes", async () => {
  let aheadMs = 0;
  const clock = { ...nodeClock, monotonic: () => nodeClock.monotonic() + aheadMs };
  const open = async (name: string, advertise: string, partition: number) => {
    const broker = await connectTo(kafka());
    const lane = {
      environment: "test",
      destination: "emulator",
      partition,
      mode: "idle",
      position: 0,
      offset: 0,
    } as const;
    const control = await ClusterControl.open({
      broker,
      clock,
      random: nodeRuntime().random,
      kafka: {
        brokers: kafka().addresses,
        topicPrefix: "restarted",
        partitions: 2,
        replicationFactor: 3,
        minInSyncReplicas: 2,
        clientId: name,
        advertise,
      },
      carryOut: {
        faults: () => [],
        steer: () => undefined,
        replay: () => undefined,
        adopt: () => Promise.resolve(),
        reload: () => Promise.resolve({ ok: true, changed: [], errors: [] }),
        lanes: () => [{ ...lane, pendingEvents: 0, inFlight: 0 }],
        config: () => ({ configDigest: "abc" }),
      },
      report: () => undefined,
      name,
      version: "1",
    });
    await control.start();
    return { control, broker };
  };
  const one = await open("one", "http://one:8081", 0);
  const shown = (): readonly string[] =>
    one.control.directory.relays().map(({ name, isMissing }) => (isMissing ? `${name} is missing` : name));
  const two = await open("two", "http://two:8081", 1);
  await until(() => shown().length === 2);
  await two.broker.close();
  aheadMs = 16_000;
  await until(() => shown().join() === "one,two is missing");
  const three = await open("three", "http://two:8081", 1);
  await until(() => shown().join() === "one,three");
  await Promise.all([one, three].map(({ control }) => control.stop()));
});
