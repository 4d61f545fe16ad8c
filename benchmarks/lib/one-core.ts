/** Processes that are held to some of the machine's cores, and what they cost. Linux only. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** The unit of the times in /proc on every Linux there is. */
const TICKS_PER_SECOND = 100;
/** Places after the name in /proc/PID/stat. */
const USER_TICKS = 11;
const SYSTEM_TICKS = 12;

/**
 * Holds all threads of `process` to the first core, and of the others to the rest of them. False
 * where that cannot be done: there is one core, or no taskset.
 */
export function separate(process: number | undefined, others: readonly (number | undefined)[]): boolean {
  const { length } = cpus();
  if (length < 2) return false;
  try {
    hold(process, "0");
    for (const other of others) hold(other, `1-${length - 1}`);
    return true;
  } catch {
    return false;
  }
}

function hold(process: number | undefined, cores: string): void {
  execFileSync("taskset", ["-a", "-c", "-p", cores, String(process)], { stdio: "ignore" });
}

/** Seconds of a core that the process has used so far, the system's for it included. */
export function cpuSecondsOf(process: number | undefined): number {
  try {
    const stat = readFileSync(`/proc/${process}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[USER_TICKS]) + Number(fields[SYSTEM_TICKS])) / TICKS_PER_SECOND;
  } catch {
    return Number.NaN;
  }
}
