/** The commands for a log on Kafka, with a real broker that has TLS and users. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Broker, encodeValue } from "@waybill/log-kafka";
import { createTestCa } from "@waybill/testing";
import { expect, test } from "vitest";
import { connectTo, DEADLINE, withCluster } from "../../log-kafka/test/lib/real-cluster.ts";
import { runHere, start, temporary } from "./lib/command.ts";

const TEST_MAX_MS = 120_000;
const TOPIC = "waybill.production";
const PARTITIONS = 2;
const PASSWORD = "a-long-password";
const CA = createTestCa();
const cluster = withCluster({
  brokers: 1,
  security: { ...CA.issue("localhost"), username: "relay", password: PASSWORD },
});

function configFile(password = PASSWORD): string {
  const directory = temporary();
  const [file, ca] = [join(directory, "waybill.yaml"), join(directory, "ca.pem")];
  writeFileSync(ca, CA.cert);
  const sasl = { mechanism: "scram-sha-512", username: "relay", password };
  const sources = { web: { protocol: "segment", writeKeys: ["k"] } };
  const destinations = { one: { vendor: "segment", writeKey: "k" } };
  const kafka = { brokers: cluster().addresses, tls: { ca }, sasl, partitions: PARTITIONS, replicationFactor: 1 };
  const environments = { production: { sources, destinations } };
  const config = { engine: "kafka", kafka, dataDirectory: join(directory, "data"), environments };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

async function produce(broker: Broker, partition: number, text: string): Promise<void> {
  const body = Buffer.from(JSON.stringify(text));
  const ends = Uint32Array.of(body.length);
  const entry = { source: "web", receivedAtMs: Date.now(), metadata: "", body: [body], ends };
  await broker.produce({ topic: TOPIC, partition, values: [encodeValue(entry)], ...DEADLINE });
}

test(
  "dump, verify and tail read the topics; tail follows all partitions until Ctrl-C",
  async () => {
    const tls = (): { ca: string } => ({ ca: CA.cert });
    const broker = await connectTo(cluster(), {
      tls,
      sasl: { mechanism: "SCRAM-SHA-512", username: "relay", password: PASSWORD },
    });
    const configs = { "message.timestamp.type": "LogAppendTime" };
    await broker.create({ topic: TOPIC, partitions: PARTITIONS, replicationFactor: 1, configs, deadlineMs: 30_000 });
    await produce(broker, 0, "first");
    await produce(broker, 1, "second");
    const of = ["production", "--config", configFile()];
    const dumped = await runHere(["log", "dump", ...of]);
    expect([
      dumped.code,
      dumped.out.match(/"receipt":"production\/\d@0\+1".*"event":"(first|second)"/g)?.length,
    ]).toEqual([0, 2]);
    expect(await runHere(["log", "verify", ...of])).toMatchObject({
      code: 0,
      out: expect.stringContaining("production/1: offsets 0 to 1, 1 record, 1 event"),
    });
    const following = start(["log", "tail", ...of, "-n", "1", "--follow"]);
    await following.says(/"event":"second"/);
    await produce(broker, 0, "third");
    await following.says(/"receipt":"production\/0@1\+1".*"event":"third"/);
    following.process.kill("SIGINT");
    const { code, out } = await following.ended;
    expect([code, out.trim().split("\n").length]).toEqual([0, 2]);
  },
  TEST_MAX_MS,
);

test(
  "what the cluster refuses is an error of one line, with what to do, and exit code 1",
  async () => {
    const file = configFile("another-password");
    for (const args of [
      ["log", "copy", file, "--to", "kafka"],
      ["log", "verify", "production", "--config", file],
      ["log", "tail", "production", "--config", file, "--follow"],
    ]) {
      const { code, err } = await runHere(args);
      expect([code, err.trim().split("\n").length], err).toEqual([1, 2]);
      expect(err).toMatch(/^waybill: The Kafka cluster .*\n {2}\S/);
    }
  },
  TEST_MAX_MS,
);
