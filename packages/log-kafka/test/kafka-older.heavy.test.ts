/** Real brokers whose groups do not fence each partition: an older one, one without KIP-848. */
import { setTimeout as sleep } from "node:timers/promises";
import { nodeClock } from "@waybill/node";
import { testOlderGroups } from "@waybill/testing/suites";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { KafkaBroker } from "../src/index.ts";
import type * as Groups from "../src/kafka/groups.ts";
import { again, connectTo, DEADLINE, withCluster } from "./lib/real-cluster.ts";

const OLDER = "4.2.0";
const TEST_MAX_MS = 60_000;
const LEAVE = { group: "g", memberId: "stranger", memberEpoch: -1, ...DEADLINE };
/** Of heartbeats: whether the broker is older is looked at. */
const check = vi.hoisted(() => ({ isOn: true }));

beforeEach(() => {
  check.isOn = true;
});

vi.mock("../src/kafka/groups.ts", async (load) => {
  const groups = await load<typeof Groups>();
  const heartbeatCall: typeof groups.heartbeatCall = (...asked) => {
    const { metadataVersion, ...call } = groups.heartbeatCall(...asked);
    return check.isOn && metadataVersion !== undefined ? { ...call, metadataVersion } : call;
  };
  return { ...groups, heartbeatCall };
});

describe(`Kafka ${OLDER}`, () => {
  const cluster = withCluster({ brokers: 1, version: OLDER });

  test(
    "is unsupported at the first heartbeat, and named with its address",
    async () => {
      const broker = await connectTo(cluster());
      const message = `heartbeat of g needs metadata.version 30 (Kafka 4.3), the broker at ${cluster().addresses[0]} has 29 at most`;
      await expect(again(() => broker.heartbeat(LEAVE))).rejects.toMatchObject({ code: "unsupported", message });
    },
    TEST_MAX_MS,
  );

  testOlderGroups("real", () => {
    check.isOn = false;
    return {
      connect: async (clientId) => {
        const broker = await KafkaBroker.connect({ brokers: cluster().addresses, clientId, clock: nodeClock });
        await again(() =>
          broker.committed({ group: "first", partitions: [{ topic: "t", partition: 0 }], ...DEADLINE }),
        );
        return broker;
      },
      settled: (result) => result,
      wait: (ms) => sleep(ms),
      now: () => Date.now(),
      brokers: 1,
    };
  });
});

describe("Kafka with group.version 0", () => {
  const cluster = withCluster({ brokers: 1, features: { "group.version": 0 } });

  test(
    "is unsupported at the first heartbeat",
    async () => {
      const broker = await connectTo(cluster());
      await expect(again(() => broker.heartbeat(LEAVE))).rejects.toMatchObject({
        code: "unsupported",
        message: "heartbeat of g: the broker's groups of KIP-848 are switched off (Kafka's error 35)",
      });
    },
    TEST_MAX_MS,
  );
});
