import { openLog } from "@waybill/log";
import { SimDisk, VirtualClock } from "@waybill/testing";
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
  // A record larger than the window, with the magic of a record in its text, at a place where one could begin.
  const text = `{"pad":"${"x".repeat(4_200_000)}${"WBR1    ".repeat(20_000)}","id":"big"}`;
  await push([text, '{"id":"behind"}'], '{"id":"beside"}');
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
  expect(await positions("behind")).toEqual([4]);
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
