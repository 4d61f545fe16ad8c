import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { testBroker } from "@waybill/testing/suites";

const SESSION_MS = 6_000;

for (const brokers of [1, 3])
  testBroker(`simulated cluster of ${brokers}`, () => {
    const clock = new VirtualClock();
    const cluster = new SimCluster({ clock, random: new SeededRandom(1), brokers, sessionTimeoutMs: SESSION_MS });
    return {
      brokers,
      sessionTimeoutMs: SESSION_MS,
      connect: async (name) => cluster.connect(name),
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
  });
