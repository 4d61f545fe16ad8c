import { createHash } from "node:crypto";

/** The same seed gives the same id: a UUID of version 8 from its SHA-256. */
export function idFromSeed(seed: string): string {
  const hex = createHash("sha256").update(seed).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
