import type { Broker, Heartbeat } from "@waybill/log-kafka";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { type BrokerUnderTest, testBroker, testOlderGroups } from "@waybill/testing/suites";

const SESSION_MS = 6_000;

for (const brokers of [1, 3]) testBroker(`simulated cluster of ${brokers}`, () => simulated(brokers));

testOlderGroups("simulated", () =>
  simulated(1, (cluster, name) => {
    const broker = cluster.connect(name);
    const beat = broker.heartbeat.bind(broker);
    cluster.setOlder(1);
    return Object.assign(broker, {
      heartbeat: (asked: Heartbeat) => {
        cluster.setOlder(1, false);
        return beat(asked).finally(() => cluster.setOlder(1));
      },
    });
  }),
);

function simulated(
  brokers: number,
  connect: (cluster: SimCluster, name: string) => Broker = (cluster, name) => cluster.connect(name),
): BrokerUnderTest {
  const clock = new VirtualClock();
  const cluster = new SimCluster({ clock, random: new SeededRandom(1), brokers, sessionTimeoutMs: SESSION_MS });
  return {
    brokers,
    sessionTimeoutMs: SESSION_MS,
    connect: async (name) => connect(cluster, name),
    wait: (ms) => clock.advance(ms),
    now: () => clock.now(),
    settled: async (result) => {
      let isSettled = false;
      const done = (): void => {
        isSettled = true;
      };
      result.then(done, done);
      await clock.until(() => isSettled);
      return result;
    },
  };
}
