/** A process that tries to take the lock of a directory; it runs the built files. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

export function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "waybill-lock-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Answers each line `take <epoch ms> <directory>` with what became of it at that moment. */
const CONTENDER = `
import { lockDirectory } from ${JSON.stringify(new URL("../../dist/index.js", import.meta.url).href)};
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) {
  const [at, directory] = line.split(" ");
  while (Date.now() < Number(at));
  try { await lockDirectory(directory); console.log("held"); }
  catch (error) { console.log(error.code + " " + error.message); }
}`;

export class Contender {
  readonly process: ChildProcess;
  readonly #lines: string[] = [];
  #wake: (() => void) | undefined;

  constructor(options: { readonly temporary?: string; readonly user?: number } = {}) {
    this.process = spawn(process.execPath, ["--input-type=module", "-e", CONTENDER], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, TMPDIR: options.temporary ?? tmpdir() },
      ...(options.user === undefined ? {} : { uid: options.user }),
    });
    this.process.stdout?.on("data", (chunk: Buffer) => {
      this.#lines.push(...chunk.toString().trim().split("\n"));
      this.#wake?.();
    });
    onTestFinished(() => void this.process.kill("SIGKILL"));
  }

  async take(directory: string, atMs = 0): Promise<string> {
    this.process.stdin?.write(`${atMs} ${directory}\n`);
    while (this.#lines.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#lines.shift() as string;
  }

  async kill(): Promise<void> {
    const exited = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGKILL");
    await exited;
  }
}
