/** What a process took of the cores up to any moment of the measurement. Linux only. */
import { readFileSync } from "node:fs";

const SAMPLE_EVERY_MS = 20;
/** The kernel counts in hundredths of a second. */
const TICKS_PER_SECOND = 100;
/** User and system time, counted after the name, which may have spaces in it. */
const USER_FIELD = 11;
const SYSTEM_FIELD = 12;

interface Sample {
  readonly atMs: number;
  readonly seconds: number;
}

export class CpuClock {
  readonly #pid: number;
  readonly #samples: Sample[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(pid: number) {
    this.#pid = pid;
    this.#sample();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_EVERY_MS);
  }

  /** User and system time between two moments, epoch ms. */
  secondsBetween(fromMs: number, toMs: number): number {
    return this.#at(toMs) - this.#at(fromMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Of the first sample after that moment; of the last one when there is none. */
  #at(ms: number): number {
    return (this.#samples.find(({ atMs }) => atMs >= ms) ?? this.#samples.at(-1))?.seconds ?? 0;
  }

  #sample(): void {
    try {
      const text = readFileSync(`/proc/${this.#pid}/stat`, "utf8");
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      const ticks = Number(fields[USER_FIELD]) + Number(fields[SYSTEM_FIELD]);
      this.#samples.push({ atMs: Date.now(), seconds: ticks / TICKS_PER_SECOND });
    } catch {
      // It has ended.
      this.stop();
    }
  }
}
