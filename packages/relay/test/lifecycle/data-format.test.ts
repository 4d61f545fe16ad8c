/** The format of a data directory: noted, read, and refused when it is newer. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { nodeDisk } from "@waybill/node";
import { dataFormatOf, startRelay, VERSION } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { configOf, type RelayWorld, startWorld } from "../lib/world.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };

function folder(): string {
  const directory = mkdtempSync(join(tmpdir(), "waybill-format-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** Of every file, by its path. */
function contents(directory: string): Record<string, string> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isSocket());
  return Object.fromEntries(
    entries.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path, entry.isFile() ? createHash("sha256").update(readFileSync(path)).digest("hex") : "directory"];
    }),
  );
}

/** A segment's header, as a version to come may write it. */
function newerSegment(format: number): Buffer {
  const bytes = Buffer.alloc(64);
  bytes.write("WAYBILL\0", "latin1");
  bytes.writeUInt32LE(format, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(16), crc32(bytes.subarray(0, 12))), 12);
  return bytes;
}

async function stopped(world: RelayWorld): Promise<string> {
  expect((await world.post("/v1/batch", { batch: [{ type: "track", userId: "u", event: "E" }] })).status).toBe(200);
  await world.relay.stop();
  return world.config.dataDirectory;
}

test("a start notes the version and the format, once", async () => {
  const world = await startWorld();
  const data = await stopped(world);
  expect(readFileSync(`${data}/.format`, "utf8")).toBe(`{"format":1,"writtenBy":"${VERSION}"}\n`);
  expect(await dataFormatOf(data, ["test", "other"], nodeDisk)).toEqual({
    directory: data,
    format: 1,
    writtenBy: VERSION,
    logs: [{ environment: "test", format: 1 }],
    isEmpty: false,
  });
});

test.each([
  [
    "the file names",
    (data: string) => writeFileSync(`${data}/.format`, '{"format":2,"writtenBy":"9.1.0"}\n'),
    "waybill 9.1.0",
  ],
  [
    "a log has",
    (data: string) => writeFileSync(`${data}/test/log/00000000000000009999.log`, newerSegment(3)),
    `waybill ${VERSION}`,
  ],
])(
  "a newer format that %s is refused with the version that wrote it, and nothing is changed",
  async (_how, change, by) => {
    const world = await startWorld();
    const data = await stopped(world);
    change(data);
    const before = contents(data);
    const starting = startRelay(world.config, { logger: silent as never });
    await expect(starting).rejects.toMatchObject({ code: "WAYBILL_DATA_FORMAT" });
    await expect(starting).rejects.toThrow(
      new RegExp(
        `has format [23], written by ${by}; this is waybill ${VERSION}, which reads format 1 and older. Nothing was changed`,
      ),
    );
    expect(contents(data)).toEqual(before);
  },
);

test("a file that is damaged, or of another version of the same format, stops nothing", async () => {
  const world = await startWorld();
  const data = await stopped(world);
  for (const text of ["", "{", "null", '{"format":"1"}', '{"format":1,"writtenBy":"0.0.1"}']) {
    writeFileSync(`${data}/.format`, text);
    const relay = await startRelay(world.config, { logger: silent as never });
    await relay.stop();
    expect(readFileSync(`${data}/.format`, "utf8")).toContain(VERSION);
  }
  rmSync(`${data}/.format`);
  mkdirSync(`${data}/.format`);
  const relay = await startRelay(world.config, { logger: silent as never });
  await relay.stop();
});

test("an empty directory, a missing one and a foreign one are not taken for one of ours", async () => {
  const directory = folder();
  mkdirSync(`${directory}/test/log`, { recursive: true });
  writeFileSync(`${directory}/test/log/00000000000000000000.log`, "noise");
  for (const path of [directory, `${directory}/nowhere`])
    expect(await dataFormatOf(path, ["test"], nodeDisk)).toMatchObject({
      isEmpty: true,
      format: 1,
      writtenBy: undefined,
    });
  expect(() =>
    configOf("/tmp", "http://127.0.0.1:1", {
      destinations: () => ({ out: { vendor: "file", path: "/tmp/data/.format" } }),
    }),
  ).toThrow("is where the relay's own files are");
});
