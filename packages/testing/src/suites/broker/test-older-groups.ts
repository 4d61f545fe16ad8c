import { expect, test } from "vitest";
import { split } from "./test-groups.ts";
import { DEADLINE, type MakeBroker, World } from "./world.ts";

/**
 * What groups of brokers from 4.0 to 4.2 do, which {@link Broker} refuses to work with: `make` has
 * connections whose heartbeats are sent all the same. Everything else is as in `testBroker`.
 */
export function testOlderGroups(name: string, make: MakeBroker): void {
  test(`${name}: a commit with any epoch but the member's newest is fenced, whether its partition was kept or not`, () =>
    World.run(make, async (world) => {
      const topic = await world.topic(2);
      const [a, b] = [world.member(topic), world.member(topic)];
      const captured = await split(a, b);
      const [kept, lost] = [a.owned[0], b.owned[0]];
      if (kept === undefined || lost === undefined) throw new Error("each has one partition");
      await world.refused("fenced", a.commit(captured, 1, kept));
      await world.refused("fenced", a.commit(captured, 1, lost));
      await world.refused("fenced", a.commit(a.epoch + 1, 1, kept));
      await world.settled(a.commit(a.epoch, 2, kept));
      await world.settled(a.commit(a.epoch, 3, lost));
      await b.leave();
      await a.ownsSome(2);
      for (const partition of [kept, lost]) await world.refused("fenced", a.commit(captured, 4, partition));
      const asked = { group: world.group, partitions: [kept, lost], ...DEADLINE };
      const stored = await world.settled(world.broker.committed(asked));
      expect(stored).toMatchObject([
        { ...kept, offset: 2 },
        { ...lost, offset: 3 },
      ]);
    }));
}
