/** Events appended to a file: on a simulated disk that fails, and on the real one. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HttpResponse, type Runtime } from "@waybill/core";
import { nodeDisk } from "@waybill/node";
import { SimDisk, VirtualClock } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { FileWriter } from "../../src/delivery/file-writer.ts";

interface World {
  readonly clock: VirtualClock;
  readonly writer: FileWriter;
  append(text: string, settings?: object, signal?: AbortSignal): Promise<HttpResponse>;
}

const PATH = "/out/events.ndjson";
const DEFAULTS = { path: PATH, rotateBytes: 1e9, rotateAfter: 1e9 };

function worldOn(disk: unknown, defaults: object = DEFAULTS): World {
  const clock = new VirtualClock();
  const writer = new FileWriter({ clock, disk } as unknown as Runtime);
  const never = new AbortController().signal;
  return {
    clock,
    writer,
    append: (text, settings = {}, signal = never) =>
      writer.transport({ ...DEFAULTS, ...defaults, ...settings })(
        { method: "POST", url: "file:///", headers: {}, body: [text, Buffer.from("\n")] },
        signal,
      ),
  };
}

const text = (disk: SimDisk, path = PATH): string => Buffer.from(disk.contents(path)).toString();

/** A folder on the real disk. */
function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "waybill-file-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const allLines = (directory: string): string[] =>
  readdirSync(directory).flatMap((name) => readFileSync(join(directory, name), "utf8").trimEnd().split("\n"));

test("hundreds of rotations within one millisecond write over nothing", async () => {
  const disk = new SimDisk();
  const { append } = worldOn(disk, { rotateBytes: 1 });
  await Promise.all(Array.from({ length: 500 }, (_, index) => append(`line ${index}`)));
  const lines = disk.paths().map((path) => text(disk, path));
  expect(lines).toHaveLength(500);
  expect(new Set(lines).size).toBe(500);
  expect(disk.paths()).toContain("/out/events-2026-01-01T00-00-00-000Z-499.ndjson");
});

test("a file of another that bears the name is not written over", async () => {
  const disk = new SimDisk();
  const { append, clock } = worldOn(disk, { rotateBytes: 1 });
  await append("first");
  const name = `/out/events-${new Date(clock.now()).toISOString().replaceAll(/[:.]/g, "-")}.ndjson`;
  const taken = await disk.open(name, { create: true });
  await taken.write([Buffer.from("theirs")], 0);
  await append("second");
  expect(text(disk, name)).toBe("theirs");
  expect(text(disk, name.replace(".ndjson", "-2.ndjson"))).toBe("first\n");
});

test.each([
  ["/out.d/events", "/out.d/events-"],
  ["/out/.hidden", "/out/.hidden-"],
  ["/out/a.b.log", "/out/a.b-"],
])("%s is rotated to %s…", async (path, prefix) => {
  const disk = new SimDisk();
  const { append } = worldOn(disk, { path, rotateBytes: 1 });
  await append("a");
  await append("b");
  expect(text(disk, path)).toBe("b\n");
  expect(disk.paths().filter((one) => one.startsWith(prefix))).toHaveLength(1);
});

test("a write that half failed leaves no half a line, whatever comes next", async () => {
  for (const kill of [false, true]) {
    const disk = new SimDisk();
    let { append } = worldOn(disk);
    await append("one");
    disk.capacityBytes = disk.usedBytes + 12;
    await expect(append("torn after its middle")).rejects.toMatchObject({
      code: "WAYBILL_DISK",
      message: expect.stringContaining(PATH),
      retryable: true,
    });
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    // Another process does not know where the last whole line ended.
    if (kill) ({ append } = worldOn(disk));
    await append("two");
    const lines = text(disk).trimEnd().split("\n");
    expect(lines.filter((line) => line === "one" || line === "two")).toEqual(["one", "two"]);
    if (!kill) expect(lines).toEqual(["one", "two"]);
  }
});

