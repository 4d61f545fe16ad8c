/**
 * Which file systems are shared between machines: their sockets, and with them our locks, end at
 * each machine.
 */
import { readFile, stat, statfs } from "node:fs/promises";

/** What the kernel reports of the file system that holds a directory. */
export interface FileSystem {
  /** The magic number of `statfs`. */
  readonly magic: number;
  /** The type as it was mounted, such as `fuse.sshfs`; `undefined` where that is not known. */
  readonly mountType: string | undefined;
}

/** From `linux/magic.h` and the file systems' own headers. */
const SHARED = new Map<number, string>([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x01021997, "9P"],
  [0x5346414f, "AFS"],
  [0x6b414653, "AFS"],
  [0x73757245, "Coda"],
  [0x564c, "NCP"],
  [0x00c36400, "Ceph"],
  [0x01161970, "GFS2"],
  [0x7461636f, "OCFS2"],
  [0x0bd00bd0, "Lustre"],
  [0x47504653, "GPFS"],
  [0xaad7aaea, "PanFS"],
  [0x786f4256, "VirtualBox shared folder"],
  [0xbacbacbc, "VMware shared folder"],
  [0x19830326, "BeeGFS"],
]);
const FUSE_MAGIC = 0x65735546;
/** FUSE carries local disks too; what is not known to be one is taken for shared. */
const LOCAL_FUSE: readonly string[] = [
  "fuseblk",
  "fuse.fuse-overlayfs",
  "fuse.mergerfs",
  "fuse.gocryptfs",
  "fuse.cryfs",
  "fuse.encfs",
];

/** The name of a file system that other machines may share; `undefined` for a local one. */
export function sharedFileSystem({ magic, mountType }: FileSystem): string | undefined {
  if (magic !== FUSE_MAGIC) return SHARED.get(magic);
  return mountType !== undefined && LOCAL_FUSE.includes(mountType) ? undefined : (mountType ?? "FUSE");
}

/** Linux alone has numbers that mean the same everywhere; `undefined` elsewhere. */
export async function fileSystemOf(directory: string): Promise<FileSystem | undefined> {
  if (process.platform !== "linux") return undefined;
  // A 32-bit kernel gives the number with a sign.
  const magic = (await statfs(directory)).type >>> 0;
  return { magic, mountType: magic === FUSE_MAGIC ? await mountTypeOf(directory) : undefined };
}

/**
 * By the device, as `/proc/self/mountinfo` lists it:
 * `36 35 98:0 /root /mount options - type source options`.
 */
async function mountTypeOf(directory: string): Promise<string | undefined> {
  const { dev } = await stat(directory, { bigint: true });
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  const mounts = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  const line = mounts.split("\n").findLast((one) => one.split(" ")[2] === `${major}:${minor}`);
  return line?.split(" - ")[1]?.split(" ")[0];
}
