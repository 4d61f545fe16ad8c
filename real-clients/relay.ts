/** The relay as a process of its own, which tests kill and start again. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished } from "vitest";

const CLI = fileURLToPath(new URL("../packages/cli/dist/main.js", import.meta.url));

/** For destinations: what waits goes out at once. */
export const SOON = { backoff: { base: "10ms", max: "50ms" }, batch: { linger: "5ms" } } as const;

export interface Relay {
  /** Where clients send to; it stays. */
  readonly url: string;
  /** Kills the relay and starts it again on the same port. */
  restart(): Promise<void>;
}

/** `onEnd` takes what stops it and removes its directory; by default the test's end does. */
export async function startRelay(
  environments: object,
  onEnd: (stop: () => Promise<void>) => void = onTestFinished,
): Promise<Relay> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-real-"));
  const file = join(directory, "waybill.json");
  const config = (listen: string): string =>
    JSON.stringify({
      listen,
      admin: { listen: "127.0.0.1:0" },
      dataDirectory: join(directory, "data"),
      network: { allowPrivateAddresses: true },
      environments,
    });
  writeFileSync(file, config("127.0.0.1:0"));
  let started = await startProcess(file);
  writeFileSync(file, config(`127.0.0.1:${new URL(started.url).port}`));
  onEnd(async () => {
    await kill(started.process);
    rmSync(directory, { recursive: true, force: true });
  });
  return {
    url: started.url,
    async restart() {
      await kill(started.process);
      started = await startProcess(file);
    },
  };
}

async function startProcess(file: string): Promise<{ readonly process: ChildProcess; readonly url: string }> {
  const child = spawn(process.execPath, [CLI, "relay", "--config", file], { stdio: ["ignore", "pipe", "inherit"] });
  const url = await new Promise<string>((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the relay ended with ${code}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { intake } = JSON.parse(line) as { readonly intake?: string };
      if (intake !== undefined) resolve(intake);
    });
  });
  return { process: child, url };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

export async function until(done: () => boolean): Promise<void> {
  for (let look = 0; look < 2_000 && !done(); look++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(done()).toBe(true);
}
