/**
 * One process alone has a data directory, whatever dies when. The processes run the built files.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { lockDirectory } from "@waybill/node";
import { expect, test } from "vitest";
import { sharedFileSystem } from "../src/file-systems.ts";
import { Contender, temporary } from "./lib/contender.ts";

const LOCKED = { code: "WAYBILL_LOG_LOCKED" };
const ROOT_USER = 0;
const NOBODY = 65_534;

test("a killed holder's lock is taken over; a living one's is not, by another temporary directory either", async () => {
  const directory = temporary();
  const holder = new Contender({ temporary: temporary() });
  expect(await holder.take(directory)).toBe("held");
  expect(await new Contender({ temporary: temporary() }).take(directory)).toContain("Another process is using");
  await expect(lockDirectory(directory)).rejects.toMatchObject(LOCKED);
  await holder.kill();
  const lock = await lockDirectory(directory);
  await expect(lockDirectory(directory)).rejects.toMatchObject(LOCKED);
  await lock.release();
});

test("a process that is stopped still has its lock", async () => {
  const directory = temporary();
  const holder = new Contender();
  expect(await holder.take(directory)).toBe("held");
  holder.process.kill("SIGSTOP");
  for (let attempt = 0; attempt < 5; attempt++) await expect(lockDirectory(directory)).rejects.toMatchObject(LOCKED);
  await holder.kill();
  await (await lockDirectory(directory)).release();
});

test("a long path, a symbolic link and a path from here lead to the same lock", async () => {
  const directory = join(temporary(), "long-name-".repeat(12), "long-name-".repeat(12));
  mkdirSync(directory, { recursive: true });
  const link = join(temporary(), "link");
  symlinkSync(directory, link);
  const lock = await lockDirectory(directory);
  expect(readdirSync(join(directory, ".lock"))).toHaveLength(1);
  await expect(lockDirectory(link)).rejects.toMatchObject(LOCKED);
  await lock.release();
  const other = await lockDirectory(link);
  await expect(lockDirectory(directory)).rejects.toMatchObject(LOCKED);
  await other.release();
});

test("what killed contenders left is removed, and a lock that was released leaves an empty directory", async () => {
  const directory = temporary();
  mkdirSync(join(directory, ".lock-0123456789abcdef"));
  writeFileSync(join(directory, ".lock-0123456789abcdef/0123456789abcdef"), "");
  mkdirSync(join(directory, ".lock-0123456789abcdee.old"));
  mkdirSync(join(directory, ".lock"));
  // As a backup may leave it: a name of ours that is not a socket.
  writeFileSync(join(directory, ".lock/00112233445566ff"), "");
  const lock = await lockDirectory(directory);
  expect(readdirSync(directory)).toEqual([".lock"]);
  await lock.release();
  expect(readdirSync(join(directory, ".lock"))).toEqual([]);
});

test("says truly why there can be no lock", async () => {
  const directory = temporary();
  const file = join(directory, "file");
  writeFileSync(file, "");
  const why = async (path: string): Promise<string> => {
    const error = await lockDirectory(path).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "WAYBILL_DISK" });
    return (error as Error).message;
  };
  expect(await why(join(directory, "none"))).toContain("does not exist");
  expect(await why(file)).toContain("is not a directory");
  expect(await why(`/${"x".repeat(5_000)}`)).toContain("too long");
  writeFileSync(join(directory, ".lock"), "mine");
  expect(await why(directory)).toContain(".lock in it is not a directory");
  expect(existsSync(join(directory, ".lock"))).toBe(true);
  rmSync(join(directory, ".lock"));
  mkdirSync(join(directory, ".lock"));
  writeFileSync(join(directory, ".lock/notes.txt"), "mine");
  expect(await why(directory)).toContain('holds "notes.txt"');
  expect(existsSync(join(directory, ".lock/notes.txt"))).toBe(true);
});

test("without permission it says so; a lock of another user that can't be tested counts as in use", async () => {
  const directory = temporary();
  const user = process.getuid?.() === ROOT_USER ? { user: NOBODY } : {};
  const locked = join(directory, "locked");
  const readOnly = join(directory, "read-only");
  for (const path of [locked, readOnly]) mkdirSync(path);
  mkdirSync(join(locked, ".lock"));
  chmodSync(directory, 0o755);
  chmodSync(locked, 0o777);
  chmodSync(join(locked, ".lock"), 0);
  chmodSync(readOnly, 0o555);
  const contender = new Contender(user);
  expect(await contender.take(locked)).toMatch(/^WAYBILL_LOG_LOCKED .*cannot test \(EACCES\)/);
  expect(await contender.take(readOnly)).toMatch(/^WAYBILL_DISK .*no permission there/);
  chmodSync(join(locked, ".lock"), 0o700);
});

test("a file system that machines share is refused, a local one is not", async () => {
  const directory = temporary();
  const nfs = { magic: 0x6969, mountType: undefined };
  await expect(lockDirectory(directory, () => Promise.resolve(nfs))).rejects.toMatchObject({
    code: "WAYBILL_DISK",
    message: expect.stringContaining("NFS") as string,
  });
  const fuse = (mountType: string | undefined): string | undefined =>
    sharedFileSystem({ magic: 0x65735546, mountType });
  expect(sharedFileSystem({ magic: 0xff534d42, mountType: undefined })).toBe("CIFS");
  expect([fuse("fuse.sshfs"), fuse("virtiofs"), fuse(undefined)]).toEqual(["fuse.sshfs", "virtiofs", "FUSE"]);
  const [ext4, tmpfs, overlay, btrfs, xfs] = [0xef53, 0x01021994, 0x794c7630, 0x9123683e, 0x58465342];
  for (const magic of [ext4, tmpfs, overlay, btrfs, xfs] as number[])
    expect(sharedFileSystem({ magic, mountType: undefined })).toBeUndefined();
  expect([fuse("fuseblk"), fuse("fuse.fuse-overlayfs")]).toEqual([undefined, undefined]);
});

test("a listener of another kind in the lock's place counts as in use", async () => {
  const directory = temporary();
  mkdirSync(join(directory, ".lock"));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(directory, ".lock/00112233445566ff"), resolve));
  await expect(lockDirectory(directory)).rejects.toMatchObject(LOCKED);
  await new Promise((resolve) => server.close(resolve));
  await (await lockDirectory(directory)).release();
});
