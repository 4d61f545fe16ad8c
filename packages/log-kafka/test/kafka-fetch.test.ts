/** Fetches that wait for records of several partitions of one broker. */
import * as library from "@platformatic/kafka";
import { VirtualClock } from "@waybill/testing";
import { expect, onTestFinished, test, vi } from "vitest";
import { type Broker, KafkaBroker } from "../src/index.ts";
import { encodeBatch } from "../src/kafka/record-batches.ts";
import { API, BY_SOCKETS, FakeKafka, type FetchedPartition, fetchedAnswers, fetchedFrom } from "./lib/fake-kafka.ts";

const PARTITIONS = 4;
const NOT_LEADER = 6;
const WAIT_MS = 1_000;

interface World {
  readonly clock: VirtualClock;
  /** Resolves to the texts of the records, or to the error's code. */
  readonly poll: (partition: number, maxWaitMs?: number) => Promise<unknown>;
  /** Partitions of each request, in the order in which these came. */
  readonly requests: readonly (readonly number[])[];
  /** Once there are so many requests. */
  readonly requested: (count: number) => Promise<void>;
  /** A request, by its number: the partitions that are not named have nothing. */
  readonly answer: (request: number, partitions?: Readonly<Record<number, FetchedPartition>>) => void;
}

async function world(): Promise<World> {
  const fake = await FakeKafka.start();
  fake.answers.set(API.metadata, () => fake.metadata(1, PARTITIONS));
  const requests: (readonly number[])[] = [];
  const answers: ((partitions: Readonly<Record<number, FetchedPartition>>) => void)[] = [];
  fake.answers.set(API.fetch, (_socket, request) => {
    const asked = fetchedFrom(request);
    requests.push(asked);
    return new Promise((resolve) => {
      answers.push((partitions) => resolve(fetchedAnswers(new Map(asked.map((one) => [one, partitions[one] ?? {}])))));
    });
  });
  const clock = new VirtualClock();
  const broker: Broker = await KafkaBroker.connect({ brokers: [fake.address], clientId: "test", clock });
  onTestFinished(() => broker.close());
  // All of the topic is known then.
  await Promise.all([
    vi.waitFor(() => {
      expect(answers).toHaveLength(1);
      answers[0]?.({});
    }, BY_SOCKETS),
    broker.fetch({ topic: "t", partition: 0, offset: 0, maxBytes: 1_000, maxWaitMs: 0, deadlineMs: 5_000 }),
  ]);
  requests.splice(0);
  answers.splice(0);
  const poll = (partition: number, maxWaitMs = WAIT_MS): Promise<unknown> =>
    broker.fetch({ topic: "t", partition, offset: 0, maxBytes: 1_000, maxWaitMs, deadlineMs: maxWaitMs + 5_000 }).then(
      ({ records }) => records.map(({ value }) => value.toString()),
      (error: { readonly code: string }) => error.code,
    );
  const requested = async (count: number): Promise<void> => {
    await vi.waitFor(async () => {
      await clock.advance(1);
      expect(requests).toHaveLength(count);
    }, BY_SOCKETS);
  };
  return { clock, poll, requests, requested, answer: (request, partitions = {}) => answers[request]?.(partitions) };
}

function batchOf(text: string): FetchedPartition {
  return { batches: encodeBatch({ values: [Buffer.from(text)] }, { nowMs: 0 }, library) };
}

test("those that come at once share a request; who has got nothing is asked for again", async () => {
  const { poll, requests, requested, answer } = await world();
  const polls = [poll(0), poll(1), poll(2)];
  await requested(1);
  answer(0, { 1: batchOf("b") });
  expect(await polls[1]).toEqual(["b"]);
  await requested(2);
  answer(1, { 0: batchOf("a"), 2: batchOf("c") });
  expect(await Promise.all(polls)).toEqual([["a"], ["b"], ["c"]]);
  expect(requests).toEqual([
    [0, 1, 2],
    [0, 2],
  ]);
});

test("one that comes while others wait has a request of its own", async () => {
  const { poll, requests, requested, answer } = await world();
  const waits = poll(0);
  await requested(1);
  const other = poll(1);
  await requested(2);
  answer(1, { 1: batchOf("b") });
  expect(await other).toEqual(["b"]);
  answer(0, { 0: batchOf("a") });
  expect(await waits).toEqual(["a"]);
  expect(requests).toEqual([[0], [1]]);
});

test("an error of a partition is its own, with whatever fields a newer broker adds to it", async () => {
  const { poll, requests, requested, answer } = await world();
  const polls = [poll(0), poll(1)];
  await requested(1);
  answer(0, { 0: { errorCode: NOT_LEADER, tag: Buffer.alloc(13, 7) }, 1: batchOf("b") });
  expect(await Promise.all(polls)).toEqual(["not_leader", ["b"]]);
  expect(requests).toEqual([[0, 1]]);
});

test("each is answered when its own time is over", async () => {
  const { clock, poll, requests, requested, answer } = await world();
  const polls = [poll(0, 300), poll(1, 600)];
  await requested(1);
  await clock.advance(300);
  answer(0);
  expect(await polls[0]).toEqual([]);
  await requested(2);
  await clock.advance(300);
  answer(1);
  expect(await polls[1]).toEqual([]);
  expect(requests).toEqual([[0, 1], [1]]);
});

test("two of the same partition are answered each", async () => {
  const { poll, requests, requested, answer } = await world();
  const polls = [poll(0), poll(0)];
  await requested(2);
  answer(0, { 0: batchOf("a") });
  answer(1, { 0: batchOf("a") });
  expect(await Promise.all(polls)).toEqual([["a"], ["a"]]);
  expect(requests).toEqual([[0], [0]]);
});
