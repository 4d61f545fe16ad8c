import { openLog } from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

async function filled(): Promise<{ readonly log: Awaited<ReturnType<typeof openLog>>; readonly clock: VirtualClock }> {
  const clock = new VirtualClock();
  const log = await openLog({ directory: "/log", segmentMaxBytes: 6_000_000 }, { disk: new SimDisk(), clock });
  const push = async (texts: readonly string[], metadata = ""): Promise<void> => {
    let end = -1;
    const ends = Uint32Array.from(texts, (text) => (end += 1 + text.length));
    await log.append({ source: "s", receivedAtMs: clock.now(), metadata, body: [Buffer.from(texts.join(","))], ends });
  };
  await push(['{"id":"a"}', '{"id":"b"}', '{"id":"c"}']);
  // A record larger than the window, with the magic of a record in its text, at a place where one
  // could begin.
  const text = `{"pad":"${"x".repeat(4_200_000)}${"WBR1    ".repeat(20_000)}","id":"big"}`;
  await push([text, '{"id":"following"}'], '{"id":"beside"}');
  await push(['{"id":"a"}']);
  await clock.advance(1_000);
  await push([`{"pad":"${"y".repeat(3_000_000)}"}`]);
  await clock.advance(1_000);
  await push(['{"id":"late"}']);
  return { log, clock };
}

test("finds each event that holds the bytes, however large its record, and its place", async () => {
  const { log } = await filled();
  const positions = async (id: string): Promise<number[]> => {
    const found: number[] = [];
    for await (const { record, index } of log.find(Buffer.from(`"id":"${id}"`)))
      found.push(index === undefined ? -1 : record.first + index);
    return found;
  };
  expect(await positions("a")).toEqual([0, 5]);
  expect(await positions("c")).toEqual([2]);
  expect(await positions("big")).toEqual([3]);
  expect(await positions("following")).toEqual([4]);
  expect(await positions("beside")).toEqual([-1]);
  expect(await positions("late")).toEqual([7]);
  expect(await positions("nowhere")).toEqual([]);
});

test("leaves out the segments of another time", async () => {
  const { log, clock } = await filled();
  const found = async (range: { sinceMs?: number; untilMs?: number }): Promise<number> => {
    let count = 0;
    for await (const _ of log.find(Buffer.from('"id"'), range)) count += 1;
    return count;
  };
  const all = await found({});
  expect(await found({ sinceMs: clock.now() + 1 })).toBe(1);
  expect(await found({ untilMs: clock.now() - 2_000 })).toBe(all - 1);
});

test("finds what a look at every record finds, in sizes and at places of every kind, beside damage", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const random = new SeededRandom(seed);
    const disk = new SimDisk();
    const log = await openLog({ directory: "/log", segmentMaxBytes: 3_000_000 }, { disk, clock: new VirtualClock() });
    const pad = (): string => "WBR1 xy".repeat(random.chance(0.05) ? random.below(100_000) : random.below(40));
    for (let record = 0; record < 30; record++) {
      const texts = Array.from({ length: 1 + random.below(6) }, () => {
        const needle = random.chance(0.4) ? "needle" : "";
        return `"${pad()}${needle}${pad()}${random.chance(0.1) ? "needle" : ""}"`;
      });
      let end = -1;
      const ends = Uint32Array.from(texts, (text) => (end += 1 + text.length));
      const metadata = random.chance(0.2) ? "beside: needle" : "s".repeat(random.below(9));
      await log.append({ source: "s", receivedAtMs: 1, metadata, body: [Buffer.from(texts.join(","))], ends });
    }
    for (let damage = 0; damage < 3; damage++) {
      const path = random.pick(disk.paths());
      disk.flipBit(path, 64 + random.below(disk.contents(path).length - 64), random.below(8));
    }
    const expected: string[] = [];
    const reader = log.reader({ position: 0 });
    for (let read = await reader.read(1); read.length > 0; read = await reader.read(1))
      for (const { first, metadata, body, ends } of read) {
        if (metadata.includes("needle")) expected.push(`${first} beside`);
        for (const [index, end] of ends.entries()) {
          const event = body.subarray(index === 0 ? 0 : (ends[index - 1] as number) + 1, end);
          if (Buffer.from(event).includes("needle")) expected.push(`${first} ${index}`);
        }
      }
    const found: string[] = [];
    for await (const { record, index } of log.find(Buffer.from("needle")))
      found.push(`${record.first} ${index ?? "beside"}`);
    expect(found, `seed ${seed}`).toEqual(expected);
  }
});

test("bytes that occur everywhere are found in one pass; a search ends when it is aborted", async () => {
  const disk = new SimDisk();
  const log = await openLog({ directory: "/log" }, { disk, clock: new VirtualClock() });
  const append = (texts: readonly string[]): Promise<number> => {
    let end = -1;
    const ends = Uint32Array.from(texts, (text) => (end += 1 + text.length));
    return log.append({ source: "s", receivedAtMs: 1, metadata: "", body: [Buffer.from(texts.join(","))], ends });
  };
  await append(Array.from({ length: 30_000 }, (_, index) => `{"id":"often","n":${index}}`));
  const often = `{"id":"often","pad":"${"often".repeat(1_000)}"}`;
  await Promise.all(Array.from({ length: 1_000 }, () => append([often])));
  let readBytes = 0;
  const { open } = disk;
  disk.open = async (path, options) => {
    const file = await open.call(disk, path, options);
    const { read } = file;
    file.read = async (target, position) => {
      const bytes = await read.call(file, target, position);
      readBytes += bytes;
      return bytes;
    };
    return file;
  };
  const size = disk.usedBytes;
  let found = 0;
  for await (const _ of log.find(Buffer.from("often"))) found += 1;
  expect(found).toBe(31_000);
  expect(readBytes).toBeLessThan(2 * size);
  const stop = new AbortController();
  readBytes = 0;
  for await (const _ of log.find(Buffer.from("often"), { signal: stop.signal })) stop.abort();
  expect(readBytes).toBeLessThan(size / 1.5);
  for await (const _ of log.find(Buffer.from("nowhere"), { signal: stop.signal })) expect.unreachable();
});
