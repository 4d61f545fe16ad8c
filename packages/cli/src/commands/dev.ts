import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf, WaybillError } from "@waybill/core";
import { nodeClock } from "@waybill/node";
import { createLogger, loadConfig, startRelay } from "@waybill/relay";
import { SeededRandom, type StartedServer, startServer } from "@waybill/testing";
import { type Client, createClient } from "waybill";
import { type AddCommand, wholeNumber } from "../command.ts";
import { SOURCES, type SourceName, sampleEvents } from "../dev/sample-events.ts";
import { createDevVendors, VENDORS } from "../dev/vendors.ts";
import { createDevView } from "../dev/view.ts";
import type { Io } from "../io.ts";

interface DevOptions {
  readonly port: number;
  readonly adminPort: number;
  readonly rate: number;
  readonly data?: string;
  readonly for?: number;
  readonly seed: number;
  readonly json?: boolean;
}

const SECOND_MS = 1_000;
const TERMINAL_INTERVAL_MS = 250;
const TICKS_PER_SECOND_MAX = 20;

export const addDevCommand: AddCommand = (program, io) => {
  program
    .command("dev")
    .description(
      "try Waybill: a relay with its page and log, three destinations that fail now and then, sample events, and their ledgers, live",
    )
    .option("--port <port>", "where events are accepted; 0 takes a free one", wholeNumber(0, 65_535), 8080)
    .option("--admin-port <port>", "the page and the admin API", wholeNumber(0, 65_535), 8081)
    .option("--rate <events>", "sample events per second; 0 for none", wholeNumber(0, 10_000), 20)
    .option("--data <directory>", "keep the log here; default: a temporary directory, removed at the end")
    .option("--for <seconds>", "end by itself after this time", wholeNumber(1, 86_400))
    .option("--seed <number>", "what the vendors and samples do by chance", wholeNumber(0, Number.MAX_SAFE_INTEGER), 1)
    .option("--json", "one JSON object per line: started (with the addresses), accounts each second, log, ended")
    .addHelpText("after", "\nExample:\n  waybill dev --rate 200")
    .action((options: DevOptions) => dev(options, io));
};

async function dev(options: DevOptions, io: Io): Promise<void> {
  const temporary = options.data === undefined ? await mkdtemp(join(tmpdir(), "waybill-dev-")) : undefined;
  const servers: StartedServer[] = [];
  try {
    await play(options, options.data ?? (temporary as string), servers, io);
  } finally {
    for (const server of servers) await server.close();
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
  }
}

/** What it starts in `servers` is closed by the caller, also when the relay cannot start. */
async function play(options: DevOptions, data: string, servers: StartedServer[], io: Io): Promise<void> {
  const vendors = createDevVendors({ clock: nodeClock, seed: options.seed });
  const urls = new Map<string, string>();
  for (const name of VENDORS) {
    const server = await startServer(vendors.handlers[name]);
    servers.push(server);
    urls.set(name, server.url);
  }
  const view = createDevView(io, { json: options.json === true, forS: options.for });
  const logger = createLogger("warn", { write: (line) => view.log(line) });
  const relay = await startRelay(configOf(options, data, urls, io), { logger }).catch((error: unknown) => {
    throw withOption(error);
  });
  const clients = new Map(
    SOURCES.map(({ name, writeKey }) => [name, createClient({ relay: { url: relay.intakeUrl, writeKey } })]),
  );
  view.started(relay);
  const timers = [
    every(SECOND_MS / ticksPerSecond(options.rate), sampleSender(clients, options)),
    every(io.out.isTTY === true && options.json !== true ? TERMINAL_INTERVAL_MS : SECOND_MS, () =>
      view.show(relay.accounts()),
    ),
  ];
  await stopped(options, io);
  for (const timer of timers) timer.stop();
  await Promise.all([...clients.values()].map((client) => client.close()));
  vendors.recover();
  // Lets the lanes finish what they have; an outage just now may have left a backoff.
  await until(() => relay.accounts().lanes.every(({ account }) => account.pending === 0));
  const accounts = relay.accounts();
  // Its logger tells at the stop what it has counted until then.
  await relay.stop();
  view.end(accounts);
}

/** Says of a port that is taken by which option another one is chosen. */
function withOption(error: unknown): unknown {
  if (!(error instanceof WaybillError) || error.code !== "WAYBILL_LISTEN") return error;
  const option = error.reason === "admin.listen" ? "--admin-port" : "--port";
  return new WaybillError(error.code, messageOf(error), {
    cause: error,
    hint: `Another process may use that port; choose another with ${option}, or ${option} 0 for any that is free.`,
  });
}

function configOf(
  options: DevOptions,
  dataDirectory: string,
  urls: ReadonlyMap<string, string>,
  io: Io,
): ReturnType<typeof loadConfig> {
  const destination = (url: string): object => ({
    vendor: "segment",
    url,
    writeKey: "emulator",
    backoff: { max: "2s" },
  });
  const text = JSON.stringify({
    listen: `127.0.0.1:${options.port}`,
    dataDirectory,
    admin: { listen: `127.0.0.1:${options.adminPort}` },
    network: { allowPrivateAddresses: true },
    environments: {
      dev: {
        sources: Object.fromEntries(
          SOURCES.map(({ name, writeKey }) => [name, { protocol: "segment", writeKeys: [writeKey] }]),
        ),
        destinations: Object.fromEntries([...urls].map(([name, url]) => [name, destination(url)])),
      },
    },
  });
  return loadConfig({ file: "waybill dev", text, env: io.env });
}

/** How often a second samples are sent: in steps that a person sees as a flow. */
function ticksPerSecond(rate: number): number {
  return Math.max(1, Math.min(rate, TICKS_PER_SECOND_MAX));
}

/** Sends what is due at a tick, each event to a source by its share. */
function sampleSender(clients: ReadonlyMap<SourceName, Client>, { rate, seed }: DevOptions): () => void {
  const perTick = rate / ticksPerSecond(rate);
  const samples = sampleEvents();
  const random = new SeededRandom(seed);
  let owed = 0;
  return () => {
    for (owed += perTick; owed >= 1; owed--) {
      const name = sourceAt(random.next());
      samples.next(name, clients.get(name) as Client);
    }
  };
}

/** The source whose share of 0 to 1 `point` is in. */
function sourceAt(point: number): SourceName {
  let left = point;
  for (const { name, share } of SOURCES) {
    if (left < share) return name;
    left -= share;
  }
  return SOURCES[0].name;
}

function stopped(options: DevOptions, io: Io): Promise<void> {
  return new Promise((resolve) => {
    io.onStop(resolve);
    io.onGone(resolve);
    if (options.for !== undefined) nodeClock.after(options.for * SECOND_MS, resolve, true);
  });
}

function every(intervalMs: number, run: () => void): { stop(): void } {
  let timer = nodeClock.after(intervalMs, tick, true);
  function tick(): void {
    run();
    timer = nodeClock.after(intervalMs, tick, true);
  }
  return { stop: () => timer.cancel() };
}

const DRAIN_MAX_MS = 5_000;
const DRAIN_STEP_MS = 50;

async function until(done: () => boolean): Promise<void> {
  for (let waitedMs = 0; waitedMs < DRAIN_MAX_MS && !done(); waitedMs += DRAIN_STEP_MS)
    await new Promise<void>((resolve) => nodeClock.after(DRAIN_STEP_MS, resolve, true));
}
