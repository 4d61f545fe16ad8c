import { lstat, readdir, statfs } from "node:fs/promises";

/** Of `stat`, whatever the file system's own blocks are. */
const BLOCK_BYTES = 512;

export interface DiskSpaceView {
  /** For those who are not root. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/**
 * What is left on the disk that holds a directory; `undefined` when that is not known. Never
 * rejects.
 */
export async function diskSpaceOf(directory: string): Promise<DiskSpaceView | undefined> {
  try {
    const { bavail, blocks, bsize } = await statfs(directory);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  } catch {
    return undefined;
  }
}

/**
 * What the files in a directory and those below take on the disk; 0 where there is none. A file
 * that goes meanwhile is left out. One file after another: a disk that is busy has better to do.
 * Never rejects.
 */
export async function diskUsageOf(directory: string): Promise<number> {
  let bytes = 0;
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory()) bytes += await diskUsageOf(path);
    else if (entry.isFile()) bytes += await blocksOf(path);
  }
  return bytes;
}

async function blocksOf(path: string): Promise<number> {
  try {
    return (await lstat(path)).blocks * BLOCK_BYTES;
  } catch {
    return 0;
  }
}
