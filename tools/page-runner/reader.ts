/** Does what a page tells its reader to do: in a folder, with bash, in the page's order. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isAsPrinted, type Step } from "./steps.ts";

export interface ReaderOptions {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** What of the page is other here: ports, names of packages, absolute paths. */
  readonly replace?: readonly (readonly [from: string, to: string])[];
}

interface Background {
  readonly command: string;
  readonly child: ChildProcess;
  readonly out: () => string;
}

const COMMAND_MAX_MS = 120_000;
/** How long a reader waits for what a page promises. */
const PATIENCE_MS = 120_000;
const LOOK_MS = 100;

export class Reader {
  readonly #options: ReaderOptions;
  readonly #background: Background[] = [];
  /** Where the last command left the shell. */
  #folder: string;
  /** What is on the terminal, and what it is when the reader looks again. */
  #look: () => Promise<string> = () => Promise.resolve("");
  #isFinal = true;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#folder = realpathSync(options.folder);
  }

  get folder(): string {
    return this.#folder;
  }

  /** **Errors**: a command that fails, or output that is another, with the line of the page. */
  async follow(steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.#take(step);
  }

  /** What the command that runs in a terminal of its own has printed. */
  terminal(command: string): string | undefined {
    return this.#background.find((one) => one.command === command)?.out();
  }

  /** Ends what runs in the background, the last one first. */
  async close(): Promise<void> {
    for (const { child } of this.#background.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) continue;
      const closed = once(child, "close");
      process.kill(-child.pid, "SIGTERM");
      await closed;
    }
  }

  async #take(step: Step): Promise<void> {
    const text = this.#here(step.text);
    if (step.kind !== "output") this.#isFinal = step.kind === "run";
    switch (step.kind) {
      case "file":
        return writeFileSync(join(this.#folder, step.name), text);
      case "run": {
        const printed = await this.#run(text, step.line);
        this.#look = () => Promise.resolve(printed);
        return;
      }
      case "again":
        this.#look = () => this.#run(text, step.line);
        return;
      case "background":
        this.#look = this.#start(text, step.line);
        return;
      case "output":
        return this.#compare(text, step.line);
    }
  }

  async #compare(expected: string, line: number): Promise<void> {
    const startedAt = performance.now();
    for (;;) {
      const printed = await this.#look();
      if (isAsPrinted(printed, expected)) return;
      if (this.#isFinal || performance.now() - startedAt > PATIENCE_MS)
        throw new Error(`line ${line}: the page has\n${expected}\nand the commands print\n${printed}`);
      await sleep(LOOK_MS);
    }
  }

  #here(text: string): string {
    return (this.#options.replace ?? []).reduce((so, [from, to]) => so.replaceAll(from, to), text);
  }

  async #run(text: string, line: number): Promise<string> {
    const whereFile = join(this.#options.folder, ".where");
    const script = `set -eo pipefail\n${text}\npwd > '${whereFile}'\n`;
    const child = spawn("bash", ["-c", script], {
      cwd: this.#folder,
      env: this.#options.env,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: COMMAND_MAX_MS,
    });
    const [out, errors] = [textOf(child.stdout), textOf(child.stderr)];
    const [code] = (await once(child, "close")) as [number | null];
    if (code !== 0) throw new Error(`line ${line}: exit code ${code}\n${text}\n${out()}\n${errors()}`);
    this.#folder = readFileSync(whereFile, "utf8").trim();
    return out();
  }

  #start(text: string, line: number): () => Promise<string> {
    const child = spawn("bash", ["-c", text], {
      cwd: this.#folder,
      env: this.#options.env,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const [out, errors] = [textOf(child.stdout), textOf(child.stderr)];
    this.#background.push({ command: text.trim(), child, out });
    return () => {
      if (child.exitCode !== null) throw new Error(`line ${line}: it ended\n${text}\n${out()}\n${errors()}`);
      return Promise.resolve(out());
    };
  }
}

function textOf(stream: NodeJS.ReadableStream): () => string {
  let text = "";
  stream.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  return () => text;
}
