/** The log on Kafka, read without a relay. */
import type { Broker } from "@waybill/log-kafka";
import { type PartitionReport, TopicReader, verifyTopics } from "@waybill/relay/offline";
import { expect, test } from "vitest";
import { begun } from "../copy/lib/check-copy.ts";
import { CopyWorld } from "../copy/lib/copy-world.ts";

const TOPIC = "waybill.test";
const DEADLINE_MS = 1_000;

async function copied(): Promise<{ readonly world: CopyWorld; readonly broker: Broker }> {
  const world = new CopyWorld(11);
  await begun(world);
  const broker = world.cluster.connect("copy");
  await world.copy("kafka", broker);
  await world.workOnKafka(broker, (lane) => world.workAtRandom(lane, 3));
  return { world, broker };
}

async function verified(world: CopyWorld, broker: Broker): Promise<readonly PartitionReport[]> {
  const reports: PartitionReport[] = [];
  for await (const report of verifyTopics(world.sideOptions(broker))) reports.push(report);
  return reports;
}

function faultsIn(reports: readonly PartitionReport[]): readonly string[] {
  return reports.flatMap(({ lanes }) => lanes.flatMap(({ lane, faults }) => faults.map((one) => `${lane}: ${one}`)));
}

test("a log on Kafka that is whole has no faults", async () => {
  const { world, broker } = await copied();
  const reports = await verified(world, broker);
  expect(faultsIn(reports)).toEqual([]);
  expect(reports.flatMap(({ damaged }) => damaged)).toEqual([]);
  expect(reports.map(({ lanes }) => lanes.map(({ lane }) => lane))).toEqual(Array(3).fill(["one", "two", "three"]));
  const settled = reports.flatMap(({ lanes }) => lanes).reduce((sum, lane) => sum + lane.settled, 0);
  const known = [...world.outcomes.values()].reduce((sum, outcomes) => sum + outcomes.size, 0);
  expect(settled).toBe(known);
});

test("what is not ours, a cursor whose records are gone and a foreign commit are found", async () => {
  const { world, broker } = await copied();
  const partition = 1;
  const place = { topic: TOPIC, partition, deadlineMs: DEADLINE_MS };
  const foreign = Buffer.from("foreign");
  // Each lane still needs the first one.
  const offset = 1 + (await broker.produce({ ...place, values: [foreign, foreign] })).offset;
  await broker.produce({ ...place, topic: `${TOPIC}.two.dead`, values: [foreign] });
  await broker.removeBefore({ ...place, offset });
  const commit = { memberId: "", memberEpoch: -1, deadlineMs: DEADLINE_MS };
  const offsets = [{ topic: TOPIC, partition: 0, offset: 1, metadata: "x" }];
  await broker.commit({ ...commit, group: `${TOPIC}.one`, offsets });

  const reports = await verified(world, broker);
  expect(reports[partition]).toMatchObject({
    first: offset,
    events: 0,
    damaged: [
      { topic: TOPIC, offset, bytes: 7 },
      { topic: `${TOPIC}.two.dead`, bytes: 7 },
    ],
  });
  const faults = faultsIn(reports);
  expect(faults).toContainEqual(expect.stringMatching(/^one: what is committed for group waybill.test.one .*is not/));
  for (const lane of ["one", "two", "three"])
    expect(faults).toContainEqual(
      expect.stringMatching(new RegExp(`^${lane}: its cursor is at offset \\d+, .*those between are gone$`)),
    );
});

test("a ledger that has other outcomes than its fates is found", async () => {
  const { world, broker } = await copied();
  const side = world.side(broker);
  const states = await side.states("one");
  const lied = new Map(
    [...states].map(([partition, { offset, state }]) => {
      const value = { ...state, rejected: state.rejected + 1, base: state.base - 1 };
      return [partition, { offset, state: value }] as const;
    }),
  );
  await world.write(broker, "one", lied);
  expect(faultsIn(await verified(world, broker))).toContainEqual(expect.stringMatching(/^one: /));
});

test("every event is read once, in the order of its partition", async () => {
  const { world, broker } = await copied();
  const { kafka } = world.config;
  if (kafka === undefined) throw new Error("the configuration has Kafka");
  const reader = new TopicReader({ environment: "test", kafka, broker, clock: world.clock });
  const ids: string[] = [];
  for (const bounds of await reader.bounds())
    for await (const walked of reader.walk(bounds)) {
      if (walked.kind !== "record") throw new Error("nothing is damaged");
      const { body } = walked.record;
      for (const { messageId } of JSON.parse(`[${Buffer.from(body).toString()}]`) as { messageId: string }[])
        ids.push(messageId);
    }
  expect(ids.toSorted()).toEqual(world.all.filter((id) => ids.includes(id)).toSorted());
  expect(new Set(ids).size).toBe(ids.length);
  const place = new Map(ids.map((id, index) => [id, index]));
  for (const own of world.accepted.values()) {
    const places = own.flatMap((id) => place.get(id) ?? []);
    expect(places).toEqual(places.toSorted((one, other) => one - other));
  }
});
