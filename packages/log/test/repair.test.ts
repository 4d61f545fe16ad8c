import { openLog, repairLog, verifyLog, walkLog } from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const DIRECTORY = "/log";
const RECORDS = 12;

async function filled(): Promise<SimDisk> {
  const disk = new SimDisk();
  const log = await openLog({ directory: DIRECTORY, segmentMaxBytes: 500 }, { disk, clock: new VirtualClock() });
  for (let index = 0; index < RECORDS; index++) {
    const body = Buffer.from(`{"n":${index},"pad":"${"x".repeat(60)}"}`);
    await log.append({
      source: "s",
      receivedAtMs: index,
      metadata: "",
      body: [body],
      ends: Uint32Array.of(body.length),
    });
  }
  await log.close();
  return disk;
}

/**
 * Damages records in the middle of two segments, a header, and leaves an unfinished write at the
 * end.
 */
async function damage(disk: SimDisk): Promise<void> {
  const paths = disk.paths();
  for (const index of [1, 6]) {
    const path = paths.find((one) => Buffer.from(disk.contents(one)).includes(`{"n":${index},`)) as string;
    disk.flipBit(path, Buffer.from(disk.contents(path)).indexOf(`{"n":${index},`) + 20);
  }
  disk.flipBit(paths[1] as string, 30);
  const newest = paths.at(-1) as string;
  const file = await disk.open(newest);
  await file.write([Buffer.from("WBR1 and then the power failed")], disk.contents(newest).length);
  await file.sync();
}

async function positions(disk: SimDisk): Promise<readonly number[]> {
  const found: number[] = [];
  for await (const walked of walkLog(DIRECTORY, disk)) if (walked.kind === "record") found.push(walked.record.first);
  return found;
}

const KEPT = Array.from({ length: RECORDS }, (_, index) => index).filter((index) => index !== 1 && index !== 6);

test("repair sets aside what is damaged; what is whole stays at its positions, and verify says whole", async () => {
  const disk = await filled();
  await damage(disk);
  expect((await verifyLog(DIRECTORY, disk)).damaged).toHaveLength(2);
  const planned = await repairLog(DIRECTORY, disk, { dryRun: true });
  expect((await verifyLog(DIRECTORY, disk)).damaged).toHaveLength(2);
  const done = await repairLog(DIRECTORY, disk, { dryRun: false });
  expect(done).toEqual(planned);
  expect(done.flatMap(({ lost }) => lost)).toEqual([
    { from: 1, to: 2 },
    { from: 6, to: 7 },
  ]);
  const report = await verifyLog(DIRECTORY, disk);
  expect([report.damaged, report.tornBytes]).toEqual([[], 0]);
  expect(await positions(disk)).toEqual(KEPT);
  for (const { copy } of done.flatMap(({ removed }) => removed))
    if (copy !== undefined) expect(Buffer.from(disk.contents(`${DIRECTORY}/${copy}`)).toString()).toContain("xxxx");
  expect(await repairLog(DIRECTORY, disk, { dryRun: false })).toEqual([]);
  // The log goes on where it was.
  const log = await openLog({ directory: DIRECTORY }, { disk, clock: new VirtualClock() });
  expect([log.first, log.head]).toEqual([0, RECORDS]);
});

test("a power cut in the middle of a repair loses nothing that was whole; the next one goes on", async () => {
  for (let seed = 0; seed < 40; seed++) {
    const disk = await filled();
    await damage(disk);
    let left = 1 + (seed % 20);
    disk.onOperation = () => {
      left -= 1;
      if (left === 0) throw new Error("the power failed");
    };
    await repairLog(DIRECTORY, disk, { dryRun: false }).catch(() => undefined);
    disk.onOperation = undefined;
    disk.crash(new SeededRandom(seed));
    expect(await positions(disk), `seed ${seed}`).toEqual(KEPT);
    await repairLog(DIRECTORY, disk, { dryRun: false });
    expect((await verifyLog(DIRECTORY, disk)).damaged).toEqual([]);
    expect(await positions(disk)).toEqual(KEPT);
  }
});
