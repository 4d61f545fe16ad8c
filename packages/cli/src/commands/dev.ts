import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf, WaybillError } from "@waybill/core";
import { nodeClock } from "@waybill/node";
import { type Accounts, createLogger, loadConfig, type RunningRelay, startRelay } from "@waybill/relay";
import { SegmentEmulator, type StartedServer, startServer } from "@waybill/testing";
import { createLogUpdate } from "log-update";
import { type Client, createClient } from "waybill";
import { accountTable } from "../account-table.ts";
import { type AddCommand, wholeNumber } from "../command.ts";
import { type Io, say, show } from "../io.ts";
import { sampleEvents } from "../sample-events.ts";
import { terminalOf } from "../terminal/terminal.ts";

interface DevOptions {
  readonly port: number;
  readonly adminPort: number;
  readonly rate: number;
  readonly data?: string;
  readonly for?: number;
}

const WRITE_KEY = "dev";
const VIEW_INTERVAL_MS = 1_000;
const TERMINAL_INTERVAL_MS = 250;
/** The second destination is down for this long, this often: an outage to watch. */
const OUTAGE_MS = 6_000;
const OUTAGE_EVERY_MS = 20_000;
const EMULATOR_KEEPS_IDS = 1_000_000;

export const addDevCommand: AddCommand = (program, io) => {
  program
    .command("dev")
    .description("try Waybill: a relay with its log, two destinations, sample events, and their ledgers, live")
    .option("--port <port>", "where events are accepted; 0 takes a free one", wholeNumber(0, 65_535), 8080)
    .option("--admin-port <port>", "the admin API", wholeNumber(0, 65_535), 8081)
    .option("--rate <events>", "sample events per second; 0 for none", wholeNumber(0, 10_000), 20)
    .option("--data <directory>", "keep the log here; default: a temporary directory, removed at the end")
    .option("--for <seconds>", "end by itself after this time", wholeNumber(1, 86_400))
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
  const emulators = { analytics: newEmulator(), warehouse: newEmulator() };
  for (const emulator of Object.values(emulators)) servers.push(await startServer(emulator.handle));
  const relay = await startRelay(configOf(options, data, servers, io), { logger: createLogger("warn") }).catch(
    (error: unknown) => {
      throw withOption(error);
    },
  );
  const client = createClient({ relay: { url: relay.intakeUrl, writeKey: WRITE_KEY } });
  const view = createView(io, relay, options);
  const timers = [
    every(VIEW_INTERVAL_MS / Math.max(1, Math.min(options.rate, 20)), sampleSender(client, options.rate)),
    every(io.out.isTTY === true ? TERMINAL_INTERVAL_MS : VIEW_INTERVAL_MS, () => view.show()),
    every(OUTAGE_EVERY_MS, () => emulators.warehouse.fail({ kind: "status", status: 503, forMs: OUTAGE_MS })),
  ];
  await stopped(options, io);
  for (const timer of timers) timer.stop();
  await client.close();
  emulators.warehouse.recover();
  // Lets the lanes finish what they have; an outage just now may have left a backoff.
  await until(() => relay.accounts().lanes.every(({ account }) => account.pending === 0));
  view.end();
  await relay.stop();
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

function newEmulator(): SegmentEmulator {
  return new SegmentEmulator({ clock: nodeClock, keepEvents: 0, keepIds: EMULATOR_KEEPS_IDS });
}

function configOf(
  options: DevOptions,
  dataDirectory: string,
  servers: readonly StartedServer[],
  io: Io,
): ReturnType<typeof loadConfig> {
  const destination = (server: StartedServer | undefined): object => ({
    vendor: "segment",
    url: server?.url,
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
        sources: { app: { protocol: "segment", writeKeys: [WRITE_KEY] } },
        destinations: { analytics: destination(servers[0]), warehouse: destination(servers[1]) },
      },
    },
  });
  return loadConfig({ file: "waybill dev", text, env: io.env });
}

function sampleSender(client: Client, rate: number): () => void {
  const perTick = rate / Math.max(1, Math.min(rate, 20));
  const samples = sampleEvents();
  let owed = 0;
  return () => {
    for (owed += rate === 0 ? 0 : perTick; owed >= 1; owed--) samples.next(client);
  };
}

interface View {
  show(): void;
  end(): void;
}

function createView(io: Io, relay: RunningRelay, options: DevOptions): View {
  const terminal = io.out.isTTY === true;
  const update = createLogUpdate(io.out);
  const intro = [
    relay.summary,
    "",
    "Send an event of your own:",
    `  curl -u ${WRITE_KEY}: ${relay.intakeUrl}/v1/track -d '{"userId":"me","event":"Hello"}'`,
    "See events as they are stored:",
    `  ${io.self} tail --admin ${relay.adminUrl}`,
    ...(io.env["WAYBILL_ADMIN_TOKEN"] === undefined ? [] : ["  (with WAYBILL_ADMIN_TOKEN set as it is here)"]),
    "",
    `The destination warehouse fails with 503 for ${OUTAGE_MS / 1_000} s every ${OUTAGE_EVERY_MS / 1_000} s, to be watched. Ctrl-C ends${options.for === undefined ? "" : `, or ${options.for} s`}.`,
    "",
  ];
  for (const line of intro) say(io, line);
  return {
    show() {
      const accounts = relay.accounts();
      if (terminal) update(accountTable(accounts, terminalOf(io)).join("\n"));
      else say(io, plainLine(accounts));
    },
    end() {
      if (terminal) update.done();
      for (const line of ["", "The ledgers at the end:"]) say(io, line);
      show(io, accountTable(relay.accounts(), terminalOf(io)));
    },
  };
}

function plainLine({ lanes }: Accounts): string {
  return lanes
    .map(
      ({ destination, mode, account }) =>
        `${destination}: accepted ${account.accepted} delivered ${account.delivered} pending ${account.pending} rejected ${account.rejected} (${mode})`,
    )
    .join(" | ");
}

function stopped(options: DevOptions, io: Io): Promise<void> {
  return new Promise((resolve) => {
    io.onStop(resolve);
    io.onGone(resolve);
    if (options.for !== undefined) nodeClock.after(options.for * 1_000, resolve, true);
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
