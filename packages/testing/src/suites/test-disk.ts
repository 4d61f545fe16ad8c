import type { Disk, DiskErrorCode } from "@waybill/core";
import { expect, test } from "vitest";

/** An implementation of `Disk`; what only some can do registers further tests. */
export interface DiskUnderTest<D extends Disk> {
  /** A disk, and the path of a directory on it that exists and is empty. */
  make(): { readonly disk: D; readonly directory: string };
  /** The power fails: nothing that was not synced survives. Absent where a test cannot do that. */
  readonly powerCut?: (disk: D) => void;
  /** Leaves room for this many more bytes. Absent where a test cannot do that. */
  readonly leaveRoom?: (disk: D, bytes: number) => void;
}

const TEXT = "hello world";

/** The contract of `Disk`: a new one passes by this call. */
export function testDisk<D extends Disk>(name: string, implementation: DiskUnderTest<D>): void {
  const { make, powerCut, leaveRoom } = implementation;
  testFiles(name, make);
  testNames(name, make);
  testRefusals(name, make);
  if (powerCut !== undefined) testPowerCut(name, make, powerCut);
  if (leaveRoom !== undefined) testNoRoom(name, make, leaveRoom);
}

type Make<D extends Disk> = DiskUnderTest<D>["make"];

function testFiles<D extends Disk>(name: string, make: Make<D>): void {
  test(`${name}: reads back the bytes that were written, wherever they were written`, async () => {
    const { disk, directory } = make();
    const file = await disk.open(`${directory}/f`, { create: true });
    await file.write([bytesOf("hello "), bytesOf(""), bytesOf("world")], 0);
    await file.write([bytesOf("W")], 6);
    await file.write([], 3);
    expect(await textOf(disk, `${directory}/f`)).toBe("hello World");
    expect(await file.size()).toBe(TEXT.length);
    await file.close();
  });

  test(`${name}: a read gets fewer bytes only at the end of the file, and changes no more of its target`, async () => {
    const { disk, directory } = make();
    const file = await written(disk, `${directory}/f`, TEXT);
    const target = new Uint8Array(8).fill(1);
    expect(await file.read(target, 6)).toBe(5);
    expect(target).toEqual(Uint8Array.of(...bytesOf("world"), 1, 1, 1));
    expect(await file.read(target, TEXT.length)).toBe(0);
    expect(await file.read(target, 10_000)).toBe(0);
    expect(await file.read(new Uint8Array(0), 0)).toBe(0);
  });

  test(`${name}: a write past the end leaves zeros between, also where there were bytes before a cut`, async () => {
    const { disk, directory } = make();
    const file = await written(disk, `${directory}/f`, TEXT);
    await file.truncate(2);
    expect(await file.size()).toBe(2);
    await file.write([bytesOf("!")], 4);
    expect(await textOf(disk, `${directory}/f`)).toBe("he\0\0!");
  });

  test(`${name}: a write of many buffers is whole, and leaves them as they are`, async () => {
    const { disk, directory } = make();
    const texts = Array.from({ length: 3_000 }, (_, index) => `${index},`);
    const buffers = texts.map(bytesOf);
    const file = await disk.open(`${directory}/f`, { create: true, durable: true });
    await file.write(buffers, 0);
    expect(await textOf(disk, `${directory}/f`)).toBe(texts.join(""));
    expect(buffers.map((buffer) => Buffer.from(buffer).toString())).toEqual(texts);
  });

  test(`${name}: two who have the same file open see the same bytes`, async () => {
    const { disk, directory } = make();
    const one = await written(disk, `${directory}/f`, TEXT);
    const other = await disk.open(`${directory}/f`);
    await one.write([bytesOf("J")], 0);
    await one.sync();
    const target = new Uint8Array(1);
    await other.read(target, 0);
    expect(target).toEqual(bytesOf("J"));
    await one.close();
    expect(await other.size()).toBe(TEXT.length);
  });
}

function testNames<D extends Disk>(name: string, make: Make<D>): void {
  test(`${name}: lists the files of a directory by name, in order, without its directories`, async () => {
    const { disk, directory } = make();
    expect(await disk.list(directory)).toEqual([]);
    await disk.makeDirectory(`${directory}/c`);
    for (const file of ["b", "a", "c/d", "B"]) await written(disk, `${directory}/${file}`, "");
    expect(await disk.list(directory)).toEqual(["B", "a", "b"]);
    expect(await disk.list(`${directory}/c`)).toEqual(["d"]);
  });

  test(`${name}: makes a directory with its parents, and leaves one as it is that is there`, async () => {
    const { disk, directory } = make();
    await disk.makeDirectory(`${directory}/a/b`);
    await written(disk, `${directory}/a/b/f`, TEXT);
    await disk.makeDirectory(`${directory}/a/b`);
    await disk.makeDirectory(`${directory}/a`);
    expect(await disk.list(`${directory}/a/b`)).toEqual(["f"]);
  });

  test(`${name}: a renamed file replaces the one of that name, and stays open`, async () => {
    const { disk, directory } = make();
    const file = await written(disk, `${directory}/new`, "new");
    const replaced = await written(disk, `${directory}/f`, "old");
    await disk.rename(`${directory}/new`, `${directory}/f`);
    expect(await disk.list(directory)).toEqual(["f"]);
    await file.write([bytesOf("!")], 3);
    expect(await textOf(disk, `${directory}/f`)).toBe("new!");
    expect(await replaced.size()).toBe("old".length);
    await disk.rename(`${directory}/f`, `${directory}/f`);
    expect(await textOf(disk, `${directory}/f`)).toBe("new!");
  });

  test(`${name}: a removed file is gone by its name, and still there for those who have it open`, async () => {
    const { disk, directory } = make();
    const file = await written(disk, `${directory}/f`, TEXT);
    await disk.remove(`${directory}/f`);
    expect(await disk.list(directory)).toEqual([]);
    expect(await file.read(new Uint8Array(5), 0)).toBe(5);
    const again = await written(disk, `${directory}/f`, "other");
    expect(await file.size()).toBe(TEXT.length);
    expect(await again.size()).toBe("other".length);
  });
}

