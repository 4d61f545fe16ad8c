/**
 * What occupies the place of one of our files and cannot be used (a directory, an unreadable file)
 * is renamed, never removed: a person may want to look at it, and a start must not fail for it.
 */
import { type Disk, type DiskFile, type OpenOptions, WaybillError } from "@waybill/core";

const SUFFIX = ".damaged";
/** Of one name; more than that have been looked at by nobody. */
const KEPT_MAX = 100;

/** Renames `path`; resolves to its new name. **Errors**: `WAYBILL_DISK`. */
export async function setAside(disk: Disk, path: string): Promise<string> {
  const slash = path.lastIndexOf("/");
  const names = await disk.list(path.slice(0, slash));
  for (let turn = 0; ; turn++) {
    const aside = `${path}${SUFFIX}${turn === 0 ? "" : `-${turn}`}`;
    if (names.includes(aside.slice(slash + 1)) && turn < KEPT_MAX) continue;
    try {
      await disk.rename(path, aside);
      return aside;
    } catch (error) {
      // A directory of that name that is not empty.
      if (turn >= KEPT_MAX) throw error;
    }
  }
}

/**
 * Creates a file; what is in its way, and is not a file, is set aside. **Errors**: `WAYBILL_DISK`.
 */
export async function createInPlace(disk: Disk, path: string, options: OpenOptions = {}): Promise<DiskFile> {
  try {
    return await disk.open(path, { ...options, create: true });
  } catch (error) {
    if (!(error instanceof WaybillError) || error.reason !== "EEXIST") throw error;
    await setAside(disk, path);
    return disk.open(path, { ...options, create: true });
  }
}

/**
 * Creates a directory unless it is there; a file in its place is set aside. **Errors**:
 * `WAYBILL_DISK`.
 */
export async function makeDirectoryInPlace(disk: Disk, path: string): Promise<string | undefined> {
  try {
    await disk.makeDirectory(path);
    return undefined;
  } catch (error) {
    const slash = path.lastIndexOf("/");
    const files = await disk.list(path.slice(0, slash)).catch((): readonly string[] => []);
    if (!files.includes(path.slice(slash + 1))) throw error;
    const aside = await setAside(disk, path);
    await disk.makeDirectory(path);
    return aside;
  }
}
