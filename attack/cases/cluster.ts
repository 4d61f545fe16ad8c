/** Two relays before one Kafka: odd requests to both, and foreign values in its topics. */
import {
  type Broker,
  companionTopics,
  desiredTopic,
  eventsTopic,
  KafkaBroker,
  relaysTopic,
  type TopicPartition,
} from "@waybill/log-kafka";
import { nodeClock } from "@waybill/node";
import { PROTOTYPE_NAMES } from "../lib/bodies.ts";
import { check, until } from "../lib/check.ts";
import { segmentEvents } from "../lib/hostile-events.ts";
import { CLUSTER, type ClusterRig, PARTITIONS, PREFIX, TOKEN } from "../lib/kafka.ts";
import type { Relay } from "../lib/relay.ts";
import { type Attack, newId, type Stage, track } from "../lib/stage.ts";
import { drained, sendTexts } from "./events.ts";

const ENVIRONMENT = "attack";
const DESTINATIONS = ["good", "bad"];
const DRAINED_MS = 30_000;
const LANES_MAX_MS = 60_000;
const CALL_MS = 5_000;
const LARGE_BYTES = 512 * 1024;
const HUGE = "9".repeat(20);
const AUTHORIZED = { authorization: `Bearer ${TOKEN}` };

function relaysOf({ rig }: Stage): readonly Relay[] {
  return [rig.relay, ...(rig.peers ?? [])];
}

/** Every lane has a relay, and every event that was taken its outcome. */
async function settled(stage: Stage): Promise<void> {
  const laneCount = DESTINATIONS.length * PARTITIONS;
  for (const relay of relaysOf(stage)) {
    await until(
      async () => (await relay.accounts()).lanes.length === laneCount,
      LANES_MAX_MS,
      "lanes of the cluster have no relay",
    );
    await drained(relay, DRAINED_MS);
  }
}

const PARTITION_NAMES = [
  `${ENVIRONMENT}%2F${PARTITIONS}`,
  `${ENVIRONMENT}%2F-1`,
  `${ENVIRONMENT}%2F01`,
  `${ENVIRONMENT}%2F1%00`,
  `${ENVIRONMENT}%2F..`,
  `${ENVIRONMENT}%2F${HUGE}`,
  "__proto__%2F0",
];

const ODD_PATHS: readonly string[] = [
  ...PARTITION_NAMES.flatMap((name) => [
    `/v1/lanes/${name}/good`,
    `/v1/dead-letters/${name}/good`,
    `/v1/events/${name}/0`,
    `/v1/tail?environment=${name}`,
  ]),
  ...[`3@${HUGE}`, `99999@1`, `0@1+${HUGE}`, "__proto__"].map((of) => `/v1/receipts/${ENVIRONMENT}/${of}`),
  `/v1/events/${ENVIRONMENT}%2F0/${HUGE}`,
];

/** Values that no relay writes, but for a copy of what one wrote. */
function foreignValues(own: Uint8Array | undefined): readonly Uint8Array[] {
  const texts = ["", "\u0000", "null", "{}", "[]", "[".repeat(10_000), '{"__proto__":{"lanes":[]}}', "x".repeat(1_000)];
  const damaged =
    own === undefined ? [] : [own.subarray(0, own.length / 2), flipped(own), Buffer.concat([own, own]), own];
  return [...texts.map((text) => Buffer.from(text)), Buffer.alloc(LARGE_BYTES, 0xff), ...damaged];
}

function flipped(bytes: Uint8Array): Uint8Array {
  const changed = Uint8Array.from(bytes);
  const middle = changed.length >> 1;
  changed[middle] = (changed[middle] ?? 0) ^ 1;
  return changed;
}

const FOREIGN_KEYS = [
  "",
  "mark",
  "reload",
  "pause/",
  "pause/__proto__/constructor",
  "rotation/x",
  `replay/${ENVIRONMENT}/0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa`,
  "x".repeat(10_000),
];

/** The first value of a partition, as a relay wrote it. */
async function ownValue(broker: Broker, at: TopicPartition): Promise<Uint8Array | undefined> {
  const asked = { ...at, offset: 0, maxBytes: LARGE_BYTES, maxWaitMs: 0, deadlineMs: CALL_MS };
  return (await broker.fetch(asked)).records[0]?.value;
}

async function writeForeign(broker: Broker): Promise<void> {
  const logs = [
    eventsTopic(PREFIX, ENVIRONMENT),
    ...DESTINATIONS.flatMap((destination) => companionTopics(PREFIX, { environment: ENVIRONMENT, destination })),
  ];
  for (const topic of logs)
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const values = foreignValues(await ownValue(broker, { topic, partition }));
      await broker.produce({ topic, partition, values, deadlineMs: CALL_MS });
    }
  for (const topic of [desiredTopic(PREFIX), relaysTopic(PREFIX)])
    for (const key of FOREIGN_KEYS) {
      const values = foreignValues(undefined);
      const keys = values.map(() => key);
      await broker.produce({ topic, partition: 0, values, keys, deadlineMs: CALL_MS });
    }
}

export const clusters: readonly Attack[] = [
  {
    name: "cluster-odd-requests",
    holds:
      "partitions, receipts and positions that there are not, and requests in a relay's name, are refused by either relay",
    scene: CLUSTER,
    async run(stage) {
      for (const relay of relaysOf(stage)) {
        for (const path of ODD_PATHS) {
          const { status } = await relay.admin("GET", path, { headers: AUTHORIZED });
          check(status === 400 || status === 404, `${path}: answered ${status}`);
        }
        for (const name of PROTOTYPE_NAMES) {
          const headers = { authorization: `Waybill-Relay ${name}`, "waybill-relay": name };
          const { status } = await relay.admin("GET", "/v1/accounts", { headers });
          check(status === 401 || status === 421, `as the relay ${name}: answered ${status}`);
        }
        await sendTexts(
          relay,
          segmentEvents(() => newId()),
        );
      }
      await settled(stage);
    },
  },
  {
    name: "cluster-foreign-values",
    holds:
      "values in the topics that are not a relay's, or are damaged, count as nothing: events go on, and ledgers balance",
    scene: CLUSTER,
    async run(stage) {
      const { brokers } = stage.rig as ClusterRig;
      for (const relay of relaysOf(stage)) await stage.send([track(newId("before"))], relay);
      await settled(stage);
      const broker = await KafkaBroker.connect({ brokers: [brokers], clientId: "stranger", clock: nodeClock });
      stage.atEnd(() => broker.close());
      await writeForeign(broker);
      for (const relay of relaysOf(stage)) await stage.send([track(newId("after"))], relay);
      await settled(stage);
    },
  },
];
