/** One real broker with TLS and SASL, whose groups are of the classic protocol alone. */
import { randomUUID } from "node:crypto";
import { createTestCa } from "@waybill/testing";
import { expect, test } from "vitest";
import type { KafkaSasl } from "../src/index.ts";
import { again, codeOf, connectTo, DEADLINE, newTopic, readAll, withCluster } from "./lib/real-cluster.ts";

const TEST_MAX_MS = 60_000;
const NAME = "relay";
const PASSWORD = "a-long-password";
const CA = createTestCa();
const cluster = withCluster({
  brokers: 1,
  security: { ...CA.issue("localhost"), username: NAME, password: PASSWORD },
  settings: { "group.coordinator.rebalance.protocols": "classic" },
});
const TLS = { tls: () => ({ ca: CA.cert }) };

function sasl(mechanism: KafkaSasl["mechanism"], password = PASSWORD): { readonly sasl: KafkaSasl } {
  return { sasl: { mechanism, username: NAME, password } };
}

test.each(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const)(
  "sends and reads over TLS with %s",
  async (mechanism) => {
    const broker = await connectTo(cluster(), { ...TLS, ...sasl(mechanism) });
    const at = { topic: await newTopic(broker, { replicas: 1, minInSync: 1 }), partition: 0 };
    // A topic that has just been made may have no leader yet.
    const produced = await again(() => broker.produce({ ...at, values: [Buffer.from("a")], ...DEADLINE }));
    expect(produced).toMatchObject({ offset: 0 });
    const records = await readAll(broker, at);
    expect(records.map(({ value }) => Buffer.from(value).toString())).toEqual(["a"]);
  },
  TEST_MAX_MS,
);

test(
  "a wrong password is unauthorized, and soon",
  async () => {
    for (const mechanism of ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const) {
      const broker = await connectTo(cluster(), { ...TLS, ...sasl(mechanism, "wrong") });
      expect(await codeOf(broker.describe({ topics: ["x"], ...DEADLINE }))).toBe("unauthorized");
    }
  },
  TEST_MAX_MS,
);

test(
  "without TLS, without a password and with another CA nothing is reached",
  async () => {
    const others = [{ ...sasl("PLAIN") }, { ...TLS }, { tls: () => ({ ca: createTestCa().cert }), ...sasl("PLAIN") }];
    for (const options of others) {
      const broker = await connectTo(cluster(), options);
      const code = await codeOf(broker.describe({ topics: ["x"], deadlineMs: 3000 }));
      expect(["unreachable", "timeout", "unauthorized"]).toContain(code);
    }
    const broker = await connectTo(cluster(), { tls: () => ({ ca: createTestCa().cert }), ...sasl("PLAIN") });
    await expect(broker.describe({ topics: ["x"], ...DEADLINE })).rejects.toThrow(/certificate/);
  },
  TEST_MAX_MS,
);

test(
  "groups of the classic protocol alone are unsupported",
  async () => {
    const broker = await connectTo(cluster(), { ...TLS, ...sasl("SCRAM-SHA-512") });
    const join = {
      group: "g",
      memberId: randomUUID(),
      memberEpoch: 0,
      topics: ["x"],
      owned: [],
      rebalanceTimeoutMs: 5000,
    };
    await expect(again(() => broker.heartbeat({ ...join, ...DEADLINE }))).rejects.toMatchObject({
      code: "unsupported",
      message: "heartbeat of g: the broker's groups of KIP-848 are switched off (Kafka's error 35)",
    });
  },
  TEST_MAX_MS,
);
