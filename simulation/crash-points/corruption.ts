import { openLog } from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { contents, entryOf, readAll } from "./records.ts";

const LOG = "/log";

export interface CorruptionResult {
  readonly bytes: number;
  readonly failures: readonly string[];
}

/**
 * Turns a bit in every byte of a log, one at a time: only the record it is in may be lost, and the
 * loss must be reported.
 */
export async function tryCorruption(seed: number, appends: number): Promise<CorruptionResult> {
  const random = new SeededRandom(seed);
  const clock = new VirtualClock();
  const original = new SimDisk();
  const options = { directory: LOG, segmentMaxBytes: 1_500 };
  const log = await openLog(options, { disk: original, clock });
  for (let index = 0; index < appends; index++)
    await log.append(entryOf(`{"n":${index},"pad":"${"x".repeat(random.below(300))}"}`));
  await log.close();
  const files = contents(original);
  const whole = await readAll(await openLog(options, { disk: SimDisk.of(files, [LOG]), clock }));
  const failures: string[] = [];
  let bytes = 0;
  for (const [path, data] of files) {
    for (let offset = 0; offset < data.length; offset++) {
      bytes += 1;
      const disk = SimDisk.of(files, [LOG]);
      disk.flipBit(path, offset, random.below(8));
      const where = `seed ${seed}, ${path} byte ${offset}`;
      try {
        const damaged = await openLog(options, { disk, clock });
        const left = new Map(
          (await readAll(damaged)).map((record) => [record.first, Buffer.from(record.body).toString()]),
        );
        const lost = whole.filter(({ first, body }) => left.get(first) !== Buffer.from(body).toString());
        if (lost.length > 1) failures.push(`${where}: ${lost.length} records are lost`);
        if (left.size > whole.length - lost.length) failures.push(`${where}: a record was invented`);
      } catch (error) {
        failures.push(`${where}: the log does not open: ${String(error)}`);
      }
    }
  }
  return { bytes, failures };
}
