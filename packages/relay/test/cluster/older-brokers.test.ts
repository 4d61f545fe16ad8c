/** Brokers of Kafka 4.0 to 4.2, which take from a member the newest epoch alone. */
import { VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import { openOn } from "./lib/environment.ts";
import { accountOf, EVENTS, OnePartition, TOPIC } from "./lib/one-partition.ts";

const GROUP = `${TOPIC}.segment`;
const SESSION_MS = 12_000;

class World extends OnePartition {
  constructor() {
    super({ sessionTimeoutMs: SESSION_MS });
  }

  get coordinator(): number {
    return this.cluster.coordinatorOf(GROUP) as number;
  }

  linesOf(code: string): readonly string[] {
    return this.lines.filter((line) => line.startsWith(`${code} `));
  }

  /** Whether each event so far has come to the vendor, once. */
  get isSentOnce(): boolean {
    return this.sent.length === EVENTS && new Set(this.sent).size === EVENTS;
  }
}

test("a relay does not start beside one that coordinates a group of its own, and tells what is needed", async () => {
  const clock = new VirtualClock();
  const cluster = new SimCluster({ clock });
  cluster.setOlder(cluster.coordinatorOf(GROUP) as number);
  const broker = cluster.connect("one");
  await expect(openOn({ clock, broker, partitions: 1 })).rejects.toMatchObject({
    code: "WAYBILL_LOG_UNAVAILABLE",
    retryable: false,
    message: expect.stringMatching(/refused it: .*needs Kafka 4\.3, broker \d is older/),
    hint: expect.stringMatching(/^Each broker has to be of Kafka 4\.3 or later/),
  });
});

test("a lane of before a rebalance ends at its next commit beside one, and goes on with a newer coordinator", async () => {
  const world = new World();
  const one = await world.open("one");
  await world.clock.until(() => one.shards.length === 1);
  const two = await world.open("two");
  await world.clock.advance(5_000);
  world.cluster.setOlder(world.coordinator);
  await world.produce(0);
  await world.clock.advance(2 * SESSION_MS);
  expect(world.linesOf("lane_fenced")).toHaveLength(1);
  expect(world.linesOf("heartbeats_failing")).toHaveLength(2);
  for (const line of world.linesOf("heartbeats_failing")) expect(line).toContain("needs Kafka 4.3");
  expect({ sent: world.sent, lanes: [accountOf(one), accountOf(two)] }).toEqual({
    sent: [],
    lanes: [undefined, undefined],
  });
  world.cluster.moveCoordinator(GROUP);
  await world.clock.until(() => world.isSentOnce);
  await world.clock.advance(5_000);
  expect(world.linesOf("heartbeats_work")).toHaveLength(2);
  expect([accountOf(one), accountOf(two)]).toContainEqual({ accepted: EVENTS, delivered: EVENTS, pending: 0 });
  expect(world.isSentOnce).toBe(true);
});

test("a lane that keeps the newest epoch delivers until its session is over, and ends", async () => {
  const world = new World();
  const one = await world.open("one");
  await world.clock.until(() => one.shards.length === 1);
  const older = world.coordinator;
  world.cluster.setOlder(older);
  await world.store([0]);
  await world.clock.advance(1_000);
  expect(accountOf(one)).toEqual({ accepted: 1, delivered: 1, pending: 0 });
  await world.clock.advance(SESSION_MS);
  expect(world.linesOf("lane_lost")).toHaveLength(1);
  await world.store(Array.from({ length: EVENTS - 1 }, (_, at) => at + 1));
  await world.clock.advance(SESSION_MS);
  expect(world.sent).toEqual(["m-0"]);
  world.cluster.setOlder(older, false);
  await world.clock.until(() => world.isSentOnce);
  await world.clock.advance(5_000);
  expect(world.isSentOnce).toBe(true);
  expect(accountOf(one)).toEqual({ accepted: EVENTS, delivered: EVENTS, pending: 0 });
});
