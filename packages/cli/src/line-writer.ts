import { once } from "node:events";
import { printable } from "@waybill/core";
import type { Io } from "./io.ts";

export const NEWLINE: Buffer = Buffer.from("\n");
const WRITE_BYTES = 256 * 1024;

/**
 * Lines of JSON for programs: few large writes, no faster than the reader; a reader that goes away
 * ends it quietly. They are as they were stored, but that characters which
 * could steer a terminal that shows them (or the file they are written to) are escaped, as JSON
 * may: the values are the same.
 */
export class LineWriter {
  readonly #io: Io;
  readonly #gone: Promise<void>;
  #waiting: Buffer[] = [];
  #bytes = 0;
  #isGone = false;

  constructor(io: Io) {
    this.#io = io;
    this.#gone = new Promise((resolve) => {
      io.onGone(() => {
        this.#isGone = true;
        resolve();
      });
    });
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Whole lines, with their ends. */
  async write(buffers: readonly Buffer[]): Promise<void> {
    for (const buffer of buffers) {
      this.#waiting.push(buffer);
      this.#bytes += buffer.length;
    }
    if (this.#bytes >= WRITE_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#bytes === 0 || this.#isGone) return;
    const { out } = this.#io;
    const text = Buffer.concat(this.#waiting, this.#bytes).toString();
    this.#waiting = [];
    this.#bytes = 0;
    if (!out.write(text.split("\n").map(printable).join("\n")))
      await Promise.race([once(out, "drain").catch(() => undefined), this.#gone]);
  }
}