test("any operation may fail at any time: what was acknowledged is there, once or more, in whole lines", async () => {
  for (const operation of [
    "open",
    "write",
    "sync",
    "truncate",
    "rename",
    "syncDirectory",
    "list",
    "makeDirectory",
  ] as const)
    for (let skip = 0; skip < 6; skip++) {
      const disk = new SimDisk();
      const { append } = worldOn(disk, { rotateBytes: 12 });
      const acknowledged: string[] = [];
      for (let index = 0; index < 8; index++) {
        if (index === skip) disk.failNext(operation);
        for (let tries = 0; tries < 3; tries++) {
          const done = await append(`line-${index}`).then(
            () => true,
            () => false,
          );
          if (done) {
            acknowledged.push(`line-${index}`);
            break;
          }
        }
      }
      disk.crash();
      const lines = disk.paths().flatMap((path) => text(disk, path).trimEnd().split("\n"));
      expect(acknowledged).toHaveLength(8);
      expect(lines).toEqual(expect.arrayContaining(acknowledged));
      expect(lines.filter((line) => !/^line-\d$/.test(line))).toEqual([]);
    }
});

test("a path that is a directory, one within a file, and one that may not be written say so, and later work", async () => {
  const directory = temporary();
  mkdirSync(`${directory}/taken`);
  writeFileSync(`${directory}/file`, "");
  const inDirectory = worldOn(nodeDisk, { path: `${directory}/taken` });
  await expect(inDirectory.append("x")).rejects.toThrow(
    /Cannot append to .*taken: there is something that is not a file/,
  );
  await expect(worldOn(nodeDisk, { path: `${directory}/file/x` }).append("x")).rejects.toThrow(
    /Cannot append to .*ENOTDIR|EEXIST/,
  );
  rmSync(`${directory}/taken`, { recursive: true });
  await inDirectory.append("x");
  expect(readFileSync(`${directory}/taken`, "utf8")).toBe("x\n");
});

test("a file that was removed, or its directory, takes nothing with it", async () => {
  const directory = temporary();
  const path = `${directory}/sub/events.ndjson`;
  const { append } = worldOn(nodeDisk, { path });
  await append("old");
  rmSync(path);
  await expect(append("new")).rejects.toThrow(/the file was removed/);
  await append("new");
  expect(readFileSync(path, "utf8")).toBe("new\n");
  rmSync(`${directory}/sub`, { recursive: true });
  await expect(append("newer")).rejects.toThrow(/ENOENT|removed/);
  await append("newer");
  expect(readFileSync(path, "utf8")).toBe("newer\n");
});

const openFiles = (directory: string): string[] =>
  readdirSync("/proc/self/fd").flatMap((descriptor) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${descriptor}`);
      return target.startsWith(directory) ? [target] : [];
    } catch {
      return [];
    }
  });

test("settings change under way: one descriptor at most, no two write at one place, and none is left at the end", async () => {
  const directory = temporary();
  const { append, writer } = worldOn(nodeDisk, { path: `${directory}/a.ndjson` });
  const all: Promise<unknown>[] = [];
  for (let reload = 0; reload < 50; reload++)
    for (let at = 0; at < 3; at++)
      all.push(
        append(`${reload}-${at}`, {
          rotateBytes: 100 + reload,
          path: `${directory}/${reload % 10 === 9 ? "b" : "a"}.ndjson`,
        }),
      );
  await Promise.all(all);
  expect(openFiles(directory).length).toBeLessThanOrEqual(1);
  expect(allLines(directory)).toHaveLength(150);
  await writer.close();
  await writer.close();
  expect(openFiles(directory)).toEqual([]);
  await expect(append("late")).rejects.toMatchObject({ code: "WAYBILL_DISK", retryable: true });
  expect(openFiles(directory)).toEqual([]);
});

test("what was aborted before its turn is not written, and bytes are the caller's again once it has ended", async () => {
  const disk = new SimDisk();
  const { append, writer } = worldOn(disk);
  const controller = new AbortController();
  const bytes = Buffer.from("mine");
  const request = { method: "POST", url: "file:///", headers: {}, body: [bytes, "\n"] } as const;
  const first = append("first");
  const second = writer.transport(DEFAULTS as never)(request, new AbortController().signal);
  bytes.fill("x");
  const third = append("third", {}, controller.signal);
  controller.abort();
  await Promise.all([first, second]);
  await expect(third).rejects.toThrow(/aborted/);
  expect(text(disk)).toBe("first\nmine\n");
});
