/** How long a session of a group is: the brokers tell it, and relays keep to it. */
import { type Broker, BrokerError } from "@waybill/log-kafka";
import { VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import { type GroupSession, groupSession } from "../../src/cluster/group-session.ts";
import { openOn } from "./lib/environment.ts";
import { OnePartition } from "./lib/one-partition.ts";

const SESSION_MS = 12_000;
const HEARTBEAT_MS = 200;

test("a relay that no broker answers gives its lanes up when its session is over, as the brokers have it", async () => {
  const world = new OnePartition({ sessionTimeoutMs: SESSION_MS });
  const environment = await world.open("one");
  const lost = (): readonly string[] => world.lines.filter((line) => line.startsWith("lane_lost"));
  await world.clock.advance(2_000);
  expect(environment.shards).toHaveLength(1);
  world.cluster.isolate("one");
  await world.clock.advance(SESSION_MS - 2 * HEARTBEAT_MS);
  expect(lost()).toEqual([]);
  await world.clock.advance(2 * HEARTBEAT_MS);
  expect(lost()).toHaveLength(1);
  expect(lost()[0]).toContain(`no heartbeat was answered for ${SESSION_MS} ms`);
});

async function sessionOf(sessionTimeoutMs: number, around: Partial<Broker> = {}): Promise<GroupSession> {
  const clock = new VirtualClock();
  const broker = new SimCluster({ clock, sessionTimeoutMs }).connect("one");
  let found: GroupSession | undefined;
  const asking = groupSession(Object.assign(broker, around), clock, "waybill.test.segment");
  void asking.then((session) => (found = session));
  await clock.until(() => found !== undefined);
  return asking;
}

test.each([
  [9_999, /consumer\.session\.timeout\.ms is 9999: a relay loses its lanes whenever/],
  [10_000, undefined],
  [60_000, undefined],
  [60_001, /is 60001: the lanes of a relay that dies wait for so long/],
])("a session of %d ms is taken over; of one that is too short or too long it warns", async (ms, warning) => {
  const session = await sessionOf(ms);
  expect(session.ms).toBe(ms);
  if (warning === undefined) expect(session).not.toHaveProperty("warning");
  else expect(session.warning).toMatch(warning);
});

test("where the brokers do not tell it, Kafka's default is assumed, with a warning", async () => {
  const untold = await sessionOf(1, { sessionOf: () => Promise.resolve(undefined) });
  expect(untold.ms).toBe(45_000);
  expect(untold.warning).toMatch(/allow the relay's user DescribeConfigs on the group/);
  const refused = () => Promise.reject(new BrokerError("invalid", "no such kind of resource"));
  expect((await sessionOf(1, { sessionOf: refused })).warning).toMatch(/no such kind of resource/);
});

test("a cluster that is about to start is waited for", async () => {
  let refusals = 3;
  const answer = () =>
    refusals-- > 0 ? Promise.reject(new BrokerError("not_leader", "nobody yet")) : Promise.resolve(20_000);
  expect(await sessionOf(1, { sessionOf: answer })).toEqual({ ms: 20_000 });
});

test("brokers without groups of KIP-848 are refused at the start, with what is needed", async () => {
  const clock = new VirtualClock();
  const broker = new SimCluster({ clock, groups: "classic" }).connect("one");
  await expect(openOn({ clock, broker, partitions: 1 })).rejects.toMatchObject({
    code: "WAYBILL_LOG_UNAVAILABLE",
    retryable: false,
    message: expect.stringMatching(/refused it: .*KIP-848/),
    hint: expect.stringMatching(/group\.version=1/),
  });
});

test("a relay whose user may not do something does not start, and its error names where to look", async () => {
  const clock = new VirtualClock();
  const broker = new SimCluster({ clock }).connect("one");
  const committed = (): Promise<never> => Promise.reject(new BrokerError("unauthorized", "read what g committed"));
  await expect(openOn({ clock, broker: Object.assign(broker, { committed }), partitions: 1 })).rejects.toMatchObject({
    message: "The Kafka cluster refused it: read what g committed",
    hint: expect.stringMatching(/what that user may do/),
  });
});
