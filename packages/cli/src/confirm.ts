import { createInterface } from "node:readline";
import { printable } from "@waybill/core";
import type { Io } from "./io.ts";

/**
 * Asks a person at a terminal; only `y` and `yes` are a yes. `undefined` where nobody can answer: a
 * pipe never waits for input.
 */
export async function confirmed(io: Io, text: string): Promise<boolean | undefined> {
  if (io.in?.isTTY !== true || io.err.isTTY !== true) return undefined;
  const lines = createInterface({ input: io.in, output: io.err, terminal: true });
  try {
    const answer = await new Promise<string>((resolve) => {
      // Ctrl-C and the end of the input are a no.
      lines.once("close", () => resolve(""));
      lines.once("line", resolve);
      lines.setPrompt(`${printable(text)} [y/N] `);
      lines.prompt();
    });
    return /^y(?:es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}
