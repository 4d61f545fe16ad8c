/** `KafkaBroker` with a server that hangs, breaks, lacks something or answers nonsense. */
import * as library from "@platformatic/kafka";
import { VirtualClock } from "@waybill/testing";
import { expect, onTestFinished, test, vi } from "vitest";
import { type Broker, BrokerError, KafkaBroker } from "../src/index.ts";
import { encodeBatch } from "../src/kafka/record-batches.ts";
import { API, BY_SOCKETS, FakeKafka, fetchedAnswer, heartbeatAnswer, producedAnswer } from "./lib/fake-kafka.ts";

const DEADLINE = { deadlineMs: 5000 };
const AT = { topic: "t", partition: 0 };
const RECORD = { ...AT, values: [Buffer.from("a")], ...DEADLINE };
const FETCH = { ...AT, offset: 0, maxBytes: 1000, maxWaitMs: 0, ...DEADLINE };
const OFFSET = { offset: 1, metadata: "" };
const NOT_LEADER = 6;
const UNSUPPORTED_VERSION = 35;

interface World {
  readonly fake: FakeKafka;
  readonly clock: VirtualClock;
  readonly broker: Broker;
}

async function world(lacks: readonly number[] = []): Promise<World> {
  const fake = await FakeKafka.start(lacks);
  const clock = new VirtualClock();
  const broker = await KafkaBroker.connect({ brokers: [fake.address], clientId: "test", clock });
  onTestFinished(() => broker.close());
  return { fake, clock, broker };
}

async function codeOf(call: Promise<unknown>): Promise<string | undefined> {
  return call.then(
    () => undefined,
    (error: unknown) => (error instanceof BrokerError ? error.code : String(error)),
  );
}

/** Waits for what sockets do, which no clock moves. */
function called(fake: FakeKafka, key: number, times = 1): Promise<void> {
  return vi.waitFor(() => expect(fake.callsOf(key)).toBeGreaterThanOrEqual(times), BY_SOCKETS);
}

test("a call that is never answered ends at its deadline, and the next one has a new connection", async () => {
  const { fake, clock, broker } = await world();
  const code = codeOf(broker.produce(RECORD));
  await called(fake, API.produce);
  await clock.advance(DEADLINE.deadlineMs - 1);
  fake.answers.set(API.produce, () => producedAnswer(0, 7));
  await clock.advance(2);
  expect(await code).toBe("timeout");
  const connections = fake.callsOf(API.apiVersions);
  expect(await broker.produce(RECORD)).toEqual({ offset: 7 });
  expect(fake.callsOf(API.apiVersions)).toBe(connections + 1);
});

test("a server that takes the connection and nothing more costs each call its own deadline", async () => {
  const { fake, clock, broker } = await world();
  fake.answers.delete(API.apiVersions);
  const codes = [
    codeOf(broker.produce({ ...RECORD, deadlineMs: 100 })),
    codeOf(broker.produce({ ...RECORD, deadlineMs: 300 })),
  ];
  await called(fake, API.apiVersions);
  await clock.advance(101);
  expect(await codes[0]).toBe("timeout");
  await clock.advance(200);
  expect(await codes[1]).toBe("timeout");
});

test("a connection that breaks fails the calls on it, once, and is made anew", async () => {
  const { fake, broker } = await world();
  fake.answers.set(API.produce, (socket) => void socket.destroy());
  const codes = [codeOf(broker.produce(RECORD)), codeOf(broker.produce(RECORD))];
  expect(await Promise.all(codes)).toEqual(["unreachable", "unreachable"]);
  expect(fake.callsOf(API.produce)).toBe(2);
  fake.answers.set(API.produce, () => producedAnswer(0, 3));
  expect(await broker.produce(RECORD)).toEqual({ offset: 3 });
});

test("nobody listens: unreachable", async () => {
  const { fake, broker } = await world();
  const gone = await KafkaBroker.connect({ brokers: ["127.0.0.1:1"], clientId: "test", clock: new VirtualClock() });
  expect(await codeOf(gone.produce(RECORD))).toBe("unreachable");
  expect(await codeOf(broker.produce({ ...RECORD, topic: "other" }))).toBe("unknown_topic");
  expect(fake.callsOf(API.produce)).toBe(0);
});

