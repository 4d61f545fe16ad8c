import { statfs } from "node:fs/promises";

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
