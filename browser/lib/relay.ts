/** A relay as an operator starts it, in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { freePort } from "@waybill/testing";
import { Broken, check, until } from "./check.ts";

/** Seen from what this file is compiled to. */
const WAYBILL = fileURLToPath(new URL("../../../packages/cli/dist/main.js", import.meta.url));
const START_MAX_MS = 30_000;
export const TOKEN = "the-token-of-the-suite";
export const READ_ONLY_TOKEN = "look-at-it-and-no-more";

/** Ended with this process, however that ends. */
const running = new Set<ChildProcess>();
const directories = new Set<string>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** Removed with this process. */
export function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "waybill-page-"));
  directories.add(directory);
  return directory;
}

export type Config = Readonly<Record<string, unknown>>;

/** What a flow asks of a relay, wherever that runs. */
export interface AnyRelay {
  /** Of it alone, as long as it runs. */
  readonly directory: string;
  readonly adminUrl: string;
  /** Asks the admin API with the full token. **Errors**: `Broken` for another status than 2xx. */
  admin<T>(path: string, init?: AdminRequest): Promise<T>;
  /** Sends events of a source that speaks Segment's protocol; answers their receipt. */
  send(events: readonly object[], options?: SendOptions): Promise<string>;
}

export interface AdminRequest {
  readonly method?: string;
  readonly body?: unknown;
}

export interface SendOptions {
  /** Default: `shop-key`. */
  readonly key?: string;
}

export class Relay implements AnyRelay {
  readonly directory: string = newDirectory();
  readonly configFile: string = join(this.directory, "waybill.yaml");
  #child: ChildProcess | undefined;
  #ports: readonly [intake: number, admin: number] = [0, 0];
  #environments: Config;

  constructor(environments: Config) {
    this.#environments = environments;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#ports[0]}`;
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${this.#ports[1]}`;
  }

  get adminPort(): number {
    return this.#ports[1];
  }

  /** Writes the file, as an editor would: nothing is taken over by it. */
  write(environments: Config): void {
    this.#environments = environments;
    const [intake, admin] = this.#ports;
    const config = {
      listen: `127.0.0.1:${intake}`,
      dataDirectory: join(this.directory, "data"),
      admin: { listen: `127.0.0.1:${admin}`, token: TOKEN, readOnlyToken: READ_ONLY_TOKEN },
      network: { allowPrivateAddresses: true },
      environments,
    };
    writeFileSync(this.configFile, JSON.stringify(config, undefined, 2));
  }

  /** Resolves when it is ready. Again after {@link stop}: on the same ports. */
  async start(): Promise<this> {
    // The page shows the ports that the configuration names, so they are not left to the system.
    if (this.adminPort === 0) this.#ports = [await freePort(), await freePort()];
    this.write(this.#environments);
    const child = spawn(process.execPath, [WAYBILL, "relay", "--config", this.configFile], {
      stdio: ["ignore", "pipe", "pipe"],
      env: cleanEnv(),
    });
    running.add(child);
    child.once("exit", () => running.delete(child));
    this.#child = child;
    let errors = "";
    child.stderr.on("data", (chunk: Buffer) => {
      errors += chunk.toString();
    });
    await new Promise<void>((resolve, reject) => {
      child.once("close", () => reject(new Broken(`the relay did not start: ${errors}`)));
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (line.includes('"intake"')) resolve();
      });
    });
    const isReady = async (): Promise<boolean> => (await fetch(`${this.adminUrl}/ready`)).ok;
    await until(isReady, START_MAX_MS, "the relay did not become ready");
    return this;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }

  admin<T>(path: string, request?: AdminRequest): Promise<T> {
    return askAdmin<T>(this.adminUrl + path, request);
  }

  send(events: readonly object[], options?: SendOptions): Promise<string> {
    return sendTo(this.url, events, options);
  }
}

export async function askAdmin<T>(url: string, { method = "GET", body }: AdminRequest = {}): Promise<T> {
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  check(response.ok, `${method} ${url} is answered ${response.status}: ${text}`);
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

/** `url`: where the relay takes events. */
export async function sendTo(
  url: string,
  events: readonly object[],
  { key = "shop-key" }: SendOptions = {},
): Promise<string> {
  const response = await fetch(`${url}/v1/batch`, {
    method: "POST",
    headers: {
      authorization: `Basic ${Buffer.from(`${key}:`).toString("base64")}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ batch: events }),
  });
  const text = await response.text();
  check(response.ok, `events are answered ${response.status}: ${text}`);
  return response.headers.get("waybill-receipt") ?? "";
}

/** Of this process, without what would steer a relay. */
function cleanEnv(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:WAYBILL_|NODE_)/.test(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, value ?? ""]));
}
