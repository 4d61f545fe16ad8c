import { nodeClock } from "@waybill/node";
import {
  createLogger,
  loadConfig,
  loadConfigAside,
  type RelayConfig,
  type RunningRelay,
  startRelay,
  takeGivenSockets,
} from "@waybill/relay";
import type { StartedServer } from "@waybill/testing";
import type { AddCommand } from "../command.ts";
import { readConfig } from "../read-config.ts";

/** Kept by the emulator behind a relay without configuration: it may run for weeks. */
const EMULATOR_KEEPS = 1_000_000;

export const addRelayCommand: AddCommand = (program, io) => {
  program
    .command("relay")
    .description("run the relay; without a configuration it delivers to an emulator of Segment, to try it out")
    .option("-c, --config <file>", "configuration file (YAML); also WAYBILL_CONFIG")
    .addHelpText(
      "after",
      "\nSIGTERM and SIGINT: stop accepting, finish what is in flight, exit 0. SIGHUP: reload the configuration.\nSockets that systemd passes by the names intake and admin are served instead of listen and admin.listen.\n\nExample:\n  waybill relay --config waybill.yaml",
    )
    .action(async (options: { readonly config?: string }) => {
      const file = options.config ?? io.env["WAYBILL_CONFIG"];
      // A signal that comes during the start is obeyed as soon as the relay runs.
      const stopped = new Promise<void>((resolve) => io.onStop(resolve));
      let hasStarted = (_relay: RunningRelay): void => undefined;
      const started = new Promise<RunningRelay>((resolve) => (hasStarted = resolve));
      io.onReload(() => void started.then((relay) => relay.reload(read)));
      const sockets = takeGivenSockets(io.env, process.pid);
      let emulator: StartedServer | undefined;
      if (file === undefined) emulator = await startEmulator();
      const read = async (): Promise<RelayConfig> =>
        file === undefined ? defaultConfig(io.env, emulator?.url ?? "") : readConfig(file, io.env);
      try {
        const config = await read();
        const logger = createLogger(config.logLevel);
        const relay = await startRelay(config, {
          logger,
          sockets,
          reloadConfig: read,
          checkConfig: (text) => loadConfigAside({ file: file ?? "configuration", text, env: io.env }),
          ...(file === undefined ? {} : { configFile: file }),
        });
        hasStarted(relay);
        await stopped;
        await relay.stop();
      } finally {
        await emulator?.close();
      }
    });
};

async function startEmulator(): Promise<StartedServer> {
  // Most relays deliver elsewhere, and start without its code.
  const { SegmentEmulator, startServer } = await import("@waybill/testing");
  return startServer(new SegmentEmulator({ clock: nodeClock, keepEvents: 0, keepIds: EMULATOR_KEEPS }).handle);
}

function defaultConfig(env: Readonly<Record<string, string | undefined>>, emulatorUrl: string): RelayConfig {
  const text = JSON.stringify({
    listen: "127.0.0.1:8080",
    network: { allowPrivateAddresses: true },
    environments: {
      dev: {
        sources: { app: { protocol: "segment", writeKeys: ["dev"] } },
        destinations: { emulator: { vendor: "segment", url: emulatorUrl, writeKey: "dev" } },
      },
    },
  });
  return loadConfig({ file: "default configuration", text, env });
}
