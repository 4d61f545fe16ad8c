import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const running = new Set<ChildProcess>();

/**
 * Ends with this process, however that ends: a child that outlived it would hold its output open,
 * and whoever reads it.
 */
export function owned(child: ChildProcess): ChildProcess {
  if (running.size === 0) process.once("exit", killAll);
  running.add(child);
  child.once("exit", () => {
    running.delete(child);
    if (running.size === 0) process.off("exit", killAll);
  });
  return child;
}

function killAll(): void {
  for (const child of running) child.kill("SIGKILL");
}

/** A measured program in a process of its own, that talks by messages. */
export class Child {
  readonly process: ChildProcess;
  readonly #messages: unknown[] = [];
  #waiting: ((message: unknown) => void) | undefined;

  /** `name` is a file of `children/`. */
  constructor(name: string, args: readonly string[] = []) {
    const file = fileURLToPath(new URL(`../children/${name}.js`, import.meta.url));
    this.process = owned(spawn(process.execPath, [file, ...args], { stdio: ["ignore", "inherit", "inherit", "ipc"] }));
    this.process.on("message", (message) => {
      const waiting = this.#waiting;
      this.#waiting = undefined;
      if (waiting === undefined) this.#messages.push(message);
      else waiting(message);
    });
  }

  send(message: object): void {
    this.process.send(message);
  }

  /** The next message. **Errors**: when the process ends first. */
  async receive<T>(): Promise<T> {
    if (this.#messages.length > 0) return this.#messages.shift() as T;
    return new Promise<T>((resolve, reject) => {
      const onExit = (code: number | null): void =>
        reject(new Error(`the child ended with ${code} before it answered`));
      this.process.once("exit", onExit);
      this.#waiting = (message) => {
        this.process.off("exit", onExit);
        resolve(message as T);
      };
    });
  }

  async ask<T>(message: object): Promise<T> {
    this.send(message);
    return this.receive<T>();
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await exited;
  }
}
