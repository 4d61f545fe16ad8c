/** Topics at the start: created, or checked and refused with what repairs them. */
import type { WaybillError } from "@waybill/core";
import { BrokerError, openTopics, type TopicsOptions, topicNameFaults } from "@waybill/log-kafka";
import { VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import { runUntil } from "./lib/run-until.ts";

const OPTIONS: TopicsOptions = {
  topics: ["waybill.production", "waybill.production.crm.dead"],
  bootstrap: "kafka:9092",
  partitions: 4,
  replicationFactor: 3,
  minInSyncReplicas: 2,
  retention: { maxAgeMs: 1_000_000, hardMaxBytes: 1_000_000 },
};
const [EVENTS = ""] = OPTIONS.topics;

const SAFE: Readonly<Record<string, string>> = {
  "cleanup.policy": "delete",
  "compression.type": "uncompressed",
  "max.message.bytes": "8388608",
  "message.timestamp.type": "LogAppendTime",
  "min.insync.replicas": "2",
  "retention.bytes": "-1",
  "retention.ms": "-1",
  "unclean.leader.election.enable": "false",
};

function start(): { readonly clock: VirtualClock; readonly cluster: SimCluster } {
  const clock = new VirtualClock();
  return { clock, cluster: new SimCluster({ clock }) };
}

/** What comes of a start where the topic of events is there with these settings. */
async function startedWith(
  configs: Readonly<Record<string, string | undefined>>,
  topic: { readonly partitions?: number; readonly replicationFactor?: number } = {},
  options: Partial<TopicsOptions> = {},
): Promise<{ readonly error: string; readonly warnings: readonly string[] }> {
  const { clock, cluster } = start();
  const broker = cluster.connect("relay");
  const given = Object.fromEntries(
    Object.entries({ ...SAFE, ...configs }).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  const existing = { topic: EVENTS, partitions: 4, replicationFactor: 3, ...topic, configs: given };
  await runUntil(clock, broker.create({ ...existing, deadlineMs: 1_000 }));
  return runUntil(clock, openTopics(broker, clock, { ...OPTIONS, topics: [EVENTS], ...options })).then(
    ({ warnings }) => ({ error: "", warnings }),
    (error: unknown) => {
      expect(error).toMatchObject({ code: "WAYBILL_LOG_TOPIC", retryable: false });
      return { error: (error as Error).message, warnings: [] };
    },
  );
}

test("missing topics are created so that nothing is lost in them", async () => {
  const { clock, cluster } = start();
  const broker = cluster.connect("relay");
  const opened = await runUntil(clock, openTopics(broker, clock, OPTIONS));
  expect(opened.topics).toEqual(
    OPTIONS.topics.map((topic) => ({ topic, created: true, maxMessageBytes: 8 * 1024 * 1024 })),
  );
  expect(opened.warnings).toEqual([]);
  const found = await runUntil(clock, broker.describe({ topics: OPTIONS.topics, deadlineMs: 1_000 }));
  for (const { configs, partitions } of found) {
    expect(configs).toEqual(SAFE);
    expect(partitions.map(({ replicas }) => replicas.length)).toEqual([3, 3, 3, 3]);
  }
  // The second start finds them, and has nothing against them.
  const again = await runUntil(clock, openTopics(broker, clock, OPTIONS));
  expect(again.topics.map(({ created }) => created)).toEqual([false, false]);
});

const CONTROL = { isCompacted: true, partitions: 1 };

test("a compacted topic is created as one, and checked as one", async () => {
  const { clock, cluster } = start();
  const broker = cluster.connect("relay");
  const options = { ...OPTIONS, ...CONTROL, topics: ["waybill.desired"] };
  await runUntil(clock, openTopics(broker, clock, options));
  const [found] = await runUntil(clock, broker.describe({ topics: options.topics, deadlineMs: 1_000 }));
  expect(found?.configs).toEqual({
    ...SAFE,
    "cleanup.policy": "compact",
    "segment.bytes": "16777216",
    "segment.ms": "600000",
  });
  await runUntil(clock, openTopics(broker, clock, options));
  // Kafka's own retention is of no matter to it.
  const compacted = { "cleanup.policy": "compact", "retention.ms": "1", "retention.bytes": "1" };
  expect(await startedWith(compacted, { partitions: 1 }, CONTROL)).toEqual({ error: "", warnings: [] });
  const removed = await startedWith({ "cleanup.policy": "compact,delete" }, { partitions: 1 }, CONTROL);
  expect(removed.error).toContain("it is not compacted (compact,delete)");
  expect(removed.error).toContain("--add-config cleanup.policy=compact");
  const wide = await startedWith(compacted, { partitions: 4 }, CONTROL);
  expect(wide.error).toContain("it has 4 partitions, and must have 1");
  expect(wide.error).toContain(`--delete --topic ${EVENTS}`);
});

test("relays that start together both come up", async () => {
  const { clock, cluster } = start();
  const opened = await runUntil(
    clock,
    Promise.all(["a", "b", "c"].map((name) => openTopics(cluster.connect(name), clock, OPTIONS))),
  );
  for (const { topics } of opened) expect(topics.map(({ topic }) => topic)).toEqual(OPTIONS.topics);
});

test.each<[string, Readonly<Record<string, string>>, string, string]>([
  [
    "the sender's time",
    { "message.timestamp.type": "CreateTime" },
    "neither duplicates nor ages are known",
    "message.timestamp.type=LogAppendTime",
  ],
  ["compaction", { "cleanup.policy": "compact" }, "it is compacted", "cleanup.policy=delete"],
  ["compaction beside removal", { "cleanup.policy": "compact,delete" }, "it is compacted", "cleanup.policy=delete"],
  [
    "one in-sync replica",
    { "min.insync.replicas": "1" },
    "it acknowledges what 1 broker has, kafka.minInSyncReplicas is 2",
    "min.insync.replicas=2",
  ],
  [
    "more in sync than replicas",
    { "min.insync.replicas": "4" },
    "it wants 4 replicas in sync and has 3",
    "min.insync.replicas=2",
  ],
  [
    "unclean leaders",
    { "unclean.leader.election.enable": "true" },
    "a replica that is behind may become its leader",
    "unclean.leader.election.enable=false",
  ],
  [
    "short retention",
    { "retention.ms": "999999" },
    "removes its events after 999999 ms, retention.maxAge is 1000000 ms",
    "retention.ms=-1",
  ],
  // Of a partition.
  [
    "small retention",
    { "retention.bytes": "249999" },
    "above 999996 bytes, retention.hardMaxBytes",
    "retention.bytes=-1",
  ],
])("a topic with %s is refused, with the command that repairs it", async (_what, configs, reason, setting) => {
  const { error } = await startedWith(configs);
  expect(error).toContain(`${EVENTS}: `);
  expect(error).toContain(reason);
  expect(error).toContain(
    `kafka-configs.sh --bootstrap-server kafka:9092 --alter --entity-type topics --entity-name ${EVENTS} --add-config ${setting}`,
  );
});

test("another number of partitions is refused, whichever it is", async () => {
  for (const partitions of [3, 5])
    expect((await startedWith({}, { partitions })).error).toContain(
      `it has ${partitions} partitions, kafka.partitions is 4`,
    );
});

test("once an operator has given the topic of events more partitions, the others are to have as many", async () => {
  const options = { partitions: 6, topics: OPTIONS.topics };
  const { clock, cluster } = start();
  const broker = cluster.connect("relay");
  for (const [topic, partitions] of [...OPTIONS.topics.entries()].map(([at, topic]) => [topic, 6 - 2 * at] as const))
    await runUntil(clock, broker.create({ topic, partitions, replicationFactor: 3, configs: SAFE, deadlineMs: 1_000 }));
  const [, companion = ""] = OPTIONS.topics;
  await expect(runUntil(clock, openTopics(broker, clock, { ...OPTIONS, ...options }))).rejects.toMatchObject({
    message: expect.stringMatching(
      `${companion}: it has 4 .*\n {2}kafka-topics.sh --bootstrap-server kafka:9092 --alter --topic ${companion} --partitions 6$`,
    ) as string,
  });
  const before = runUntil(clock, openTopics(broker, clock, OPTIONS));
  await expect(before).rejects.toMatchObject({ message: expect.stringMatching(/ {2}kafka.partitions: 6$/) as string });
});

test("a companion with more partitions than the topic of events has no repair that breaks the order", async () => {
  const { clock, cluster } = start();
  const broker = cluster.connect("relay");
  for (const [at, topic] of OPTIONS.topics.entries()) {
    const partitions = 4 + 2 * at;
    await runUntil(clock, broker.create({ topic, partitions, replicationFactor: 3, configs: SAFE, deadlineMs: 1_000 }));
  }
  const message = expect.stringMatching(
    /production\.crm\.dead: it has 6 .*\n {2}choose another kafka\.topicPrefix; or .* 6$/,
  );
  const [events = "", dead = ""] = OPTIONS.topics;
  const fates = dead.replace("dead", "fates");
  // As at a start, and as for a destination that is added.
  for (const topics of [
    [events, dead, fates],
    [dead, fates],
  ]) {
    const opening = runUntil(clock, openTopics(broker, clock, { ...OPTIONS, topics }));
    await expect(opening).rejects.toMatchObject({ message });
  }
});

test("a user that the brokers refuse is looked for in kafka.sasl, anything else in the addresses", async () => {
  const { clock } = start();
  const hintOf = async (code: "unauthorized" | "unreachable"): Promise<string> => {
    const describe = (): Promise<never> => Promise.reject(new BrokerError(code, "no"));
    const broker = { ...start().cluster.connect("relay"), describe };
    return runUntil(clock, openTopics(broker as never, clock, OPTIONS)).then(
      () => "",
      (error: unknown) => (error as WaybillError).hint ?? "",
    );
  };
  expect(await hintOf("unauthorized")).toContain("kafka.sasl");
  expect(await hintOf("unreachable")).toContain("kafka.tls");
});

test("fewer replicas are refused, and one is taken where the configuration has it so", async () => {
  expect((await startedWith({}, { replicationFactor: 2 })).error).toContain(
    "has 2 replicas, kafka.replicationFactor is 3",
  );
  const one = { replicationFactor: 1, minInSyncReplicas: 1 };
  expect((await startedWith({ "min.insync.replicas": "1" }, { replicationFactor: 1 }, one)).error).toBe("");
});

test("all reasons are reported at once", async () => {
  const { error } = await startedWith({ "cleanup.policy": "compact", "retention.ms": "1" }, { partitions: 1 });
  expect(error.match(/waybill\.production: /g)).toHaveLength(3);
});

test("what is allowed and may lose events is a warning, and what the broker does not tell as well", async () => {
  expect(await startedWith({ "retention.ms": "1000000" })).toEqual({
    error: "",
    warnings: [`${EVENTS}: Kafka removes events by retention.ms=1000000, also those that a destination still needs`],
  });
  expect(await startedWith({ "unclean.leader.election.enable": undefined })).toEqual({
    error: "",
    warnings: [`${EVENTS}: the broker does not tell its unclean.leader.election.enable, so that it is not checked`],
  });
});

test("a topic that cannot be created is reported with the command that makes it", async () => {
  const { clock, cluster } = start();
  const opening = openTopics(cluster.connect("relay"), clock, { ...OPTIONS, replicationFactor: 4 });
  await expect(runUntil(clock, opening)).rejects.toMatchObject({
    code: "WAYBILL_LOG_TOPIC",
    reason: "invalid",
    message: expect.stringContaining(
      `kafka-topics.sh --bootstrap-server kafka:9092 --create --topic ${EVENTS} --partitions 4 --replication-factor 4 --config cleanup.policy=delete`,
    ) as string,
  });
});

test("a cluster that comes late is waited for, and one that does not come is reported", async () => {
  const { clock, cluster } = start();
  const broker = cluster.connect("relay");
  let isAway = true;
  const late = new Proxy(broker, {
    get: (target, name) =>
      name === "describe" && isAway
        ? () => Promise.reject(new BrokerError("unreachable", "refused"))
        : (Reflect.get(target, name) as () => void).bind(target),
  });
  clock.after(5_000, () => (isAway = false));
  expect((await runUntil(clock, openTopics(late, clock, OPTIONS))).topics).toHaveLength(2);
  isAway = true;
  const beganMs = clock.monotonic();
  await expect(runUntil(clock, openTopics(late, clock, OPTIONS))).rejects.toMatchObject({
    code: "WAYBILL_LOG_UNAVAILABLE",
    retryable: true,
    reason: "unreachable",
  });
  expect(clock.monotonic() - beganMs).toBeGreaterThanOrEqual(30_000);
});

test("names that Kafka refuses or takes for one another are found", () => {
  const faults = (prefix: string, names: Readonly<Record<string, readonly string[]>>): readonly string[] =>
    topicNameFaults(
      prefix,
      Object.entries(names).map(([name, destinations]) => ({ name, destinations })),
    ).map(({ environment, destination = "", message }) => `${environment}/${destination} ${message}`);
  expect(faults("waybill", { production: ["crm", "hook-1"], staging: ["crm"] })).toEqual([]);
  expect(faults("waybill", { a: ["b_c"], a_b: ["c"] })).toEqual([
    "a_b/c has the topic waybill.a_b.c.dead, which Kafka takes for waybill.a.b_c.dead of a/b_c",
  ]);
  expect(faults("waybill", { a_b_dead: [], a: ["b"] })).toEqual([
    "a/b has the topic waybill.a.b.dead, which Kafka takes for waybill.a_b_dead of a_b_dead",
  ]);
  expect(faults("waybill", { desired: [], relays: [] })).toEqual([
    "desired/ has the topic waybill.desired, which Kafka takes for waybill.desired of the relays",
    "relays/ has the topic waybill.relays, which Kafka takes for waybill.relays of the relays",
  ]);
  // `waybill.a.crm.dead` of another installation, whose prefix is `waybill`.
  expect(faults("waybill.a.crm", { dead: [], deadly: [], fates: ["dead"], marks: [] })).toEqual(
    ["dead", "fates", "marks"].map((name) => expect.stringContaining(`${name}/ is a name that Waybill needs`)),
  );
  expect(faults("waybill", { ü: [] })).toEqual(["ü/ makes a topic that Kafka does not allow: waybill.ü"]);
  const long = "x".repeat(63);
  expect(faults("p".repeat(120), { [long]: [long] })[0]).toMatch(/too long: its topic \S+ has 253 characters/);
});
