/** Produce calls for several partitions of one broker. */
import * as library from "@platformatic/kafka";
import { VirtualClock } from "@waybill/testing";
import { expect, onTestFinished, test, vi } from "vitest";
import { type Broker, KafkaBroker } from "../src/index.ts";
import { decodeBatches } from "../src/kafka/record-batches.ts";
import { API, BY_SOCKETS, FakeKafka, partitionsOf, producedAnswer } from "./lib/fake-kafka.ts";

const PARTITIONS = 4;
const REQUEST_TIMED_OUT = 7;

interface World {
  readonly clock: VirtualClock;
  /** Resolves to the offset, or to the error's code. */
  readonly produce: (partition: number, deadlineMs?: number, value?: string) => Promise<unknown>;
  /** Partitions of each request, in the order in which these came. */
  readonly requests: readonly (readonly number[])[];
  /** Of the records that came, which match their checksums. */
  readonly values: readonly string[];
  /** Error codes of partitions. */
  readonly errors: Map<number, number>;
  /** The oldest request that waits is answered, or the one so many after it. */
  readonly answer: (after?: number) => Promise<void>;
}

async function world(): Promise<World> {
  const fake = await FakeKafka.start();
  fake.answers.set(API.metadata, () => fake.metadata(1, PARTITIONS));
  const requests: (readonly number[])[] = [];
  const values: string[] = [];
  const errors = new Map<number, number>();
  const waiting: (() => void)[] = [];
  fake.answers.set(API.produce, (_socket, request) => {
    const partitions = partitionsOf(request, (batch) => {
      for (const { value } of decodeBatches(batch, 0, library).records) values.push(value.toString());
    });
    requests.push(partitions.toSorted((one, other) => one - other));
    return new Promise((resolve) => {
      waiting.push(() => resolve(producedAnswer(0, 7, partitions, errors)));
    });
  });
  const clock = new VirtualClock();
  const broker: Broker = await KafkaBroker.connect({ brokers: [fake.address], clientId: "test", clock });
  onTestFinished(() => broker.close());
  const produce = (partition: number, deadlineMs = 5_000, value = "a"): Promise<unknown> =>
    broker.produce({ topic: "t", partition, values: [Buffer.from(value)], deadlineMs }).then(
      ({ offset }) => offset,
      (error: { readonly code: string }) => error.code,
    );
  const answer = async (after = 0): Promise<void> => {
    await vi.waitFor(() => expect(waiting.length).toBeGreaterThan(after), BY_SOCKETS);
    waiting.splice(after, 1)[0]?.();
  };
  return { clock, produce, requests, values, errors, answer };
}

/** What is called gets to where it waits. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test("calls that come at once share a request, and those that come meanwhile the next one", async () => {
  const { produce, requests, values, answer } = await world();
  const first = ["zero", "one"].map((value, partition) => produce(partition, 5_000, value));
  await vi.waitFor(() => expect(requests).toHaveLength(1), BY_SOCKETS);
  expect(values).toEqual(["zero", "one"]);
  const next = [produce(2), produce(3)];
  await turns();
  await answer();
  expect(await Promise.all(first)).toEqual([7, 7]);
  await answer();
  expect(await Promise.all(next)).toEqual([7, 7]);
  expect(requests).toEqual([
    [0, 1],
    [2, 3],
  ]);
});

test("whose calls were answered together goes on together", async () => {
  const { produce, requests, answer } = await world();
  const loop = async (partition: number): Promise<void> => {
    for (let round = 0; round < 3; round++) await produce(partition);
  };
  // All of the topic is known then.
  const known = produce(3);
  await answer();
  await known;
  const done = Promise.all([0, 1, 2].map(loop));
  for (let round = 0; round < 3; round++) await answer();
  await done;
  expect(requests.slice(1)).toEqual([
    [0, 1, 2],
    [0, 1, 2],
    [0, 1, 2],
  ]);
});

test("a partition that was not acknowledged goes alone until it is, and nobody waits for it", async () => {
  const { produce, requests, errors, answer } = await world();
  errors.set(0, REQUEST_TIMED_OUT);
  const first = [produce(0), produce(1)];
  await answer();
  expect(await Promise.all(first)).toEqual(["timeout", 7]);
  errors.clear();
  const alone = produce(0);
  await vi.waitFor(() => expect(requests).toHaveLength(2), BY_SOCKETS);
  const other = produce(1);
  await vi.waitFor(() => expect(requests).toHaveLength(3), BY_SOCKETS);
  await answer();
  await answer();
  expect(await Promise.all([alone, other])).toEqual([7, 7]);
  const again = [produce(0), produce(1)];
  await answer();
  expect(await Promise.all(again)).toEqual([7, 7]);
  expect(requests).toEqual([[0, 1], [0], [1], [0, 1]]);
});

test("each call has its own deadline, and one that is over before it was sent is not sent", async () => {
  const { clock, produce, requests, answer } = await world();
  const codes = [produce(0, 3_000), produce(1, 1_000)];
  await vi.waitFor(() => expect(requests).toHaveLength(1), BY_SOCKETS);
  const waits = produce(2, 500);
  await clock.advance(500);
  expect(await waits).toBe("timeout");
  await clock.advance(500);
  expect(await codes[1]).toBe("timeout");
  await answer();
  expect(await codes[0]).toBe(7);
  const next = produce(3);
  await answer();
  expect(await next).toBe(7);
  expect(requests).toEqual([[0, 1], [3]]);
});

test("no request has two batches for one partition, however its calls overlap", async () => {
  const { produce, requests, answer } = await world();
  const other = produce(1);
  await vi.waitFor(() => expect(requests).toHaveLength(1), BY_SOCKETS);
  const waits = produce(0);
  await turns();
  const alone = produce(0);
  await answer(1);
  expect(await alone).toBe(7);
  const waitsToo = produce(0);
  await turns();
  for (let request = 0; request < 3; request++) await answer();
  expect(await Promise.all([other, waits, waitsToo])).toEqual([7, 7, 7]);
  expect(requests).toEqual([[1], [0], [0], [0]]);
});

test("each request wants the acknowledgement of all replicas in sync", async () => {
  const fake = await FakeKafka.start();
  const acks: number[] = [];
  fake.answers.set(API.produce, (_socket, request) => {
    request.readNullableString();
    acks.push(request.readInt16());
    return producedAnswer(0, 7);
  });
  const broker = await KafkaBroker.connect({ brokers: [fake.address], clientId: "test", clock: new VirtualClock() });
  onTestFinished(() => broker.close());
  await broker.produce({ topic: "t", partition: 0, values: [Buffer.from("a")], deadlineMs: 5_000 });
  expect(acks).toEqual([-1]);
});

test("requests that are sent one right after another do not overwrite each other", async () => {
  const { produce, requests, values, errors, answer } = await world();
  errors.set(0, REQUEST_TIMED_OUT);
  const failed = produce(0);
  await answer();
  await failed;
  errors.clear();
  // More than a socket takes at once; each goes alone.
  const sent = ["b", "c"].map((letter) => letter.repeat(900_000));
  const both = sent.map((value) => produce(0, 5_000, value));
  await vi.waitFor(() => expect(requests).toHaveLength(3), BY_SOCKETS);
  expect(values.slice(1).toSorted()).toEqual(sent);
  for (const _ of both) await answer();
  expect(await Promise.all(both)).toEqual([7, 7]);
});
