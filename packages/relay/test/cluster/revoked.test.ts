/** Lanes that a relay is to give up, while another of its lanes takes long to end. */
import { BrokerError, encodeValue, type Heartbeat, type HeartbeatAnswer } from "@waybill/log-kafka";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import { openOn } from "./lib/environment.ts";
import { bound } from "./lib/one-partition.ts";

const TOPIC = "waybill.test";
const PARTITIONS = [0, 1];

test("a lane that could not be opened is not opened any more once another relay waits for it", async () => {
  const clock = new VirtualClock();
  const broker = new SimCluster({ clock, random: new SeededRandom(1) }).connect("one");
  const beats: Heartbeat[] = [];
  let assigned = PARTITIONS;
  let isUnreachable = false;
  const environment = await openOn({
    clock,
    partitions: PARTITIONS.length,
    broker: {
      ...bound(broker),
      heartbeat: async (heartbeat): Promise<HeartbeatAnswer> => {
        beats.push(heartbeat);
        const assignment = assigned.map((partition) => ({ topic: TOPIC, partition }));
        return { memberEpoch: beats.length, heartbeatIntervalMs: 100, assignment };
      },
      // The group has no such member.
      commit: (request) => broker.commit({ ...request, memberId: "", memberEpoch: -1 }),
      committed: ({ group, partitions, deadlineMs }) =>
        isUnreachable && partitions.every(({ partition }) => partition === 0)
          ? Promise.reject(new BrokerError("unreachable", "no way"))
          : broker.committed({ group, partitions, deadlineMs }),
    },
  });
  const lanes = (): readonly string[] =>
    environment.shards.filter((shard) => shard.destination("segment") !== undefined).map(({ name }) => name);
  isUnreachable = true;
  environment.start();
  const body = Buffer.from('{"type":"track","event":"E","userId":"u","messageId":"m"}');
  const entry = { source: "web", receivedAtMs: 1, metadata: "", body: [body], ends: Uint32Array.of(body.length) };
  void broker.produce({ topic: TOPIC, partition: 1, values: [encodeValue(entry)], deadlineMs: 5_000 });
  await clock.advance(5_000);
  expect(lanes()).toEqual(["test/1"]);
  assigned = [];
  isUnreachable = false;
  // The vendor never answers: what is in flight is waited for, and both are given up after that.
  await clock.advance(10_000);
  expect(beats.findLast(({ owned }) => owned !== undefined)?.owned).toEqual([]);
  expect(lanes()).toEqual([]);
});
