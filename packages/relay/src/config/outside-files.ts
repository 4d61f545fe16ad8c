import { readFileSync, statSync } from "node:fs";
import { certificatesOf } from "@waybill/node";

/** The directory of CAs of a whole operating system has less. */
const PEM_MAX_BYTES = 4 * 1024 * 1024;

/** What a file has, or what is wrong with it; never quotes it. */
export type Read<T> = T | { readonly fault: string };

type Certificates = Read<{ readonly certificates: readonly string[] }>;

/** Files that a configuration names, each read once for it. */
export class OutsideFiles {
  readonly #texts = new Map<string, Read<{ readonly pem: string }>>();
  readonly #missing = new Set<string>();
  readonly #onMissing: ((path: string) => void) | undefined;

  /** `onMissing`: a file that does not exist is not a fault, and counts as empty. */
  constructor(onMissing?: (path: string) => void) {
    this.#onMissing = onMissing;
  }

  certificates(path: string): Certificates {
    const read = this.pem(path);
    if ("fault" in read) return read;
    return this.isMissing(path) ? { certificates: [] } : certificatesOf(read.pem);
  }

  pem(path: string): Read<{ readonly pem: string }> {
    const known = this.#texts.get(path);
    if (known !== undefined) return known;
    let found = readPem(path);
    if (this.#onMissing !== undefined && "fault" in found && found.isMissing === true) {
      this.#onMissing(path);
      this.#missing.add(path);
      found = { pem: "" };
    }
    this.#texts.set(path, found);
    return found;
  }

  /** Only with `onMissing`. */
  isMissing(path: string): boolean {
    return this.#missing.has(path);
  }
}

/** **Errors**: as a value. */
function readPem(path: string): { readonly pem: string } | Unread {
  const found = readWhole(path, { maxBytes: PEM_MAX_BYTES, tooLarge: "is too large to be a list of certificates" });
  return "fault" in found ? found : { pem: found.text };
}

export interface Unread {
  readonly fault: string;
  readonly isMissing?: boolean;
  readonly cause?: unknown;
}

/** A file of text, at once, while everything else waits. **Errors**: as a value. */
export function readWhole(
  path: string,
  { maxBytes, tooLarge }: { readonly maxBytes: number; readonly tooLarge: string },
): { readonly text: string } | Unread {
  try {
    const stat = statSync(path);
    // A pipe or a device may never end.
    if (!stat.isFile()) return { fault: "is not a file" };
    if (stat.size > maxBytes) return { fault: tooLarge };
    return { text: readFileSync(path, "utf8") };
  } catch (cause) {
    const { code = "unknown" } = cause as NodeJS.ErrnoException;
    return { fault: `cannot be read: ${code}`, isMissing: code === "ENOENT", cause };
  }
}
