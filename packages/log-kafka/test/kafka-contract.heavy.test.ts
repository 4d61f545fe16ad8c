/** The contract of a broker, on real ones: what the simulated cluster does is what they do. */
import { setTimeout as sleep } from "node:timers/promises";
import { nodeClock } from "@waybill/node";
import { testBroker } from "@waybill/testing/suites";
import { beforeAll } from "vitest";
import { KafkaBroker } from "../src/index.ts";
import { again, DEADLINE, withCluster } from "./lib/real-cluster.ts";

/** One test waits for it; no stall of a busy machine may be as long. */
const GROUP_SESSION_MS = 10_000;
/** No broker dies here: none is to be taken for dead. */
const BROKER_SESSION_MS = 30_000;
const cluster = withCluster({
  brokers: 3,
  groupSessionMs: GROUP_SESSION_MS,
  settings: { "broker.session.timeout.ms": String(BROKER_SESSION_MS) },
});
const WARM_MAX_MS = 60_000;

// The first call of a group makes the topic of the groups, which takes its time.
beforeAll(async () => {
  if (cluster() === undefined) return;
  const broker = await connect("first");
  await again(() => broker.committed({ group: "first", partitions: [{ topic: "x", partition: 0 }], ...DEADLINE }));
  await broker.close();
}, WARM_MAX_MS);

function connect(clientId: string): ReturnType<typeof KafkaBroker.connect> {
  return KafkaBroker.connect({ brokers: cluster().addresses, clientId, clock: nodeClock });
}

testBroker("real", () => ({
  connect,
  settled: (result) => result,
  wait: (ms) => sleep(ms),
  now: () => Date.now(),
  brokers: 3,
  sessionTimeoutMs: GROUP_SESSION_MS,
}));
