import { readFileSync } from "node:fs";

const KIB_PER_MB = 1_024;

/** Of a process, MiB: now, or the most that it has had. Linux only. */
export function memoryOf(pid: number | undefined, field: "VmRSS" | "VmHWM"): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) / KIB_PER_MB;
}