test("the leader is looked up again before the next call, not within the one that failed", async () => {
  const { fake, broker } = await world();
  fake.answers.set(API.produce, () => producedAnswer(NOT_LEADER, -1));
  expect(await codeOf(broker.produce(RECORD))).toBe("not_leader");
  expect([fake.callsOf(API.produce), fake.callsOf(API.metadata)]).toEqual([1, 1]);
  fake.answers.set(API.metadata, () => fake.metadata(-1));
  expect(await codeOf(broker.produce(RECORD))).toBe("not_leader");
  expect([fake.callsOf(API.produce), fake.callsOf(API.metadata)]).toEqual([1, 2]);
  fake.answers.set(API.metadata, () => fake.metadata());
  fake.answers.set(API.produce, () => producedAnswer(0, 4));
  expect(await broker.produce(RECORD)).toEqual({ offset: 4 });
  expect(await broker.produce(RECORD)).toEqual({ offset: 4 });
  expect([fake.callsOf(API.produce), fake.callsOf(API.metadata)]).toEqual([3, 3]);
});

test("a broker that has not heard of a topic that exists is not its leader yet", async () => {
  const { fake, broker } = await world();
  fake.answers.set(API.produce, () => producedAnswer(3, -1));
  expect(await codeOf(broker.produce(RECORD))).toBe("not_leader");
});

test("a fetch that waits holds up neither a send nor a second fetch", async () => {
  const { fake, clock, broker } = await world();
  const waiting = codeOf(broker.fetch({ ...FETCH, maxWaitMs: 4000 }));
  await called(fake, API.metadata);
  await vi.waitFor(async () => {
    await clock.advance(1);
    expect(fake.callsOf(API.fetch)).toBe(1);
  }, BY_SOCKETS);
  fake.answers.set(API.produce, () => producedAnswer(0, 1));
  fake.answers.set(API.fetch, () => fetchedAnswer(Buffer.alloc(0)));
  expect(await broker.produce(RECORD)).toEqual({ offset: 1 });
  expect(await broker.fetch(FETCH)).toEqual({ records: [], end: 9, first: 0 });
  await broker.close();
  expect(await waiting).toBe("unreachable");
  expect(await codeOf(broker.fetch(FETCH))).toBe("unreachable");
});

const JOIN = { group: "g", memberId: "m", memberEpoch: 0, topics: ["t"], owned: [], rebalanceTimeoutMs: 1000 };

test("a broker without groups of KIP-848 is unsupported; the rest of it works", async () => {
  const { fake, broker } = await world([API.heartbeat]);
  await expect(broker.heartbeat({ ...JOIN, ...DEADLINE })).rejects.toThrow(
    `heartbeat of g needs version 0 of Kafka's API 68, the broker at ${fake.address} has none`,
  );
  expect(await codeOf(broker.heartbeat({ ...JOIN, ...DEADLINE }))).toBe("unsupported");
  fake.answers.set(API.produce, () => producedAnswer(0, 1));
  expect(await broker.produce(RECORD)).toEqual({ offset: 1 });
});

test.each([
  [{ "metadata.version": [7, 29], "group.version": [0, 30] } as const, "29 at most"],
  [{ "group.version": [0, 30] } as const, "none"],
  [{}, "none"],
])("a broker that supports %j has no groups that fence each partition", async (features, has) => {
  const { fake, broker } = await world();
  fake.features = features;
  await expect(broker.heartbeat({ ...JOIN, ...DEADLINE })).rejects.toMatchObject({
    code: "unsupported",
    message: `heartbeat of g needs metadata.version 30 (Kafka 4.3), the broker at ${fake.address} has ${has}`,
  });
  expect(fake.callsOf(API.heartbeat)).toBe(0);
});

test("a broker that refuses the version of a heartbeat has groups of KIP-848 switched off", async () => {
  const { fake, broker } = await world();
  fake.answers.set(API.heartbeat, () => heartbeatAnswer(0, UNSUPPORTED_VERSION));
  await expect(broker.heartbeat({ ...JOIN, ...DEADLINE })).rejects.toMatchObject({
    code: "unsupported",
    message: "heartbeat of g: the broker's groups of KIP-848 are switched off (Kafka's error 35)",
  });
});

test("a coordinator that is too old is asked for again: a newer one may be it meanwhile", async () => {
  const { fake, broker } = await world();
  const newer = await FakeKafka.start();
  fake.features = { "metadata.version": [7, 29] };
  newer.answers.set(API.heartbeat, () => heartbeatAnswer(3));
  expect(await codeOf(broker.heartbeat({ ...JOIN, ...DEADLINE }))).toBe("unsupported");
  fake.answers.set(API.findCoordinator, () => fake.coordinator(newer.port));
  expect(await broker.heartbeat({ ...JOIN, ...DEADLINE })).toMatchObject({ memberEpoch: 3 });
  expect(fake.callsOf(API.heartbeat)).toBe(0);
});

