/** A log that is copied to Kafka and back: see also copy.heavy.test.ts. */
import { expect, test } from "vitest";
import { reportDiskLog } from "../../src/copy/left-on-disk.ts";
import { andBack, begun, check, drained, toKafka } from "./lib/check-copy.ts";
import { CopyWorld, DESTINATIONS } from "./lib/copy-world.ts";

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

test("a relay on Kafka reports what waits on the disk, until it was copied", async () => {
  const world = new CopyWorld(4);
  await begun(world);
  const place = { environment: "test", directory: "/data/test" };
  const reported = async (): Promise<readonly object[]> => {
    const lines: object[] = [];
    await reportDiskLog({ ...place, disk: world.disk }, (code, fields) => void lines.push({ code, ...fields }));
    return lines;
  };
  const waiting = DESTINATIONS.map((destination) => ({ destination, events: world.waiting(destination).length }));
  const files = world.disk.paths();
  const lines = await reported();
  expect(lines).toHaveLength(DESTINATIONS.length);
  for (const one of waiting) expect(lines).toContainEqual({ code: "disk_log_left", ...place, ...one });
  expect(world.disk.paths()).toEqual(files);
  world.disk.failNext("read");
  expect(await reported()).toEqual([{ code: "disk_log_unread", ...place, error: expect.any(String) }]);
  await world.copy("kafka", world.cluster.connect("copy"));
  expect(await reported()).toEqual([]);
});
