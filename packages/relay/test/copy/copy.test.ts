/** A log that is copied to Kafka and back: see also copy.heavy.test.ts. */
import { expect, test } from "vitest";
import { andBack, begun, check, drained, toKafka } from "./lib/check-copy.ts";
import { CopyWorld } from "./lib/copy-world.ts";

test("what waits is delivered from Kafka, and nothing else", () => toKafka(1));

test("what waits is delivered from Kafka, also what a log does not keep in memory", () => toKafka(4, 50_000));

test("what waits is delivered from the disk again, and nothing else", () => andBack(2));

test("a copy that is done is not done again", async () => {
  const world = new CopyWorld(3);
  await begun(world);
  const broker = world.cluster.connect("copy");
  await world.copy("kafka", broker);
  expect(await world.copy("kafka", broker)).toMatchObject({ isDone: true });
  check(world, await drained(world, (work) => world.workOnKafka(broker, work)));
});