test("batches are checked: a damaged one is refused, a cut one is left for the next fetch", async () => {
  const { fake, broker } = await world();
  const batch = encodeBatch({ values: [Buffer.from("one"), Buffer.from("two")] }, { nowMs: 1000 }, library);
  const next = Buffer.from(encodeBatch({ values: [Buffer.from("three")] }, { nowMs: 1000 }, library));
  next.writeBigInt64BE(2n, 0);
  fake.answers.set(API.fetch, () => fetchedAnswer(Buffer.concat([batch, next.subarray(0, next.length - 1)])));
  const { records } = await broker.fetch({ ...FETCH, offset: 1 });
  expect(records).toEqual([{ offset: 1, appendedAtMs: 1000, value: Buffer.from("two") }]);
  const damaged = Buffer.from(batch);
  damaged[damaged.length - 2] = 0x7f;
  fake.answers.set(API.fetch, () => fetchedAnswer(damaged));
  await expect(broker.fetch(FETCH)).rejects.toThrow("the batch at offset 0 does not match its checksum");
});

test("an answer that cannot be read fails its call and nothing else", async () => {
  const { fake, broker } = await world();
  fake.answers.set(API.fetch, () => library.Writer.create().appendInt8(1));
  expect(await codeOf(broker.fetch(FETCH))).toBe("unreachable");
  fake.answers.set(API.fetch, () => fetchedAnswer(Buffer.alloc(0)));
  expect(await broker.fetch(FETCH)).toEqual({ records: [], end: 9, first: 0 });
});

test("an answer to no request ends the connection, not the process", async () => {
  const { fake, broker } = await world();
  fake.answers.set(API.produce, (socket) => {
    socket.write(Buffer.from([0, 0, 0, 5, 0x7f, 0, 0, 0, 0]));
    return undefined;
  });
  expect(await codeOf(broker.produce(RECORD))).toBe("unreachable");
  fake.answers.set(API.produce, () => producedAnswer(0, 1));
  expect(await broker.produce(RECORD)).toEqual({ offset: 1 });
});

test("a login that makes no sense ends the connection, not the process", async () => {
  const { fake } = await world();
  const sasl = { mechanism: "SCRAM-SHA-256", username: "u", password: "p" } as const;
  const options = { brokers: [fake.address], clientId: "test", clock: new VirtualClock(), sasl };
  const broker = await KafkaBroker.connect(options);
  onTestFinished(() => broker.close());
  const login = (bytes: string): library.Writer =>
    library.Writer.create()
      .appendInt16(0)
      .appendString(null)
      .appendBytes(Buffer.from(bytes))
      .appendInt64(0n)
      .appendTaggedFields();
  const handshake = library.Writer.create()
    .appendInt16(0)
    .appendArray([], () => {}, false);
  fake.answers.set(API.saslHandshake, () => handshake);
  for (const text of ["e=no", "", "nonsense", "r=other,s=AAAA,i=4096"]) {
    fake.answers.set(API.saslAuthenticate, () => login(text));
    expect(["unreachable", "unauthorized"]).toContain(await codeOf(broker.produce(RECORD)));
  }
  expect(fake.callsOf(API.saslAuthenticate)).toBe(4);
});

test("commits stay in their order on one connection, with a call to the coordinator each", async () => {
  const { fake, clock, broker } = await world();
  const commit = { group: "g", memberId: "", memberEpoch: -1, offsets: [{ ...AT, ...OFFSET }], ...DEADLINE };
  const codes = [codeOf(broker.commit(commit)), codeOf(broker.commit(commit))];
  await called(fake, API.commit, 2);
  expect(fake.callsOf(API.findCoordinator)).toBe(1);
  // One for what any broker answers, one for commits.
  expect(fake.callsOf(API.apiVersions)).toBe(2);
  await clock.advance(DEADLINE.deadlineMs + 1);
  expect(await Promise.all(codes)).toContain("timeout");
  expect(await codeOf(broker.commit({ ...commit, offsets: [] }))).toBe(undefined);
});

test("addresses are checked, and a client that is not installed is named with its command", async () => {
  const clock = new VirtualClock();
  for (const brokers of [[], ["localhost"], ["a:0"], ["a:65536"], ["a b:1"], ["::1:9092"]])
    await expect(KafkaBroker.connect({ brokers, clientId: "test", clock })).rejects.toThrow(/broker of Kafka/);
  await KafkaBroker.connect({ brokers: ["[::1]:9092", "kafka.example:9092"], clientId: "test", clock });
});