function testRefusals<D extends Disk>(name: string, make: Make<D>): void {
  test(`${name}: what is not there, or must not be, is refused with its reason`, async () => {
    const { disk, directory } = make();
    await written(disk, `${directory}/f`, TEXT);
    await refused(disk.open(`${directory}/none`), "ENOENT");
    await refused(disk.open(`${directory}/none/f`, { create: true }), "ENOENT");
    await refused(disk.open(`${directory}/f`, { create: true }), "EEXIST");
    await refused(disk.list(`${directory}/none`), "ENOENT");
    await refused(disk.remove(`${directory}/none`), "ENOENT");
    await refused(disk.rename(`${directory}/none`, `${directory}/g`), "ENOENT");
    await refused(disk.rename(`${directory}/f`, `${directory}/none/f`), "ENOENT");
    await refused(disk.syncDirectory(`${directory}/none`), "ENOENT");
    await refused(disk.makeDirectory(`${directory}/f`), "EEXIST");
    expect(await textOf(disk, `${directory}/f`)).toBe(TEXT);
  });

  test(`${name}: a closed file does nothing any more`, async () => {
    const { disk, directory } = make();
    const file = await written(disk, `${directory}/f`, TEXT);
    await file.close();
    await refused(file.write([bytesOf("x")], 0), "EIO");
    await refused(file.read(new Uint8Array(1), 0), "EIO");
    await refused(file.truncate(0), "EIO");
    await refused(file.sync(), "EIO");
    await refused(file.size(), "EIO");
    await refused(file.close(), "EIO");
    expect(await textOf(disk, `${directory}/f`)).toBe(TEXT);
  });
}

function testPowerCut<D extends Disk>(name: string, make: Make<D>, powerCut: (disk: D) => void): void {
  test(`${name}: after a power cut a file has its synced bytes under its synced name`, async () => {
    const { disk, directory } = make();
    const file = await written(disk, `${directory}/f`, "synced");
    await file.sync();
    await disk.syncDirectory(directory);
    await file.write([bytesOf(", not synced")], 6);
    await written(disk, `${directory}/g`, "no name");
    powerCut(disk);
    expect(await disk.list(directory)).toEqual(["f"]);
    expect(await textOf(disk, `${directory}/f`)).toBe("synced");
    await refused(file.size(), "EIO");
  });

  test(`${name}: a durable write needs no sync, but its file's name does`, async () => {
    const { disk, directory } = make();
    const file = await disk.open(`${directory}/f`, { create: true, durable: true });
    await disk.syncDirectory(directory);
    await file.write([bytesOf(TEXT)], 0);
    powerCut(disk);
    expect(await textOf(disk, `${directory}/f`)).toBe(TEXT);
  });

  test(`${name}: a rename, a removal and a cut that were not synced are taken back`, async () => {
    const { disk, directory } = make();
    for (const one of ["a", "b", "c"]) await (await written(disk, `${directory}/${one}`, one)).sync();
    await disk.syncDirectory(directory);
    await disk.rename(`${directory}/a`, `${directory}/z`);
    await disk.remove(`${directory}/b`);
    await (await disk.open(`${directory}/c`)).truncate(0);
    powerCut(disk);
    expect(await disk.list(directory)).toEqual(["a", "b", "c"]);
    expect(await textOf(disk, `${directory}/c`)).toBe("c");
  });
}

function testNoRoom<D extends Disk>(name: string, make: Make<D>, leaveRoom: (disk: D, bytes: number) => void): void {
  test(`${name}: without room a write is refused, what was there stays, and a cut gives room back`, async () => {
    const { disk, directory } = make();
    const file = await written(disk, `${directory}/f`, TEXT);
    leaveRoom(disk, 3);
    await refused(file.write([bytesOf("more")], TEXT.length), "ENOSPC");
    await file.write([bytesOf("HELLO")], 0);
    expect((await textOf(disk, `${directory}/f`)).slice(0, TEXT.length)).toBe("HELLO world");
    await file.truncate(5);
    await file.write([bytesOf(" you")], 5);
    expect(await textOf(disk, `${directory}/f`)).toBe("HELLO you");
  });
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

async function written(disk: Disk, path: string, text: string): ReturnType<Disk["open"]> {
  const file = await disk.open(path, { create: true });
  await file.write([bytesOf(text)], 0);
  return file;
}

async function textOf(disk: Disk, path: string): Promise<string> {
  const file = await disk.open(path);
  const target = new Uint8Array(await file.size());
  await file.read(target, 0);
  await file.close();
  return Buffer.from(target).toString();
}

async function refused(call: Promise<unknown>, reason: DiskErrorCode): Promise<void> {
  await expect(call).rejects.toMatchObject({ code: "WAYBILL_DISK", reason });
}
